use proptest::prelude::*;

use super::*;

/// Returns everything that comes out of `chunks`: records as text, `>` before one that is too long, `~` before a torn one.
fn cut(ends: &Ends, chunks: &[&[u8]]) -> Vec<(u64, String)> {
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut out = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(piece) = framer.next(ends, &mut buffer) {
            match piece {
                Piece::TooLong(run) => out.push((run.offset, format!(">{}", text(&run.bytes)))),
                Piece::Records(run) => out.extend(ends.records(&run).map(|frame| {
                    let mark = if frame.too_long { ">" } else { "" };
                    (frame.offset, format!("{mark}{}", text(frame.bytes)))
                })),
            }
        }
        let most = ends.max_record + ends.terminator_len() + 1;
        assert!(buffer.len() <= most || matches!(ends.framing, Framing::Length(_)));
    }
    if let Some(rest) = framer.finish(&mut buffer) {
        out.push((rest.offset, format!("~{}", text(&rest.bytes))));
    }
    out
}

fn terminated(end: &str, max_record: usize) -> Ends {
    Ends::new(Framing::Terminator(end.as_bytes().to_vec()), max_record)
}

#[test]
fn records_end_where_the_layout_says() {
    let cases: [(Ends, &str, &str); 17] = [
        (terminated("\n", 9), "a\nb\r\n\nc", "a|b||~c"),
        (terminated("\r\n", 9), "a\r\nb\nc\r\n", "a|b\nc"),
        (terminated("||", 9), "a||b|||", "a|b|~|"),
        (terminated("\n", 4), "abcd\r\nabcde\nx\n", "abcd|>abcd|x"),
        (terminated("\n", 4), "abcdefghijkl", ">abcd"),
        (Ends::new(Framing::Length(3), 9), "abcdefgh", "abc|def|~gh"),
        (terminated("\0", 9), "a\0b\0", "a|b"),
        (terminated("\n", 9), "\u{feff}a\n\u{feff}b\n", "a|\u{feff}b"),
        (terminated("\n", 9), "\u{feff}\u{feff}a\n", "\u{feff}a"),
        (terminated("\n", 9), "\u{feff}\x0ca\n\x0c\x0cb\n\x0c\r\n\x0c", "a|b|"),
        (terminated("\n", 9), "\x0c\u{feff}a\nb\x0c\n\x0cc", "\u{feff}a|b\x0c|~c"),
        (terminated("\n", 2), "\u{feff}\x0c\x0c\x0cab\n\x0cabc\n", "ab|>ab"),
        (terminated("\x0c", 9), "\x0ca\x0c", "|a"),
        (terminated("\n", 9).keeping_form_feeds(), "\x0ca\n", "\x0ca"),
        (Ends::new(Framing::Length(3), 9), "\u{feff}abc\x0cdef\x0c", "abc|def"),
        (Ends::new(Framing::Length(3), 9), "abc\x0c\x0cdef\x0cg", "abc|def|~g"),
        (terminated("\n", 9), "\u{feff}", ""),
    ];
    for (ends, input, expected) in cases {
        let records: Vec<String> = cut(&ends, &[input.as_bytes()]).into_iter().map(|(_, text)| text).collect();
        assert_eq!(records.join("|"), expected, "{input:?}");
    }
}

#[test]
fn an_endless_record_is_reported_once_and_holds_no_memory() {
    let ends = terminated("\n", 64);
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut reported = 0;
    for _ in 0..1_000 {
        buffer.extend_from_slice(&[b'x'; 1_000]);
        while framer.next(&ends, &mut buffer).is_some() {
            reported += 1;
        }
        assert!(buffer.len() < 1_000);
    }
    assert_eq!(reported, 1);
    buffer.extend_from_slice(b"\nnext\n");
    let Some(Piece::Records(run)) = framer.next(&ends, &mut buffer) else { panic!("resynchronised") };
    assert_eq!((run.bytes.as_ref(), run.offset), (&b"next\n"[..], 1_000_001));
}

#[test]
fn what_is_passed_over_is_no_half_record_and_counts_for_offsets() {
    let ends = terminated("\n", 9);
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut offsets = Vec::new();
    // The mark comes byte by byte, and a page ends before the next one begins.
    for chunk in ["\u{feff}", "a\n\x0c", "b", "\n", "\x0c", "\x0cc\n"] {
        for byte in chunk.bytes() {
            buffer.extend_from_slice(&[byte]);
            while let Some(piece) = framer.next(&ends, &mut buffer) {
                let Piece::Records(run) = piece else { panic!("nothing is too long") };
                offsets.extend(ends.records(&run).map(|frame| frame.offset));
            }
        }
        assert_eq!(framer.is_half_read(&buffer), chunk == "b", "{chunk:?}");
    }
    assert_eq!(offsets, [3, 6, 10]);
    assert_eq!(framer.finish(&mut buffer), None);
}

proptest! {
    #[test]
    fn chunking_changes_nothing(
        input in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'|'), Just(b'\n'), Just(b'\r'), Just(0x0c)], 0..60),
        has_mark in any::<bool>(),
        cuts in proptest::collection::vec(0_usize..60, 0..6),
        framing in prop_oneof![
            prop_oneof![Just("\n"), Just("||"), Just("\n\n"), Just("|a|"), Just("\x0c\n")]
                .prop_map(|end| Framing::Terminator(end.into())),
            (1_usize..5).prop_map(Framing::Length),
        ],
    ) {
        let ends = Ends::new(framing, 5);
        let mark = if has_mark { BYTE_ORDER_MARK } else { &[] };
        let input = [mark, &input].concat();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.sort_unstable();
        let mut chunks = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([input.len()]) {
            chunks.push(&input[from..cut]);
            from = cut;
        }
        prop_assert_eq!(cut(&ends, &chunks), cut(&ends, &[&input]));
    }
}
