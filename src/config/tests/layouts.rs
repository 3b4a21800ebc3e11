//! `[layout.NAME]`.

use crate::wire::encoding::Encoding;
use crate::wire::layout::{FieldPlace, FieldStyle, Framing, LayoutSpec};
use crate::wire::states::Mode;

use super::*;

const COLUMNS: &str = "columns = [\"login_id\", \"state\"]\nstates = \"rta-codes\"\n";

fn layout(lines: &str) -> String {
    format!("{}[layout.mine]\n{lines}\n", valid())
}

fn spec(lines: &str) -> LayoutSpec {
    (*config(&layout(lines), &[]).layouts["mine"]).clone()
}

#[test]
fn parts_that_do_not_fit() {
    let fixed = |rest: &str| {
        layout(&format!(
            "states = \"rta-codes\"\ncolumns = [{{ field = \"login_id\", at = 0, width = 10 }}, \
             {{ field = \"state\", at = 10, width = 3 }}]\n{rest}"
        ))
    };
    let separated = |rest: &str| layout(&format!("separator = \"|\"\n{COLUMNS}{rest}"));
    let columns = |list: &str| layout(&format!("separator = \"|\"\nstates = \"rta-codes\"\ncolumns = [{list}]"));
    let cases: &[(String, &[&str])] = &[
        (separated(""), &[]),
        (fixed(""), &[]),
        (layout(COLUMNS), &["error: r.toml:11:1: nothing tells fields apart", "hint: add a separator"]),
        (
            layout("separator = \"|\""),
            &["\"columns\" is missing in [layout.mine]", "\"states\" is missing in [layout.mine]"],
        ),
        (layout(&format!("separator = \"||\"\n{COLUMNS}")), &["separator: expected one byte, or \"whitespace\""]),
        (
            layout(&format!("separator = \"whitespaces\"\n{COLUMNS}")),
            &["separator: expected", "hint: did you mean \"whitespace\"?"],
        ),
        (layout(&format!("separator = \"§\"\n{COLUMNS}")), &["separator: expected one byte"]),
        (
            layout(&format!("separator = \"§\"\nencoding = \"ascii\"\n{COLUMNS}")),
            &["separator: the layout's encoding does not have '§'"],
        ),
        (separated("quote = \"''\""), &["quote: expected one byte"]),
        (separated("quote = \"|\""), &["quote: is a blank, the separator or part of record_end"]),
        (separated("record_end = \"\""), &["record_end: is empty"]),
        (separated("record_end = \"|\\n\""), &["separator: is part of record_end"]),
        (separated("record_end = \"\\n\"\nrecord_length = 20"), &["record_length: record_end is given as well"]),
        (separated("record_length = 5000"), &["record_length: 5000 is more than max_record, 4096 bytes"]),
        (separated("record_length = 0"), &["record_length: must be at least one byte"]),
        (separated("max_record = \"64kb\""), &["max_record: expected a number of bytes"]),
        (separated("max_record = \"1MiB\""), &[]),
        (
            separated("max_record = \"18446744073709551615\""),
            &["max_record: 18446744073709551615 bytes are more than a record may have, 1 MiB"],
        ),
        (separated("marker = \"^(x{100}){1000}$\""), &["is no regular expression: Compiled regex exceeds size limit"]),
        (columns(&format!("\"login_id\", \"state\"{}", ", \"-\"".repeat(254))), &[]),
        (
            columns(&format!("\"login_id\", \"state\"{}", ", \"-\"".repeat(255))),
            &["columns: there are 257, at most 256 can be"],
        ),
        (
            separated("encoding = \"latin1\""),
            &["encoding: expected \"ascii\", \"utf-8\", \"iso-8859-1\", \"iso-8859-9\", \"iso-8859-15\" or"],
        ),
        (
            separated("extra_fields = \"ingore\""),
            &["expected \"error\" or \"ignore\"", "hint: did you mean \"ignore\"?"],
        ),
        (separated("null = \"-\""), &["null: expected a list"]),
        (
            separated("skip = [\"^#\", \"(\", \"\"]"),
            &["skip: \"(\" is no regular expression: unclosed group", "skip: is empty and would match every line"],
        ),
        (separated("marker = \"[\""), &["marker: \"[\" is no regular expression"]),
        (separated("marker = 1"), &["marker: expected text"]),
        (
            separated("separater = 1"),
            &["unknown key \"separater\" in [layout.mine]", "hint: did you mean \"separator\"?"],
        ),
        (
            columns("\"login_id\", \"stat\""),
            &[
                "error: r.toml:14:24: columns: expected",
                "hint: did you mean \"state\"?",
                "columns: \"state\" is missing",
            ],
        ),
        (
            columns("\"login_id\", 5"),
            &["columns: expected the name of a column, or { field", "columns: \"state\" is missing"],
        ),
        (columns("\"login_id\", \"state\", \"name\", \"-\", \"-\", \"name\""), &["columns: \"name\" occurs twice"]),
        (columns("\"login_id\", \"state\", \"level\""), &["columns: \"level\" without \"skill\""]),
        (columns("\"login_id\", \"state\", {}"), &["\"field\" is missing in a column"]),
        (columns("\"login_id\", \"state\", { field = \"timestamp\", format = \"%d.%m.%Y %H:%M:%S\" }"), &[]),
        (
            columns("\"login_id\", \"state\", { field = \"timestamp\", format = \"%d.%m. %H:%M\" }"),
            &[
                "error: r.toml:14:65: format: \"%d.%m. %H:%M\" is no form of a time: it says a part of the date without the year",
                "hint: write it like \"%d.%m.%Y %H:%M:%S\", or \"%H:%M:%S\" without a date",
            ],
        ),
        (columns("\"login_id\", \"state\", { field = \"timestamp\", format = \"%H:%M\" }"), &[]),
        (
            columns("\"login_id\", \"state\", { field = \"state_start\", format = \"%d.%m.%Y\" }"),
            &["format: \"%d.%m.%Y\" is no form of a time: it does not say hour and minute"],
        ),
        (
            columns("\"login_id\", \"state\", { field = \"timestamp\", format = \"%!\" }"),
            &["format: \"%!\" is no form"],
        ),
        (
            columns("\"login_id\", \"state\", { field = \"name\", format = \"%Y\" }"),
            &["format: column \"name\" holds no time"],
        ),
        (
            columns("\"login_id\", \"state\", { field = \"name\", nul = [] }"),
            &["unknown key \"nul\" in a column", "hint: did you mean \"null\"?"],
        ),
        (
            columns("\"login_id\", { field = \"state\", at = 3 }"),
            &[
                "columns: at and width go together",
                "separator: columns have at and width as well",
                "column \"login_id\" has no place, but others do",
            ],
        ),
        (fixed("separator = \"|\""), &["separator: columns have at and width as well"]),
        (fixed("quote = \"'\""), &["quote: has no meaning where columns have at and width"]),
        (fixed("record_length = 13"), &[]),
        (fixed("width_in = \"characters\""), &[]),
        (fixed("width_in = \"bytes\"\nrecord_length = 13"), &[]),
        (fixed("width_in = \"character\""), &["hint: did you mean \"characters\"?", "width_in: expected"]),
        (
            fixed("width_in = \"characters\"\nrecord_length = 13"),
            &[
                "width_in: record_length counts bytes, and in utf-8 a character may take several",
                "hint: records of so many",
            ],
        ),
        (fixed("width_in = \"characters\"\nrecord_length = 13\nencoding = \"iso-8859-1\""), &[]),
        (
            fixed("width_in = \"characters\"\nmax_record = 12"),
            &["column \"state\" ends at character 13, beyond max_record, 12 bytes"],
        ),
        (separated("width_in = \"characters\""), &["width_in: no column has at and width"]),
        (fixed("record_length = 12"), &["column \"state\" ends at byte 13, beyond record_length, 12 bytes"]),
        (fixed("max_record = 12"), &["column \"state\" ends at byte 13, beyond max_record, 12 bytes"]),
        (
            fixed("skills = { columns = [{ field = \"skill\", at = 0, width = 4 }], repeat = 3 }\nrecord_length = 25"),
            &[],
        ),
        (
            fixed("skills = { columns = [{ field = \"skill\", at = 0, width = 4 }], repeat = 3 }\nrecord_length = 24"),
            &["skills: the groups end at byte 25, beyond record_length, 24 bytes"],
        ),
        (fixed("skills = { columns = [\"skill\"], repeat = 3 }"), &["column \"skill\" has no place, but others do"]),
        (
            columns("{ field = \"login_id\", at = 0, width = 0 }, { field = \"state\", at = -1, width = 3 }"),
            &[
                "width: expected a whole number from 1",
                "at: expected a whole number from 0",
                "separator: columns have at and width as well",
            ],
        ),
        (separated("skills = { columns = [\"skill\", \"level\"], repeat = \"rest\", empty = \"0\" }"), &[]),
        (
            separated("skills = { columns = [\"skill\"], repeat = 2, at = 5 }"),
            &["skills: at is for columns of fixed width"],
        ),
        (
            separated("skills = { columns = [\"level\"], repeat = 0 }"),
            &["repeat: expected a whole number from 1", "skills: a group has exactly one skill"],
        ),
        (
            separated("skills = { columns = [\"skill\", \"name\"], repeat = \"all\" }"),
            &["skills: column \"name\" cannot repeat", "repeat: expected a number of groups or \"rest\""],
        ),
        (separated("skills = {}"), &["\"columns\" is missing in skills", "\"repeat\" is missing in skills"]),
        (
            separated(
                "[layout.cisco-icm-20]\nseparator = \"|\"\ncolumns = [\"login_id\", \"state\"]\nstates = \"cms-names\"",
            ),
            &["\"cisco-icm-20\" is the name of a built-in layout"],
        ),
        (
            layout(&format!(
                "separator = \"|\"\nskills = {{ columns = [\"skill\"], repeat = 1 }}\n{}",
                COLUMNS.replace("\"state\"", "\"state\", \"skill\"")
            )),
            &["columns: \"skill\" beside skills = { … }"],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
}

#[test]
fn tables_of_states() {
    let states = |value: &str| layout(&format!("separator = \"|\"\ncolumns = [\"login_id\", \"state\"]\n{value}"));
    let cases: &[(String, &[&str])] = &[
        (states("states = \"cms-names\""), &[]),
        (
            states("states = \"cms-name\""),
            &["states: expected \"rta-codes\" or \"cms-names\"", "hint: did you mean \"cms-names\"?"],
        ),
        (states("states = 5"), &["states: expected \"rta-codes\""]),
        (states("[layout.mine.states]"), &["states: has no rows"]),
        (states("[layout.mine.states]\n32 = \"ACD:in\"\nPause = \"AUX:3\""), &[]),
        (
            states("[layout.mine.states]\n32 = \"ADC:in\""),
            &["error: r.toml:15:6: 32: unknown mode \"ADC\"", "hint: did you mean \"ACD\"?"],
        ),
        (
            states("[layout.mine.states]\nx = \"avail\""),
            &["x: unknown mode \"avail\"", "hint: did you mean \"AVAIL\"?"],
        ),
        (states("[layout.mine.states]\nx = \"ACD:hold:in\""), &["out of order"]),
        (states("[layout.mine.states]\nx = 1"), &["x: expected text, found 1"]),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
    let rows = spec(
        "separator = \"|\"\ncolumns = [\"login_id\", \"state\"]\n[layout.mine.states]\nPause = \"AUX:3\"\nFrei = \"AVAIL\"",
    );
    let listed: Vec<_> = rows.states.rows().iter().map(|(code, state)| (code.as_str(), state.mode)).collect();
    assert_eq!(listed, [("Pause", Mode::Aux), ("Frei", Mode::Avail)]);
}

#[test]
fn tables_of_words() {
    let words = |tables: &str| layout(&format!("separator = \"|\"\nencoding = \"iso-8859-1\"\n{COLUMNS}{tables}"));
    let cases: &[(String, &[&str])] = &[
        (words("[layout.mine.aux_reasons]\nPause = 3\n\"Zu Tisch\" = 0\n\"Übung\" = 4294967295"), &[]),
        (words("aux_reasons = { Pause = 3 }\ndirections = { ein = \"in\" }"), &[]),
        (words("[layout.mine.directions]\nein = \"in\"\naus = \"out\"\nohne = \"none\""), &[]),
        (words("[layout.mine.aux_reasons]"), &["aux_reasons: has no rows", "hint: write rows like \"Pause\" = 3"]),
        (words("aux_reasons = [3]"), &["aux_reasons: expected a table"]),
        (
            words("[layout.mine.aux_reasons]\nPause = -1"),
            &["error: r.toml:17:9: Pause: expected a whole number from 0 to 4294967295, found -1"],
        ),
        (words("[layout.mine.aux_reasons]\nPause = \"3\""), &["Pause: expected", "hint: write it without quotes"]),
        (
            words("[layout.mine.directions]\nein = \"inn\""),
            &["error: r.toml:17:7: ein: expected \"in\", \"out\" or \"none\"", "hint: did you mean \"in\"?"],
        ),
        (words("[layout.mine.aux_reasons]\n\"Öğle\" = 3"), &["Öğle: the layout's encoding does not have 'ğ'"]),
        (words("[layout.mine.directions]\n\"\" = \"in\""), &["is no word"]),
        (
            words("[layout.mine.aux_reason]\nPause = 3"),
            &["unknown key \"aux_reason\" in [layout.mine]", "hint: did you mean \"aux_reasons\"?"],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
    let spec = spec(&format!("separator = \"|\"\n{COLUMNS}[layout.mine.aux_reasons]\nPause = 3\nEssen = 3"));
    assert_eq!(spec.aux_reasons.rows(), [("Pause".to_owned(), 3), ("Essen".to_owned(), 3)]);
}

#[test]
fn what_an_integration_asks_of_its_layout() {
    let with = |realtime: &str, columns: &str| {
        format!(
            "{KAFKA}{INTEGRATION}[integration.realtime]\nport = 7001\nbind = \"::1\"\nlayout = \"mine\"\n{realtime}\n\
             [layout.mine]\nseparator = \"|\"\nstates = \"rta-codes\"\ncolumns = [\"login_id\", \"state\"{columns}]\n"
        )
    };
    let rows = ", \"skill\", \"level\"";
    let cases: &[(String, &[&str])] = &[
        (with("", ""), &[]),
        (with("snapshot_end = \"marker\"", ""), &["error: r.toml:11:16: snapshot_end: layout \"mine\" has no marker"]),
        (with("snapshot_end = \"marker\"", "]\nmarker = \"^END\"\nskip = [\"^#\""), &[]),
        (with("snapshot_end = \"idle\"", rows), &[]),
        (with("", rows), &["error: r.toml:10:10: snapshot_end: layout \"mine\" has one row per agent and skill"]),
        (with("snapshot_end = \"repeat\"", rows), &["error: r.toml:11:16: snapshot_end: layout \"mine\" has one row"]),
        (
            with("mode = \"event\"", rows),
            &["error: r.toml:11:8: mode: layout \"mine\" has one row per agent and skill"],
        ),
        (
            with("", "").replace("layout = \"mine\"", "layout = \"mien\""),
            &["unknown layout \"mien\"", "hint: did you mean \"mine\"?"],
        ),
        (
            with("", "").replace("layout = \"mine\"", "layout = \"x\""),
            &["hint: known are cisco-icm-20, cisco-icm-60, mine", "unknown layout"],
        ),
    ];
    for (text, expected) in cases {
        assert_problems(text, expected);
    }
}

#[test]
fn a_layout_as_it_is_written() {
    let latin = spec(&format!("encoding = \"iso-8859-1\"\nseparator = \"§\"\nrecord_end = \"\\r\"\n{COLUMNS}"));
    assert_eq!(latin.encoding, Encoding::Iso8859_1);
    assert_eq!(latin.fields, FieldStyle::Separator(0xA7));
    assert_eq!(latin.framing, Framing::Terminator(b"\r".to_vec()));
    assert_eq!(latin.null, ["", "N/A"]);
    let fixed = spec(
        "record_length = 64\nstates = \"rta-codes\"\n\
         columns = [{ field = \"login_id\", at = 0, width = 10 }, { field = \"state\", at = 8, width = 6 }]\n\
         skills = { columns = [{ field = \"skill\", at = 0, width = 4 }, { field = \"-\", at = 4, width = 1 }], repeat = \"rest\" }",
    );
    assert_eq!((fixed.fields, fixed.framing), (FieldStyle::FixedWidth, Framing::Length(64)));
    assert_eq!(fixed.columns[1].place, Some(FieldPlace { at: 8, width: 6 }));
    assert_eq!(fixed.skills.unwrap().at, Some(14));
    let characters = spec(
        "width_in = \"characters\"\nstates = \"rta-codes\"\n\
         columns = [{ field = \"login_id\", at = 0, width = 10 }, { field = \"state\", at = 8, width = 6 }]",
    );
    assert_eq!(characters.fields, FieldStyle::FixedCharacters);
}
