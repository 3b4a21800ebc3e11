use proptest::prelude::*;

use super::*;
use crate::wire::layout::builtin;
use crate::wire::marks::Marks;
use crate::wire::plan::Plan;

/// A field with its place, and whether anything follows.
type Walked<'a> = (&'a [u8], Area, bool);

/// Goes through a frame. Returns its fields, and why there is no further one.
fn walk<'a>(mut fields: impl Fields<'a>, column: &PlanColumn) -> (Vec<Walked<'a>>, Reason) {
    let mut walked = Vec::new();
    loop {
        assert_eq!(fields.has_more(), !fields.is_cut_off());
        match fields.next(column) {
            Ok(field) => walked.push((field.bytes, fields.last_area(), fields.has_more())),
            Err(reason) => return (walked, reason),
        }
    }
}

proptest! {
    /// What is marked in advance is what the parsers find one after the other.
    #[test]
    fn marked_fields_are_those_that_the_parsers_find(
        frame in prop::collection::vec(prop::sample::select(&b"  \t|a0\xfc"[..]), 0..150),
    ) {
        let plan = Plan::compile(&builtin::get("cisco-icm-20").unwrap(), "UTC").unwrap();
        let column = &plan.columns[0];
        let mut marks = Marks::default();
        for separator in [b'|', b'\t', b' '] {
            marks.mark(&frame, [separator]).unwrap();
            let marked = walk(Marked::<false>::new(&frame, marks.cursor()), column);
            prop_assert_eq!(marked, walk(Separated::new(&frame, separator, None), column));
        }
        let trimmed = trim_end(&frame);
        marks.mark(trimmed, [b' ', b'\t']).unwrap();
        let marked = walk(Marked::<true>::new(trimmed, marks.cursor()), column);
        prop_assert_eq!(marked, walk(BlankSeparated::new(&frame, None), column));
    }
}
