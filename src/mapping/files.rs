//! The CSV files of a mapping. A file with a single error is refused as a whole: half a mapping would publish mapped people
//! as unmapped. Errors go to the log, where nobody is named: they contain line numbers, and no values of a users file.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use super::tables::{Activity, User};
use super::{key, spelling};

/// Header of a users file.
pub const USERS_HEADER: [&str; 3] = ["external_user", "employee_id", "employee_name"];
/// Header of an activities file.
pub const ACTIVITIES_HEADER: [&str; 3] = ["external_activity", "activity_id", "activity_name"];

/// Something wrong with a row, or worth a remark about a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RowProblem {
    /// From 1; the header is line 1.
    pub line: u64,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRows<T> {
    /// By external user or activity, in the spelling in which they are looked up.
    pub rows: HashMap<String, Arc<T>>,
    /// What a planner may not have meant, each kind once, with its count and its first line.
    pub remarks: Vec<RowProblem>,
}

/// Reads a users file: several identifiers per person are fine, one identifier for two people is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_users(file: &[u8]) -> Result<MappingRows<User>, Vec<RowProblem>> {
    parse(
        file,
        USERS_HEADER,
        |_| Ok(()),
        |id, name| User { employee_id: id, employee_name: name },
        |user| &user.employee_id,
    )
}

/// Reads an activities file: several keys per activity are fine, one key for two activities is not.
///
/// # Errors
/// Every problem in it.
pub fn parse_activities(file: &[u8]) -> Result<MappingRows<Activity>, Vec<RowProblem>> {
    let activity = |id, name| Activity { activity_id: id, activity_name: name };
    parse(file, ACTIVITIES_HEADER, key::check_spelling, activity, |activity| &activity.activity_id)
}

fn parse<T>(
    file: &[u8],
    header: [&str; 3],
    check_key: impl Fn(&str) -> Result<(), String>,
    make: impl Fn(String, String) -> T,
    id_of: impl Fn(&T) -> &str,
) -> Result<MappingRows<T>, Vec<RowProblem>> {
    let file = file.strip_prefix("\u{feff}".as_bytes()).unwrap_or(file);
    // With a line break at the end of the file, a quote that is still open there contains one, like every other quote that
    // stays open.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file.chain(&b"\n"[..]));
    let mut lines = Lines::of(file);
    let mut problems = Vec::new();
    let mut problem = |line, message| problems.push(RowProblem { line, message });
    match reader.headers() {
        Ok(found) if found.iter().eq(header) => {}
        // A wrong file, perhaps the other of the two: its rows mean nothing here, and may name people.
        Ok(_) => {
            problem(1, format!("expected the header {:?}, found another line", header.join(",")));
            return Err(problems);
        }
        Err(error) => problem(1, format!("not a CSV file in UTF-8{}", why(&error))),
    }
    let mut rows: HashMap<String, (u64, Arc<T>)> = HashMap::new();
    let (mut trimmed, mut odd_blanks) = (Occurrences::default(), Occurrences::default());
    for row in reader.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                problem(lines.line_of(error.position()), format!("not readable as CSV in UTF-8{}", why(&error)));
                continue;
            }
        };
        let line = lines.line_of(row.position());
        // No id or name contains a line break: this quote swallows rows that nobody would miss.
        if let Some(open) = row.iter().position(|value| value.contains(['\n', '\r'])) {
            let name = header.get(open).map_or_else(|| format!("field {}", open + 1), |name| (*name).to_owned());
            problem(line, format!("{name} has a quote that is not closed in its line: close it, or leave it out"));
            continue;
        }
        let (Some(external), Some(id), Some(name), 3) = (row.get(0), row.get(1), row.get(2), row.len()) else {
            problem(line, format!("expected 3 fields ({}), found {}", header.join(","), row.len()));
            continue;
        };
        let values = [external, id, name];
        let [external, id, name] = values.map(spelling::trim);
        trimmed.add(line, values.iter().zip([external, id, name]).filter(|(whole, rest)| *whole != rest).count());
        let unusable =
            [external, id].into_iter().zip(header).find_map(|(value, name)| match spelling::invisible(value) {
                _ if value.is_empty() => Some(format!("{name} is empty")),
                Some(c) => {
                    Some(format!("{name} has the invisible character U+{:04X} in it: write it without", u32::from(c)))
                }
                None => None,
            });
        if let Some(message) = unusable {
            problem(line, message);
            continue;
        }
        odd_blanks.add(line, usize::from(spelling::has_odd_blanks(external)));
        let external = spelling::normal(external);
        if let Err(message) = check_key(&external) {
            problem(line, message);
            continue;
        }
        let value = make(id.to_owned(), name.to_owned());
        match rows.get(&*external) {
            Some((before, known)) if !spelling::is_same(id_of(known), id_of(&value)) => problem(
                line,
                format!(
                    "the {} of line {before} is here again, with another {}: one of the two lines has to go",
                    header[0], header[1],
                ),
            ),
            Some(_) => {}
            None => {
                rows.insert(external.into_owned(), (line, Arc::new(value)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let rows = rows.into_iter().map(|(key, (_, value))| (key, value)).collect();
    let trimmed = trimmed.remark(|values| format!("white space around {values} is left out"));
    let odd_blanks = odd_blanks.remark(|values| {
        let inside = "two blanks in a row, or white space other than blanks";
        format!("{values} of {} with {inside}, which the feed must have too", header[0])
    });
    Ok(MappingRows { rows, remarks: [trimmed, odd_blanks].into_iter().flatten().collect() })
}

/// Returns the field of a row that has the error; its content may name somebody.
fn why(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { err, .. } => format!(": field {} is in another encoding", err.field() + 1),
        _ => String::new(),
    }
}

/// Line numbers by the bytes of a file, whatever its line ends: in a file with CRLF the reader puts a row one line too early.
struct Lines<'f> {
    file: &'f [u8],
    /// How many bytes have been read, and how many lines have ended in them.
    seen: usize,
    ended: u64,
}

impl<'f> Lines<'f> {
    const fn of(file: &'f [u8]) -> Self {
        Self { file, seen: 0, ended: 0 }
    }

    /// Returns the line, from 1, in which a row begins; rows must be asked for in order.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        // For the reader the end of the previous row, and empty lines, are part of this one.
        let rest = self.file.get(byte..).unwrap_or_default();
        let start = byte + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        while self.seen < start {
            let is_end = match self.file.get(self.seen..) {
                Some([b'\r', b'\n', ..]) => false,
                Some([b'\r' | b'\n', ..]) => true,
                _ => false,
            };
            self.ended += u64::from(is_end);
            self.seen += 1;
        }
        self.ended + 1
    }
}

/// How many values of a file deserve the same remark, and the line of the first.
#[derive(Default)]
struct Occurrences {
    count: usize,
    first: u64,
}

impl Occurrences {
    const fn add(&mut self, line: u64, count: usize) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += count;
    }

    fn remark(&self, what: impl Fn(&str) -> String) -> Option<RowProblem> {
        let values = if self.count == 1 { "1 value".to_owned() } else { format!("{} values", self.count) };
        let message = format!("{}; this is the first", what(&values));
        (self.count > 0).then_some(RowProblem { line: self.first, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_file_is_told_with_its_line() {
        let cases = [
            ("external_user,employee_id,employee_name\n0471,7,Ada\n471,7,Ada\n", ""),
            ("\u{feff}external_user,employee_id,employee_name\r\n0471,7,\"Ada, B.\"\r\n", ""),
            ("external_user,employee_id,employee_name\n0471,7,Ada\n0471,7,Ada\n", ""),
            (
                "external_user,employee_id,employee_name\n0471,7,Ada\n,8,Bo\n12,9\n0471,8,Bo\n",
                "line 3: external_user is empty; line 4: expected 3 fields (external_user,employee_id,employee_name), \
                 found 2; line 5: the external_user of line 2 is here again, with another employee_id: one of the two \
                 lines has to go",
            ),
            (
                "user,id,name\n",
                "line 1: expected the header \"external_user,employee_id,employee_name\", found another line",
            ),
        ];
        for (file, expected) in cases {
            let problems = parse_users(file.as_bytes()).err().unwrap_or_default();
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(told.join("; "), expected, "{file:?}");
        }
    }

    /// Returns the rows with their ids and names, and the remarks.
    fn read(rows: &str) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
        let told = |problems: Vec<RowProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let file = format!("{}\n{rows}", USERS_HEADER.join(","));
        let MappingRows { rows, remarks } = parse_users(file.as_bytes()).map_err(told)?;
        let row =
            |(external, user): (&String, &Arc<User>)| format!("{external}={}:{}", user.employee_id, user.employee_name);
        let mut rows: Vec<String> = rows.iter().map(row).collect();
        rows.sort_unstable();
        Ok((rows, told(remarks)))
    }

    #[test]
    fn white_space_around_values_is_left_out_and_told_once() {
        let file = "4710,1,A\n4711 ,1,A\n 4712,2, B\n4713\u{a0},3,C\n\u{feff}4714,4,D\n4715,5 ,E\n4716,6\u{a0},F\n";
        let (rows, remarks) = read(file).unwrap();
        assert_eq!(rows, ["4710=1:A", "4711=1:A", "4712=2:B", "4713=3:C", "4714=4:D", "4715=5:E", "4716=6:F"]);
        let expected = "line 3: white space around 7 values is left out; this is the first";
        assert_eq!(remarks, [expected]);
        assert_eq!(read("4711,1,A\n"), Ok((vec!["4711=1:A".to_owned()], vec![])));
    }

    #[test]
    fn names_are_spelled_as_they_are_looked_up_and_odd_blanks_in_them_are_told() {
        let (rows, remarks) = read("\"Mu\u{308}ller, J.\",1,A\n\"Doe,  J.\",2,B\n\"Roe,\u{a0}R.\",3,C\n").unwrap();
        assert_eq!(rows, ["Doe,  J.=2:B", "M\u{fc}ller, J.=1:A", "Roe,\u{a0}R.=3:C"]);
        let expected = "line 3: 2 values of external_user with two blanks in a row, or white space other than blanks, \
                        which the feed must have too; this is the first";
        assert_eq!(remarks, [expected]);
    }

    #[test]
    fn what_becomes_one_id_is_one() {
        let again =
            "the external_user of line 2 is here again, with another employee_id: one of the two lines has to go";
        for (one, other) in [("4711", "4711 "), ("M\u{fc}ller", "Mu\u{308}ller"), ("\u{feff}1", "\u{a0}1")] {
            assert_eq!(read(&format!("{one},1,A\n{other},2,B\n")), Err(vec![format!("line 3: {again}")]));
            assert_eq!(read(&format!("{one},1,A\n{other},1 ,A\n")).unwrap().0.len(), 1);
        }
    }

    #[test]
    fn what_nobody_sees_in_an_id_is_refused_and_in_a_name_it_is_not() {
        let cases = [
            ("\u{200b}4714,4,D\n", "line 2: external_user has the invisible character U+200B in it: write it without"),
            ("4714,4\u{200d},D\n", "line 2: employee_id has the invisible character U+200D in it: write it without"),
            ("47\u{feff}14,4,D\n", "line 2: external_user has the invisible character U+FEFF in it: write it without"),
            ("\u{a0},4,D\n", "line 2: external_user is empty"),
            ("4714,\u{feff} ,D\n", "line 2: employee_id is empty"),
        ];
        for (rows, expected) in cases {
            assert_eq!(read(rows), Err(vec![expected.to_owned()]), "{rows:?}");
        }
        assert_eq!(read("4714,4,D\u{200d}\n").unwrap().0, ["4714=4:D\u{200d}"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_in_its_line_is_named_and_swallows_no_row_in_silence() {
        let open = |line: u64, name: &str| {
            format!("line {line}: {name} has a quote that is not closed in its line: close it, or leave it out")
        };
        let cases = [
            // Never closed; closed by the quote of a later row; by one in the next row; at the very end.
            ("4711,1,A\n4712,2,\"B\n4713,3,C\n", vec![open(3, "employee_name")]),
            ("4711,1,\"A\n4712,2,\"B\"\n4713,3,C\n", vec![open(2, "employee_name")]),
            ("4711,\"1,A\n4712,2\",B\n,3,C\n", vec![open(2, "employee_id"), "line 4: external_user is empty".into()]),
            ("4711,1,A\n4712,2,\"B", vec![open(3, "employee_name")]),
            ("\"4711,1,A", vec![open(2, "external_user")]),
            ("\"4711\n\",1,A\n", vec![open(2, "external_user")]),
            ("4711,1,A,\"\n", vec![open(2, "field 4")]),
        ];
        for (rows, expected) in cases {
            assert_eq!(read(rows), Err(expected.clone()), "{rows:?}");
            let with_cr = read(&rows.replace('\n', "\r\n"));
            assert_eq!(with_cr, Err(expected), "{rows:?} with CRLF");
        }
        // A quote inside a value is a character like any other.
        assert_eq!(
            read("4711,1,A \"Bo\" C\n4712,2,\"D \"\"E\"\"\"\n").unwrap().0,
            ["4711=1:A \"Bo\" C", "4712=2:D \"E\""]
        );
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n", "\r"] {
            let file =
                ["external_user,employee_id,employee_name", "1,1,A", "", "", "2,,B", "3,3", "4,4,D", ""].join(end);
            let problems = parse_users(file.as_bytes()).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [5, 6], "{end:?}");
            let file = file.replace("2,,B", "2,2,\u{e4}").replace("3,3", "3,3,C");
            let bytes = encoding_rs::WINDOWS_1252.encode(&file).0;
            let problems = parse_users(&bytes).unwrap_err();
            let expected = "line 5: not readable as CSV in UTF-8: field 3 is in another encoding";
            assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{end:?}");
        }
    }

    #[test]
    fn activity_keys_are_checked() {
        let file = "external_activity,activity_id,activity_name\nACD,1,Call\nAUX:x,2,Break\n";
        let problems = parse_activities(file.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].line, 3);
    }
}
