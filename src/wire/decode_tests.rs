use crate::wire::encoding::Encoding;
use crate::wire::layout::{ColumnSpec, FieldPlace, Framing, LayoutSpec, builtin};

use super::*;

/// `columns` by name; a place is given as `name@at+width`.
fn layout(fields: FieldStyle, columns: &str) -> LayoutSpec {
    let column = |text: &str| {
        let (name, place) = text.split_once('@').map_or((text, None), |(name, place)| (name, Some(place)));
        let column = Column::NAMES.into_iter().find(|(known, _)| *known == name).unwrap().1;
        let place = place.and_then(|place| place.split_once('+'));
        let place = place.map(|(at, width)| FieldPlace { at: at.parse().unwrap(), width: width.parse().unwrap() });
        ColumnSpec { place, ..ColumnSpec::plain(column) }
    };
    LayoutSpec {
        fields,
        columns: columns.split(' ').map(column).collect(),
        skills: None,
        quote: (!fields.is_fixed()).then_some(b'\''),
        ..builtin::get("cisco-icm-20").unwrap()
    }
}

/// Returns whom a frame that may have been cut off is about.
fn identified(layout: &LayoutSpec, frame: &[u8]) -> Option<(String, Option<u32>)> {
    let plan = Plan::compile(layout, "UTC").unwrap();
    let mut decoder = Decoder::default();
    decoder.identify(&plan, frame, false).map(|who| (who.login_id.to_owned(), who.acd))
}

#[test]
fn a_login_id_is_read_only_where_it_is_known_to_be_whole() {
    let bar = layout(FieldStyle::Separator(b'|'), "login_id state acd");
    let last = layout(FieldStyle::Separator(b'|'), "state login_id");
    let blanks = layout(FieldStyle::Whitespace, "login_id state");
    let fixed = layout(FieldStyle::FixedWidth, "login_id@0+4 state@4+2");
    let reversed = layout(FieldStyle::FixedWidth, "state@0+2 login_id@2+4");
    let of_length = LayoutSpec { framing: Framing::Length(10), ..last.clone() };
    let without_acd = layout(FieldStyle::Separator(b'|'), "login_id state");
    let cases: [(&LayoutSpec, &[u8], Option<&str>); 36] = [
        (&without_acd, b"13", None),
        (&without_acd, b"13|", Some("13")),
        (&without_acd, b"13 |2", Some("13")),
        (&without_acd, b"ERROR 17: report not available", None),
        (&without_acd, b"'13'", None),
        (&without_acd, b"'13'|", Some("13")),
        (&without_acd, b"'1''3'|", Some("1'3")),
        (&without_acd, b"'13|20", None),
        (&without_acd, b"|20", None),
        (&without_acd, b"N/A|20", None),
        (&without_acd, b"\xC2\xA013\xC2\xA0|20", Some("13")),
        (&without_acd, b"\xC2\xA0|20", None),
        (&without_acd, b"1\xE2\x80\x8B3|20", None),
        (&without_acd, b"1\x073|20", None),
        (&without_acd, b"1\x003|20", None),
        (&without_acd, b"1\xFF3|20", None),
        // What is wrong elsewhere does not count.
        (&without_acd, b"13|\xFF\x00|||", Some("13")),
        // The ACD must be whole, too.
        (&bar, b"13|20|1", None),
        (&bar, b"13|20|1|", Some("13")),
        (&bar, b"13|20||", None),
        (&bar, b"13|20|x|", None),
        (&bar, b"13|", None),
        (&last, b"20|13", None),
        (&last, b"20|13|", Some("13")),
        (&blanks, b"13", None),
        (&blanks, b" 13 ", Some("13")),
        (&blanks, b"13\t2", Some("13")),
        (&blanks, b"'1 3'", None),
        (&fixed, b"13", None),
        (&fixed, b"13 ", None),
        (&fixed, b"13  ", Some("13")),
        (&fixed, b"13  2", Some("13")),
        (&reversed, b"2013", None),
        (&reversed, b"2013  ", Some("13")),
        // A record of a fixed length ends with it.
        (&of_length, b"20|13     ", Some("13")),
        (&of_length, b"20|13    ", None),
    ];
    for (layout, frame, login_id) in cases {
        let who = identified(layout, frame).map(|(login_id, _)| login_id);
        assert_eq!(who.as_deref(), login_id, "{:?} {}", layout.fields, frame.escape_ascii());
    }
    assert_eq!(identified(&bar, b"13|20|2|"), Some(("13".to_owned(), Some(2))));
}

#[test]
fn a_character_that_its_place_cuts_belongs_to_nobody() {
    let layout = layout(FieldStyle::FixedWidth, "login_id@0+2 state@3+2");
    let plan = Plan::compile(&layout, "UTC").unwrap();
    let mut decoder = Decoder::default();
    let read = decoder.decode(&plan, "1\u{fc}20".as_bytes(), Timestamp::from_millis(0));
    assert_eq!(read.err(), Some(Reason::Undecodable));
    assert_eq!(identified(&layout, "1\u{fc}20".as_bytes()), None);
    let latin = LayoutSpec { encoding: Encoding::Iso8859_1, ..layout };
    assert_eq!(identified(&latin, b"1\xFC 20"), Some(("1ü".to_owned(), None)));
}

#[test]
fn places_in_characters_do_not_shift() {
    let layout = LayoutSpec {
        extra_fields: ExtraFields::Error,
        ..layout(FieldStyle::FixedCharacters, "name@0+8 login_id@8+4 state@12+2")
    };
    let read = |layout: &LayoutSpec, frame: &[u8]| {
        let plan = Plan::compile(layout, "UTC").unwrap();
        let mut decoder = Decoder::default();
        let decoded = decoder.decode(&plan, frame, Timestamp::from_millis(0)).map(|decoded| decoded.record);
        decoded.map(|record| (record.name.unwrap().text().into_owned(), record.login_id.to_owned(), record.mode))
    };
    let expected = |name: &str| Ok((name.to_owned(), "4711".to_owned(), Mode::Avail));
    for name in ["Muller", "Müller", "Öztürk-ß", "日本", "𝒙", "e\u{301}"] {
        let padding = " ".repeat(8 - name.chars().count());
        let frame = format!("{name}{padding}471120");
        assert_eq!(read(&layout, frame.as_bytes()), expected(name), "{name}");
        assert_eq!(read(&layout, format!("{frame} \t").as_bytes()), expected(name), "blanks at the end");
        assert_eq!(read(&layout, format!("{frame} ü").as_bytes()), Err(Reason::TooManyFields));
        // Whom half a record is about does not depend on what is missing.
        let who = (0..=frame.len()).map(|length| identified(&layout, &frame.as_bytes()[..length]));
        let first = frame.find("4711").unwrap() + 4;
        assert!(who.enumerate().all(|(length, who)| who.is_some() == (length >= first)), "{name}");
        // In bytes it shifts with each of them.
        let bytes = LayoutSpec { fields: FieldStyle::FixedWidth, ..layout.clone() };
        assert_eq!(read(&bytes, frame.as_bytes()) == expected(name), name.is_ascii(), "{name}");
    }
    // Where a character is a byte, both are the same; and what is no character at all is one.
    let latin = LayoutSpec { encoding: Encoding::Iso8859_1, ..layout.clone() };
    assert_eq!(read(&latin, b"M\xFCller  471120"), expected("Müller"));
    assert_eq!(identified(&layout, b"M\xFCller  471120").map(|(login_id, _)| login_id).as_deref(), Some("4711"));
    let of_length = LayoutSpec { framing: Framing::Length(14), ..layout.clone() };
    assert!(Plan::compile(&of_length, "UTC").is_err());
    assert!(Plan::compile(&LayoutSpec { encoding: Encoding::Iso8859_1, ..of_length }, "UTC").is_ok());
}

#[test]
fn what_is_told_of_times_goes_into_the_record() {
    let format = |column, format: &str| ColumnSpec { format: Some(format.to_owned()), ..ColumnSpec::plain(column) };
    let mut layout = layout(FieldStyle::Separator(b'|'), "login_id state");
    layout.columns.push(format(Column::Timestamp, "%d.%m.%Y %H:%M:%S"));
    layout.columns.push(format(Column::StateStart, "%H:%M:%S"));
    let plan = Plan::compile(&layout, "Europe/Berlin").unwrap();
    let at = |text| Timestamp::parse_rfc3339(text).unwrap();
    let cases = [
        ("25.10.2026 02:30:00|02:10:00", "2026-10-25T01:30:00Z", (true, true, 0), Some("02:10:00")),
        ("25.10.2026 02:30:00|02:40:00", "2026-10-25T01:30:00Z", (true, false, 0), Some("02:40:00")),
        ("29.03.2026 02:30:00| 02:10:00 ", "2026-03-29T01:30:00Z", (false, false, 2), None),
        ("29.03.2026 03:30:00| 01:10:00 ", "2026-03-29T01:30:00Z", (false, false, 0), Some("01:10:00")),
        ("|", "2026-03-29T01:30:00Z", (false, false, 0), None),
    ];
    for (told, received_at, (timestamp_is_unsure, state_start_is_unsure, impossible), text) in cases {
        let frame = format!("4711|20|{told}");
        let mut decoder = Decoder::default();
        let record = decoder.decode(&plan, frame.as_bytes(), at(received_at)).unwrap().record;
        let times = record.times;
        assert_eq!(
            (times.timestamp_is_unsure, times.state_start_is_unsure, times.impossible),
            (timestamp_is_unsure, state_start_is_unsure, impossible),
            "{told}"
        );
        assert_eq!(record.state_start_text, text.map(str::as_bytes), "{told}");
        assert_eq!(times.state_start.is_some(), text.is_some(), "{told}");
    }
}
