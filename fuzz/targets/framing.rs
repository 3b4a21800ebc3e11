//! Framing: how the bytes of a stream were received changes nothing.
//!
//! For any layout, any stream and any two ways of chunking it:
//! * the same records come out, at the same offsets, with the same verdict about their length;
//! * a record is never longer than `max_record`, and is what stands in the stream at its offset;
//! * offsets grow, and what is left at the end is the tail of the stream;
//! * after each chunk, what the framer keeps is less than a record with its end;
//! * a run without a record is a byte order mark or form feeds, which belong to none.
#![no_main]

use arbitrary::{Result, Unstructured};
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rtalink::wire::framing::{Ends, Framer, Piece};
use rtalink::wire::layout::Framing;
use rtalink_fuzz::{chunks, feed, layout};

#[derive(Debug, PartialEq)]
enum Cut {
    Record { offset: u64, bytes: Vec<u8>, too_long: bool },
    Torn { offset: u64, bytes: Vec<u8> },
}

fn cut(ends: &Ends, most_kept: usize, chunks: &[&[u8]]) -> Vec<Cut> {
    let mut framer = Framer::default();
    let mut buffer = BytesMut::new();
    let mut cuts = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        while let Some(piece) = framer.next(ends, &mut buffer) {
            match piece {
                Piece::Records(run) => {
                    let end = run.offset + run.bytes.len() as u64;
                    let before = cuts.len();
                    let is_passed_over = run.bytes.iter().all(|byte| b"\xef\xbb\xbf\x0c".contains(byte));
                    cuts.extend(ends.records(&run).map(|frame| Cut::Record {
                        offset: frame.offset,
                        bytes: frame.bytes.to_vec(),
                        too_long: frame.too_long,
                    }));
                    assert!(cuts.len() > before || is_passed_over, "a run without a record");
                    assert!(
                        cuts.len() == before
                            || matches!(cuts.last(), Some(Cut::Record { offset, .. }) if *offset < end)
                    );
                }
                Piece::TooLong(run) => {
                    cuts.push(Cut::Record { offset: run.offset, bytes: run.bytes.to_vec(), too_long: true });
                }
            }
        }
        assert!(buffer.len() <= most_kept, "{} bytes are kept, at most {most_kept} expected", buffer.len());
    }
    if let Some(run) = framer.finish(&mut buffer) {
        cuts.push(Cut::Torn { offset: run.offset, bytes: run.bytes.to_vec() });
    }
    assert!(buffer.is_empty());
    cuts
}

fn check(framing: Framing, max_record: usize, stream: &[u8], u: &mut Unstructured<'_>) -> Result<()> {
    let most_kept = match &framing {
        // A CR may belong to the end.
        Framing::Terminator(end) => (max_record + end.len()).max(2),
        // The beginning of a byte order mark waits for the rest.
        Framing::Length(length) => (length - 1).max(2),
    };
    let ends = Ends::new(framing, max_record);
    let whole = cut(&ends, most_kept, &[stream]);
    let pieces = cut(&ends, most_kept, &chunks(u, stream)?);
    assert_eq!(whole, pieces);
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(whole, cut(&ends, most_kept, &single));

    let mut next = 0;
    for cut in &whole {
        let (Cut::Record { offset, bytes, .. } | Cut::Torn { offset, bytes }) = cut;
        assert!(*offset >= next, "offsets go back");
        let at = usize::try_from(*offset).unwrap_or(usize::MAX);
        assert!(stream.get(at..).is_some_and(|rest| rest.starts_with(bytes)), "other bytes than the stream has");
        match cut {
            Cut::Record { too_long, .. } => {
                assert!(bytes.len() <= max_record);
                assert!(!too_long || bytes.len() == max_record);
            }
            Cut::Torn { .. } => assert_eq!(at + bytes.len(), stream.len()),
        }
        next = *offset + bytes.len() as u64;
    }
    Ok(())
}

fn run(input: &[u8]) -> Result<()> {
    if let Some((layout, stream)) = layout::from_text(input) {
        return check(layout.framing.clone(), layout.max_record, stream, &mut Unstructured::new(stream));
    }
    let mut u = Unstructured::new(input);
    let layout = layout::arbitrary(&mut u)?;
    let stream = match u.arbitrary()? {
        true => feed::records(&mut u, &layout, 8)?,
        false => {
            let length = u.len() / 2;
            u.bytes(length)?.to_vec()
        }
    };
    check(layout.framing, layout.max_record, &stream, &mut u)
}

fuzz_target!(|input: &[u8]| {
    // An input that is used up says nothing.
    let _ = run(input);
});
