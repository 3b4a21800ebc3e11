use std::sync::Arc;

use rand::SeedableRng;

use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::layout::{ColumnSpec, FieldPlace, LayoutSpec, builtin};
use crate::wire::plan::Plan;
use crate::wire::states::StateTable;

use super::*;

fn columns(columns: &[Column]) -> LayoutSpec {
    LayoutSpec {
        columns: columns.iter().copied().map(ColumnSpec::plain).collect(),
        fields: FieldStyle::Separator(b'|'),
        states: StateTable::cms_names(),
        skills: None,
        ..builtin::get("cisco-icm-20").unwrap()
    }
}

fn fixed_width(framing: Framing) -> LayoutSpec {
    let mut layout = columns(&[Column::LoginId, Column::State, Column::Duration]);
    for (column, (at, width)) in layout.columns.iter_mut().zip([(0, 8), (8, 8), (16, 6)]) {
        column.place = Some(FieldPlace { at, width });
    }
    LayoutSpec { fields: FieldStyle::FixedWidth, framing, max_record: 64, ..layout }
}

fn layouts() -> Vec<(&'static str, LayoutSpec)> {
    let plain = [Column::LoginId, Column::State, Column::AuxReason, Column::Direction, Column::Duration];
    let end = || Framing::Terminator(b"\n".to_vec());
    vec![
        ("cisco 20", builtin::get("cisco-icm-20").unwrap()),
        ("cisco 60", builtin::get("cisco-icm-60").unwrap()),
        ("separator", columns(&plain)),
        ("login id last", columns(&[Column::State, Column::Duration, Column::LoginId])),
        ("ACD last", columns(&[Column::LoginId, Column::State, Column::Acd])),
        ("ACD in the middle", columns(&[Column::Acd, Column::LoginId, Column::State])),
        ("full length", LayoutSpec { framing: Framing::Length(48), max_record: 48, ..columns(&plain) }),
        ("fixed width", fixed_width(end())),
        ("fixed width, full length", fixed_width(Framing::Length(64))),
    ]
}

#[test]
fn a_listener_reads_the_login_id_of_just_the_kinds_that_tell_it() {
    for (name, layout) in layouts() {
        let plan = Plan::compile(&layout, "UTC").unwrap();
        let renderer = Renderer::new(Arc::new(layout), 1, "UTC").unwrap();
        let mut decoder = Decoder::default();
        let mut check = |kinds: &[Vec<u8>], tells: bool| {
            for kind in kinds {
                let line = kind.strip_suffix(b"\n").unwrap_or(kind);
                let frame = &line[..line.len().min(plan.ends().max_record())];
                let text = String::from_utf8_lossy(line);
                let is_invalid =
                    frame.len() < line.len() || decoder.decode(&plan, frame, Timestamp::default()).is_err();
                assert!(is_invalid, "{name}: {text:?}");
                let identity = decoder.identify(&plan, frame, false).map(|identity| identity.login_id.to_owned());
                assert_eq!(identity.as_deref(), tells.then_some(NOBODY), "{name}: {text:?}");
            }
        };
        let Garbage { readable, unreadable } = Garbage::new(&renderer);
        check(&readable, true);
        check(&unreadable, false);
        assert!(readable.len() + unreadable.len() > 2, "{name}");
        assert_eq!(readable.is_empty(), matches!(name, "login id last" | "ACD last"), "{name}");
    }
}

#[test]
fn the_doubt_is_of_the_lines_that_were_put_in() {
    let (_, layout) = layouts().swap_remove(2);
    let renderer = Renderer::new(Arc::new(layout), 1, "UTC").unwrap();
    let garbage = Garbage::new(&renderer);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let clean =
        RenderedSnapshot { bytes: b"301204|AVAIL|0||1\n".repeat(400), ends: (1..=400).map(|end| end * 18).collect() };
    for may_hide_ids in [false, true] {
        let mut dirty = clean.clone();
        let doubt = garbage.spread(&mut dirty, may_hide_ids, &mut rng);
        let lines = dirty.bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(lines, 400 + doubt.lines);
        assert_eq!(doubt, Doubt { lines: doubt.lines, hides_login_id: may_hide_ids, names_stranger: true });
    }
}
