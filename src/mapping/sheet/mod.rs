//! Lists as spreadsheet programs write them: `,`, `;` or tab, any of their encodings, columns in any order.
//!
//! Nothing is guessed that would change an id or a name without a word: what cannot be read for certain is a [`RowProblem`]
//! with its line, its column and what to do. Every problem of a file is told, not only the first. The rows are handed over one
//! by one; a file of 64 MiB needs no second copy of itself, unless it has another encoding than UTF-8.

mod encoding;
mod header;
mod lines;

use std::io::Read as _;

pub use self::header::{Column, folded};
pub use self::lines::Lines;

use std::borrow::Cow;

use self::header::{Header, letters};
use super::spelling;

/// Something wrong with a row, or worth a remark about a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct RowProblem {
    /// From 1; the header is line 1 unless something stands above it.
    pub line: u64,
    /// What is wrong, and what to do. Names nobody: it goes to the log.
    pub message: String,
    /// The line itself, for the terminal of whoever the file belongs to. It may name people.
    pub content: Option<String>,
}

/// Most characters of a line that are shown.
const MOST_SHOWN: usize = 200;

/// Problems of a file that are told; then it is read no further.
const MOST_PROBLEMS: usize = 1_000;

/// Lines that are looked at for a header.
const MOST_BEFORE_HEADER: usize = 50;

/// Separators, the usual one first.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// One row.
pub(super) struct Row<'r, const N: usize> {
    pub(super) line: u64,
    columns: &'r [Column; N],
    header: &'r Header<N>,
    record: &'r csv::StringRecord,
    content: &'r str,
}

impl<const N: usize> Row<'_, N> {
    /// Returns the value of a column, as it is in the file. Empty where the file does not have the column.
    pub(super) fn value(&self, column: usize) -> &str {
        self.header.places[column].and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    /// Returns what is wrong with a column of it.
    pub(super) fn problem(&self, column: usize, what: &str) -> RowProblem {
        let name = self.columns[column].name;
        let place = self.header.places[column].map(|place| format!(" (column {})", letters(place))).unwrap_or_default();
        self.wrong(format!("{name}{place} {what}"))
    }

    /// Returns what is wrong with all of it.
    pub(super) fn wrong(&self, message: String) -> RowProblem {
        RowProblem { line: self.line, message, content: Some(shown(self.content)) }
    }
}

/// Returns the text of a file that a spreadsheet program has written, for tables whose columns are not known beforehand.
///
/// # Errors
/// Why it cannot be told, or read, and what to do.
pub fn text(file: &[u8]) -> Result<Cow<'_, str>, RowProblem> {
    encoding::text(file).map(|decoded| decoded.text)
}

/// Reads the rows of a list. Returns remarks about the file.
///
/// # Errors
/// Every problem in it, in the order of the lines.
pub(super) fn read<const N: usize>(
    file: &[u8],
    columns: &[Column; N],
    mut take: impl FnMut(&Row<'_, N>) -> Result<(), RowProblem>,
) -> Result<Vec<RowProblem>, Vec<RowProblem>> {
    let decoded = encoding::text(file).map_err(|problem| vec![problem])?;
    let text = &*decoded.text;
    let Found { separator, header, body, line: header_line } = find(text, columns).map_err(|problem| vec![problem])?;
    // With a line break at the end of the file, a quote that is still open there contains one, like every other quote that
    // stays open.
    let rest = text.as_bytes().get(body..).unwrap_or_default().chain(&b"\n"[..]);
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).delimiter(separator).from_reader(rest);
    let mut lines = Lines::of(text.as_bytes());
    let mut problems = Vec::new();
    let mut question_marks = Occurrences::default();
    let mut others = header.others.clone();
    let mut record = csv::StringRecord::new();
    while let Ok(true) = reader.read_record(&mut record) {
        let at = record.position().and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
        let (line, start) = lines.row_at(body + at);
        if problems.len() >= MOST_PROBLEMS {
            let message = format!("{MOST_PROBLEMS} lines before this one are wrong: the rest was not read");
            problems.push(RowProblem { line, message, content: None });
            break;
        }
        let content = text.get(start..).map(|rest| &rest[..lines::length(rest)]).unwrap_or_default();
        let row = Row { line, columns, header: &header, record: &record, content };
        if let Err(problem) = check_fields(&row) {
            problems.push(problem);
        } else if !is_blank(&record) {
            // A column without a heading counts once something stands in it.
            for (place, is_used) in &mut others {
                *is_used |= record.get(*place).is_some_and(|value| !spelling::trim(value).is_empty());
            }
            if !decoded.has_every_letter {
                question_marks
                    .add(line, columns.iter().enumerate().filter(|(at, _)| row.value(*at).contains('?')).count());
            }
            problems.extend(take(&row).err());
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let places: Vec<String> = others.iter().filter(|(_, is_used)| *is_used).map(|(place, _)| letters(*place)).collect();
    let others = (!places.is_empty()).then(|| {
        let expected: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let (columns, are) = if places.len() == 1 { ("column", "is") } else { ("columns", "are") };
        let message = format!("{columns} {} {are} not read: known are {}", places.join(", "), expected.join(", "));
        RowProblem { line: header_line, message, content: None }
    });
    let question_marks = question_marks.remark(|values| {
        format!("{values} with a question mark, which Excel writes for a letter that the encoding of the file lacks: save the sheet as \"CSV UTF-8\"")
    });
    Ok([others, question_marks].into_iter().flatten().collect())
}

/// Whether a row is one of empty cells, as sheets have behind their last row.
fn is_blank(record: &csv::StringRecord) -> bool {
    record.iter().all(|value| spelling::trim(value).is_empty())
}

/// Checks that a row has the fields of the header.
fn check_fields<const N: usize>(row: &Row<'_, N>) -> Result<(), RowProblem> {
    let Row { columns, header, record, .. } = row;
    // No id or name contains a line break: this quote swallows rows that nobody would miss.
    if let Some(open) = record.iter().position(|value| value.contains(['\n', '\r'])) {
        let name =
            columns.iter().zip(header.places).find(|(_, place)| *place == Some(open)).map(|(column, _)| column.name);
        let name =
            name.map_or_else(|| format!("field {}", open + 1), |name| format!("{name} (column {})", letters(open)));
        return Err(row.wrong(format!("{name} has a quote that is not closed in its line: close it, or leave it out")));
    }
    if is_blank(record) {
        return Ok(());
    }
    let needed = columns.iter().zip(header.places).filter(|(column, _)| column.is_required);
    let needed = needed.filter_map(|(_, place)| place).max().map_or(0, |last| last + 1);
    let has_more = record.iter().skip(header.width).any(|value| !spelling::trim(value).is_empty());
    if record.len() >= needed && !has_more {
        return Ok(());
    }
    let remedy = match record.len() {
        1 => "is the whole line in quotes, or has it another separator than the header?",
        _ if has_more => "a value with a separator in it has to be in quotes",
        _ => "fill in what is missing",
    };
    let names: Vec<&str> = columns.iter().filter(|column| column.is_required).map(|column| column.name).collect();
    Err(row.wrong(format!(
        "expected {} fields, as the header has ({}), found {}: {remedy}",
        header.width,
        names.join(","),
        record.len()
    )))
}

/// Where the rows of a file begin, and how to read them.
struct Found<const N: usize> {
    separator: u8,
    header: Header<N>,
    /// Where the line after the header begins.
    body: usize,
    line: u64,
}

/// Finds the header, and by it the separator.
fn find<const N: usize>(text: &str, columns: &[Column; N]) -> Result<Found<N>, RowProblem> {
    let mut told = None;
    let mut refused = None;
    let mut lines = Lines::of(text.as_bytes());
    let mut at = 0;
    for _ in 0..MOST_BEFORE_HEADER {
        let (line, start) = lines.row_at(at);
        let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) else { break };
        let content = &rest[..lines::length(rest)];
        at = start + content.len();
        if told.is_none()
            && refused.is_none()
            && let Some(separator) = told_separator(content)
        {
            told = Some(separator);
            continue;
        }
        // Without any of them the line is one heading, by whichever.
        let occurs = |separator: &&u8| content.as_bytes().contains(separator);
        let mut separators: Vec<u8> =
            told.map_or_else(|| SEPARATORS.iter().filter(occurs).copied().collect(), |told| vec![told]);
        if separators.is_empty() {
            separators.push(SEPARATORS[0]);
        }
        let read = separators.into_iter().map(|separator| (separator, headings(content, separator)));
        if content.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).is_empty() {
            continue;
        }
        let problem = |message| RowProblem { line, message, content: Some(shown(content)) };
        match best(read, columns) {
            Ok(Some((separator, header))) => {
                let missing: Vec<&str> = columns
                    .iter()
                    .zip(header.places)
                    .filter(|(column, place)| column.is_required && place.is_none())
                    .map(|(column, _)| column.name)
                    .collect();
                if missing.is_empty() {
                    // Whatever stands above the header is no row, and may be a name.
                    return refused.map_or(Ok(Found { separator, header, body: at, line }), |refused: RowProblem| {
                        let message =
                            format!("expected the header, which is in line {line}: delete the lines above it");
                        Err(RowProblem { message, ..refused })
                    });
                }
                let message = format!("the header lacks {}: expected {:?}", missing.join(" and "), expected(columns));
                refused.get_or_insert_with(|| problem(message));
            }
            Ok(None) => {
                // A wrong file, perhaps another of the lists: its rows mean nothing here, and may name people.
                let message = format!("expected the header {:?}, found another line", expected(columns));
                refused.get_or_insert_with(|| problem(message));
            }
            Err((column, one, other)) => {
                let (one, other) = (letters(one), letters(other));
                return Err(problem(format!(
                    "columns {one} and {other} are both {}: leave one of them",
                    columns[column].name
                )));
            }
        }
    }
    let nothing = || {
        let message = format!("expected the header {:?}, found nothing", expected(columns));
        RowProblem { line: 1, message, content: None }
    };
    Err(refused.unwrap_or_else(nothing))
}

/// Returns the reading with most columns; `None` where there is no column at all.
fn best<const N: usize>(
    readings: impl Iterator<Item = (u8, csv::StringRecord)>,
    columns: &[Column; N],
) -> Result<Option<(u8, Header<N>)>, (usize, usize, usize)> {
    let mut best: Option<(u8, Header<N>)> = None;
    for (separator, headings) in readings {
        let header = Header::of(columns, headings.iter())?;
        if header.found() > best.as_ref().map_or(0, |(_, best)| best.found()) {
            best = Some((separator, header));
        }
    }
    Ok(best)
}

/// The header, as it is best written.
fn expected(columns: &[Column]) -> String {
    let required: Vec<&str> = columns.iter().filter(|column| column.is_required).map(|column| column.name).collect();
    required.join(",")
}

/// The separator that a line `sep=;` tells Excel.
fn told_separator(line: &str) -> Option<u8> {
    let told = spelling::trim(line).trim_matches('"');
    let (word, separator) = told.split_at_checked(4)?;
    // A tab would have been trimmed.
    let separator = if separator.is_empty() && line.contains('\t') { "\t" } else { separator };
    match separator.as_bytes() {
        [separator] if word.eq_ignore_ascii_case("sep=") && is_separator(*separator) => Some(*separator),
        _ => None,
    }
}

const fn is_separator(byte: u8) -> bool {
    byte == b'\t' || (byte.is_ascii_punctuation() && byte != b'"')
}

fn headings(line: &str, separator: u8) -> csv::StringRecord {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    // It is text, and reading memory does not fail.
    let _ = reader.read_record(&mut record);
    record
}

/// Returns a line as a terminal can show it.
fn shown(line: &str) -> String {
    let visible = |c: char| {
        if c == '\t' {
            "\\t".to_owned()
        } else if c.is_control() {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    let cut: String = line.chars().take(MOST_SHOWN).map(visible).collect();
    if line.chars().nth(MOST_SHOWN).is_some() { cut + " …" } else { cut }
}

/// How many values of a file deserve the same remark, and the line of the first.
#[derive(Default)]
pub(super) struct Occurrences {
    count: usize,
    first: u64,
}

impl Occurrences {
    pub(super) const fn add(&mut self, line: u64, count: usize) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += count;
    }

    pub(super) fn remark(&self, what: impl Fn(&str) -> String) -> Option<RowProblem> {
        let values = if self.count == 1 { "1 value".to_owned() } else { format!("{} values", self.count) };
        let message = format!("{}; this is the first", what(&values));
        (self.count > 0).then_some(RowProblem { line: self.first, message, content: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { name: "key", also: &["Schlüssel"], is_required: true },
        Column { name: "value", also: &["Wert"], is_required: true },
        Column { name: "note", also: &[], is_required: false },
    ];

    /// Returns the rows and the remarks, or the problems.
    fn told(file: &[u8]) -> Result<(Vec<String>, Vec<String>), Vec<String>> {
        let texts = |problems: Vec<RowProblem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut rows = Vec::new();
        let remarks = super::read(file, &COLUMNS, |row| {
            rows.push(format!("{}: {}", row.line, [0, 1, 2].map(|column| row.value(column)).join("|")));
            Ok(())
        });
        remarks.map(|remarks| (rows, texts(remarks))).map_err(texts)
    }

    #[test]
    fn every_form_of_a_list_is_the_same_list() {
        let cases: [(&str, &[&str]); 14] = [
            ("key,value\n1,a\n2,b\n", &["2: 1|a|", "3: 2|b|"]),
            ("key;value\r\n1;a\r\n2;b\r\n", &["2: 1|a|", "3: 2|b|"]),
            ("key\tvalue\r\n1\ta\r\n2\tb", &["2: 1|a|", "3: 2|b|"]),
            ("KEY;Value\n1;a\n", &["2: 1|a|"]),
            ("Wert;Schl\u{fc}ssel\na;1\n", &["2: 1|a|"]),
            ("\"SCHLUESSEL\";\"wert\"\n\"1\";\"a;b\"\n", &["2: 1|a;b|"]),
            ("sep=;\r\nkey;value\r\n1;a\r\n", &["3: 1|a|"]),
            ("sep=\t\r\nkey\tvalue\r\n1\ta\r\n", &["3: 1|a|"]),
            ("\"sep=|\"\nkey|value\n1|a,b\n", &["3: 1|a,b|"]),
            ("\r\n;;\r\nkey;value;\r\n1;a;\r\n;;\r\n\r\n2;b;\r\n;;\r\n", &["4: 1|a|", "7: 2|b|"]),
            ("key,value,note\n1,a\n2,b,c\n", &["2: 1|a|", "3: 2|b|c"]),
            ("note,key,value\n,1,a\n", &["2: 1|a|"]),
            ("key,value\n1,\n", &["2: 1||"]),
            ("key;value\n", &[]),
        ];
        for (file, expected) in cases {
            let expected = Ok((expected.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>(), Vec::new()));
            assert_eq!(told(file.as_bytes()), expected, "{file:?}");
        }
    }

    #[test]
    fn what_is_not_read_is_told() {
        let known = "known are key, value, note";
        let cases: [(&[u8], &[&str]); 4] = [
            (b"key,team,value\n1,,a\n", &["line 1: column B is not read: {known}"]),
            (b"\nkey,value,,team\n1,a,,x\n2,b,y,\n", &["line 2: columns C, D are not read: {known}"]),
            (b"key,value,,\n1,a,,\n", &[]),
            (
                b"key,value\n1,a\n2,?ahin\n?,?\n",
                &[
                    "line 3: 3 values with a question mark, which Excel writes for a letter that the encoding of the file lacks: \
                   save the sheet as \"CSV UTF-8\"; this is the first",
                ],
            ),
        ];
        for (file, expected) in cases {
            let expected: Vec<String> = expected.iter().map(|text| text.replace("{known}", known)).collect();
            assert_eq!(told(file).map(|(_, remarks)| remarks), Ok(expected), "{file:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_place_and_the_remedy() {
        let cases = [
            ("", "line 1: expected the header \"key,value\", found nothing"),
            ("\n\n", "line 1: expected the header \"key,value\", found nothing"),
            ("1,a\n2,b\n", "line 1: expected the header \"key,value\", found another line"),
            ("key,note\n1,a\n", "line 1: the header lacks value: expected \"key,value\""),
            ("key,value,Key\n1,a,2\n", "line 1: columns A and C are both key: leave one of them"),
            (
                "Agents of May\n\nkey;value\n1;a\n",
                "line 1: expected the header, which is in line 3: delete the lines above it",
            ),
            (
                "key,value\n1,Doe, J.\n",
                "line 2: expected 2 fields, as the header has (key,value), found 3: a value with a separator in it has to be in quotes",
            ),
            (
                "key,value\n1\n",
                "line 2: expected 2 fields, as the header has (key,value), found 1: is the whole line in quotes, or has it another separator than the header?",
            ),
            (
                "key,value\n1,\"a\n",
                "line 2: value (column B) has a quote that is not closed in its line: close it, or leave it out",
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(told(file.as_bytes()), Err(vec![expected.to_owned()]), "{file:?}");
        }
    }

    #[test]
    fn a_header_is_searched_in_so_many_lines() {
        for (before, expected) in [(MOST_BEFORE_HEADER - 1, "in line 50"), (MOST_BEFORE_HEADER, "found another line")] {
            let told = told(("x\n".repeat(before) + "key,value\n").as_bytes()).unwrap_err();
            println!("a header behind {before} lines, limit {MOST_BEFORE_HEADER}: {told:?}");
            assert!(told[0].contains(expected), "{told:?}");
        }
    }

    #[test]
    fn so_many_problems_of_a_file_are_told() {
        let told = told(("key,value\n".to_owned() + &"1\n".repeat(MOST_PROBLEMS + 5)).as_bytes()).unwrap_err();
        let last = told.last().unwrap();
        println!("{} wrong lines, limit {MOST_PROBLEMS}: {last}", MOST_PROBLEMS + 5);
        assert_eq!(told.len(), MOST_PROBLEMS + 1);
        assert_eq!(*last, "line 1002: 1000 lines before this one are wrong: the rest was not read");
    }

    #[test]
    fn the_line_itself_is_kept_apart_from_what_is_said_of_it() {
        let refused =
            |file: &str| super::read(file.as_bytes(), &COLUMNS, |row| Err(row.problem(1, "is wrong"))).unwrap_err();
        let problems = refused("sep=;\r\nkey;value\r\n1;\u{1b}[31m\r\n");
        assert_eq!(problems[0].to_string(), "line 3: value (column B) is wrong");
        assert_eq!(problems[0].content.as_deref(), Some("1;\\u{1b}[31m"));
        let problems = refused(&format!("key,value\n1,{}\n", "x".repeat(1_000)));
        assert_eq!(problems[0].content.as_ref().map(|content| content.chars().count()), Some(MOST_SHOWN + 2));
        assert_eq!(refused("Ada\n")[0].content.as_deref(), Some("Ada"));
    }
}
