use crate::wire::layout::{ColumnSpec, ExtraFields, FieldPlace, SkillGroups, builtin};
use crate::wire::states::StateTable;
use crate::wire::words::Words;

use super::*;

fn at() -> Timestamp {
    Timestamp::parse_rfc3339("2026-07-05T08:00:10.250Z").unwrap()
}

fn agent() -> SimulatedAgent {
    SimulatedAgent {
        acd_offset: 0,
        login_id: "301204".into(),
        name: "Jörg \"J\" Müßig|Łuk".into(),
        extension: "801326".into(),
        location: "Leipzig 2",
        role: "TOP",
        skills: vec![Skill { skill: 232, level: 1 }],
        state: SimulatedState {
            mode: Mode::Ring,
            work_split: Some(232),
            since: at().minus(std::time::Duration::from_secs(75)),
            ..SimulatedState::logged_out(at())
        },
    }
}

fn layout(fields: FieldStyle, columns: Vec<ColumnSpec>) -> LayoutSpec {
    LayoutSpec {
        encoding: Encoding::Iso8859_1,
        framing: Framing::Terminator(b"\r\n".to_vec()),
        max_record: 4_096,
        fields,
        quote: None,
        skip: Vec::new(),
        marker: Some("^END$".to_owned()),
        columns,
        skills: None,
        states: StateTable::cms_names(),
        aux_reasons: Words::default(),
        directions: Words::default(),
        null: vec![String::new(), "N/A".to_owned()],
        extra_fields: ExtraFields::Error,
    }
}

fn every_column() -> Vec<ColumnSpec> {
    let form = |column| {
        let format = matches!(column, Column::StateStart).then(|| "%d.%m.%Y_%H:%M:%S".to_owned());
        ColumnSpec { format, ..ColumnSpec::plain(column) }
    };
    Column::NAMES.iter().map(|(_, column)| form(*column)).collect()
}

fn rendered(layout: LayoutSpec, agent: &SimulatedAgent) -> String {
    let encoding = layout.encoding;
    let renderer = Renderer::new(Arc::new(layout), 3, "Europe/Berlin").unwrap();
    encoding.decode(&renderer.snapshot([agent], at()).bytes).into_owned()
}

#[test]
fn the_public_cisco_record_is_written_to_the_letter() {
    for (name, pairs) in [("cisco-icm-20", 20), ("cisco-icm-60", 60)] {
        let text = rendered(builtin::get(name).unwrap(), &agent());
        let zeros = " 0".repeat(2 * (pairs - 1));
        assert_eq!(text, format!("301204 80 0 0 0 232 0 1 801326 232 1{zeros}\n"));
        assert_eq!(text.split_whitespace().count(), 9 + 2 * pairs);
    }
}

#[test]
fn every_column_renders_behind_a_separator() {
    let mut spec = layout(FieldStyle::Separator(b'|'), every_column());
    spec.quote = Some(b'"');
    assert_eq!(
        rendered(spec, &agent()),
        "301204|RINGING|\"Jörg \"\"J\"\" Müßig|?uk\"|0||232|801326|75|1783238410|05.07.2026_09:58:55|3|TOP|0|Leipzig 2||\
         232|1|0\r\nEND\r\n"
    );
}

#[test]
fn every_column_renders_between_blanks() {
    let spec = layout(FieldStyle::Whitespace, every_column());
    assert_eq!(
        rendered(spec, &agent()),
        "301204 RINGING Jörg_\"J\"_Müßig|?uk 0 N/A 232 801326 75 1783238410 05.07.2026_09:58:55 3 TOP 0 Leipzig_2 N/A \
         232 1 0\r\nEND\r\n"
    );
}

#[test]
fn every_column_renders_in_its_place() {
    let width = 20;
    let place = |(index, spec): (usize, ColumnSpec)| ColumnSpec {
        place: Some(FieldPlace { at: index * width, width }),
        ..spec
    };
    let columns: Vec<_> = every_column().into_iter().enumerate().map(place).collect();
    let mut spec = layout(FieldStyle::FixedWidth, columns);
    spec.framing = Framing::Length(400);
    let text = rendered(spec, &agent());
    let fields: Vec<String> = text.chars().collect::<Vec<_>>().chunks(width).map(String::from_iter).collect();
    assert_eq!(text.chars().count(), 800);
    let trimmed: Vec<&str> = fields.iter().map(|field| field.trim_end()).collect();
    let record = [
        "301204",
        "RINGING",
        "Jörg \"J\" Müßig|?uk",
        "0",
        "",
        "232",
        "801326",
        "75",
        "1783238410",
        "05.07.2026_09:58:55",
        "3",
        "TOP",
        "0",
        "Leipzig 2",
        "",
        "232",
        "1",
        "0",
        "",
        "",
        "END",
    ];
    assert_eq!(trimmed[..21], record);
}

#[test]
fn fixed_width_never_cuts_a_character() {
    let mut name = ColumnSpec::plain(Column::Name);
    name.place = Some(FieldPlace { at: 0, width: 2 });
    let mut spec = layout(FieldStyle::FixedWidth, vec![name]);
    spec.encoding = Encoding::Utf8;
    spec.marker = None;
    assert_eq!(rendered(spec, &agent()), "J \r\n");
}

#[test]
fn places_in_characters_do_not_shift() {
    let place = |column, at, width| ColumnSpec { place: Some(FieldPlace { at, width }), ..ColumnSpec::plain(column) };
    let columns = vec![place(Column::Name, 0, 5), place(Column::LoginId, 5, 8), place(Column::Extension, 14, 7)];
    let mut spec = layout(FieldStyle::FixedCharacters, columns);
    spec.marker = None;
    for (encoding, record) in [
        (Encoding::Utf8, &b"J\xC3\xB6rg 301204   801326 \r\n"[..]),
        (Encoding::Iso8859_1, b"J\xF6rg 301204   801326 \r\n"),
    ] {
        spec.encoding = encoding;
        let renderer = Renderer::new(Arc::new(spec.clone()), 1, "UTC").unwrap();
        let bytes = renderer.snapshot([&agent()], Timestamp::default()).bytes;
        assert_eq!(bytes.escape_ascii().to_string(), record.escape_ascii().to_string());
    }
}

#[test]
fn groups_are_filled_or_end_with_the_skills() {
    let mut agent = agent();
    agent.skills.push(Skill { skill: 101, level: 52 });
    let groups = |repeat, empty: Option<&str>| {
        let columns = [Column::Skill, Column::Ignored, Column::Level].map(ColumnSpec::plain).to_vec();
        let mut spec = layout(FieldStyle::Separator(b';'), vec![ColumnSpec::plain(Column::LoginId)]);
        spec.marker = None;
        spec.skills = Some(SkillGroups { columns, repeat, empty: empty.map(str::to_owned), at: None });
        spec
    };
    assert_eq!(rendered(groups(Repeat::Rest, None), &agent), "301204;232;0;1;101;0;52\r\n");
    assert_eq!(rendered(groups(Repeat::Times(3), Some("-")), &agent), "301204;232;0;1;101;0;52;-;0;0\r\n");
    assert_eq!(rendered(groups(Repeat::Times(1), None), &agent), "301204;232;0;1\r\n");
}

#[test]
fn one_row_per_skill_where_skill_is_a_plain_column() {
    let mut agent = agent();
    agent.skills.push(Skill { skill: 101, level: 52 });
    let columns = [Column::LoginId, Column::State, Column::Skill, Column::Level].map(ColumnSpec::plain).to_vec();
    let text = rendered(layout(FieldStyle::Separator(b','), columns), &agent);
    assert_eq!(text, "301204,RINGING,232,1\r\n301204,RINGING,101,52\r\nEND\r\n");
}

#[test]
fn a_listener_sees_what_the_layout_shows() {
    let mut agent = agent();
    agent.state = SimulatedState {
        mode: Mode::Aux,
        direction: Direction::Out,
        on_hold: true,
        aux_reason: 3,
        work_split: None,
        since: at(),
    };
    let cisco = Renderer::new(Arc::new(builtin::get("cisco-icm-20").unwrap()), 1, "UTC").unwrap();
    let seen = cisco.visible(&agent);
    assert_eq!((seen.mode, seen.direction, seen.on_hold), (Mode::Aux, Direction::Out, true));
    assert_eq!((seen.aux_reason, seen.work_split, seen.skills.len()), (Some(3), None, 1));
    let names = layout(FieldStyle::Separator(b'|'), vec![ColumnSpec::plain(Column::State)]);
    let names = Renderer::new(Arc::new(names), 1, "UTC").unwrap();
    let seen = names.visible(&agent);
    assert_eq!((seen.mode, seen.direction, seen.on_hold), (Mode::Aux, Direction::None, false));
    assert_eq!((seen.aux_reason, seen.skills.len()), (None, 0));
}

#[test]
fn reasons_and_directions_are_spelled_in_the_words_of_the_site() {
    let mut agent = agent();
    let columns = [Column::State, Column::AuxReason, Column::Direction].map(ColumnSpec::plain).to_vec();
    let mut spec = layout(FieldStyle::Separator(b'|'), columns);
    spec.marker = None;
    let reasons = [("Pause|3", 3), ("Öğle", 3), ("Zu Tisch", 3), ("Essen", 3), ("5", 4)];
    spec.aux_reasons = Words::new(reasons.map(|(word, reason)| (word.to_owned(), reason)));
    spec.directions = Words::new([("ein".to_owned(), Direction::In), ("OUT".to_owned(), Direction::In)]);
    let cases = [
        // The first that the layout can carry.
        (3, Direction::In, "AUX|Zu Tisch|ein\r\n", Some(3), Direction::In),
        // A number that is a word for another one cannot be spelled, nor can a direction.
        (5, Direction::Out, "AUX||\r\n", None, Direction::None),
        (4, Direction::In, "AUX|5|ein\r\n", Some(4), Direction::In),
        (6, Direction::None, "AUX|6|\r\n", Some(6), Direction::None),
    ];
    for (aux_reason, direction, text, seen_reason, seen_direction) in cases {
        agent.state = SimulatedState { mode: Mode::Aux, direction, aux_reason, ..agent.state };
        assert_eq!(rendered(spec.clone(), &agent), text);
        let seen = Renderer::new(Arc::new(spec.clone()), 1, "UTC").unwrap().visible(&agent);
        assert_eq!((seen.aux_reason, seen.direction), (seen_reason, seen_direction), "{text}");
    }
    spec.fields = FieldStyle::Whitespace;
    agent.state = SimulatedState { aux_reason: 3, direction: Direction::In, ..agent.state };
    assert_eq!(rendered(spec, &agent), "AUX Pause|3 ein\r\n");
}

#[test]
fn what_cannot_be_rendered_is_refused() {
    let spec = Arc::new(builtin::get("cisco-icm-20").unwrap());
    assert!(matches!(Renderer::new(spec, 1, "Europe/Berlim"), Err(SimulateError::TimeZone { .. })));
    let column = ColumnSpec { format: Some("%!".to_owned()), ..ColumnSpec::plain(Column::Timestamp) };
    let spec = layout(FieldStyle::Separator(b'|'), vec![column]);
    assert!(matches!(Renderer::new(Arc::new(spec), 1, "UTC"), Err(SimulateError::TimeFormat { .. })));
}
