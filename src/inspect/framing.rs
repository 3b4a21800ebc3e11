//! Where records end.
//!
//! Line ends come first: nearly every report has them. Where there are none, the end is what every burst ends with. Where
//! bursts end with nothing in common, records have one length: the shortest distance at which bytes look alike.

use crate::wire::layout::{DEFAULT_MAX_RECORD, Framing};

use super::class::Class;
use super::feed::Feed;
use super::finding::Finding;

/// Bytes that are looked at to compare distances.
const COMPARED: usize = 40_000;

/// Finds it. `None`: nothing of the kind is in these bytes.
pub(super) fn find(feed: &Feed) -> Option<Finding<Framing>> {
    if feed.is_empty() {
        return None;
    }
    line_end(feed).or_else(|| common_end(feed)).or_else(|| length(feed))
}

/// LF or CR, or another control character that ends most bursts.
fn line_end(feed: &Feed) -> Option<Finding<Framing>> {
    let total = feed.len();
    let lines = |byte: u8| feed.streams().map(|stream| memchr::memchr_iter(byte, stream).count()).sum::<usize>();
    for (byte, name) in [(b'\n', "LF"), (b'\r', "CR")] {
        let count = lines(byte);
        if count > 0 && total / count <= DEFAULT_MAX_RECORD {
            let end = widened(feed, byte);
            let with_cr = lines(b'\r');
            let cr = if byte == b'\n' && with_cr == count { ", each with a CR before it" } else { "" };
            let evidence = format!("{count} times {name} in {total} bytes{cr}");
            return Some(Finding::sure(Framing::Terminator(end), 0.99, evidence));
        }
    }
    let bursts = feed.bursts();
    let ending_with = |byte: u8| bursts.iter().filter(|burst| burst.last() == Some(&byte)).count();
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let candidates = (0..=0x1f_u8).filter(is_control).map(|byte| (ending_with(byte), byte));
    let (ended, byte) = candidates.max()?;
    let count = lines(byte);
    let is_end = ended * 10 >= bursts.len() * 9 && count >= bursts.len() && total / count.max(1) <= DEFAULT_MAX_RECORD;
    is_end.then(|| {
        let evidence = format!("0x{byte:02x} ends {ended} of {} bursts and occurs {count} times", bursts.len());
        Finding::sure(Framing::Terminator(widened(feed, byte)), 0.95, evidence)
    })
}

/// Returns the end with the control characters that are always around it, CR before LF excepted.
fn widened(feed: &Feed, byte: u8) -> Vec<u8> {
    let neighbour = |end: &[u8], after: bool| -> Option<u8> {
        let mut all = None;
        for stream in feed.streams() {
            for at in memchr::memmem::find_iter(stream, end) {
                let found =
                    if after { stream.get(at + end.len()) } else { at.checked_sub(1).and_then(|at| stream.get(at)) };
                // The last one of a stream has nothing after it.
                let Some(&found) = found else { continue };
                if all.is_some_and(|all| all != found) {
                    return None;
                }
                all = Some(found);
            }
        }
        all.filter(|found| found.is_ascii_control() && *found != b'\t' && *found != byte)
    };
    let mut end = vec![byte];
    while let Some(before) = neighbour(&end, false).filter(|before| *before != b'\r' && end.len() < 4) {
        end.insert(0, before);
    }
    while let Some(after) = neighbour(&end, true).filter(|_| end.len() < 4) {
        end.push(after);
    }
    end
}

/// Printable bytes that end every burst, as `~` or `$$` do.
fn common_end(feed: &Feed) -> Option<Finding<Framing>> {
    let bursts = feed.bursts();
    let count = |end: &[u8]| feed.streams().map(|stream| memchr::memmem::find_iter(stream, end).count()).sum::<usize>();
    let ends_all = |end: &[u8]| bursts.iter().filter(|burst| burst.ends_with(end)).count() * 10 >= bursts.len() * 9;
    let first = *bursts.first()?;
    let last = *first.last()?;
    let is_mark = |byte: u8| Class::of(byte) == Class::Other;
    if !is_mark(last) || !ends_all(&[last]) {
        return None;
    }
    let mut end = vec![last];
    // `$$` rather than `$`: where both occur equally often, the longer one is meant.
    while let Some(before) = first.len().checked_sub(end.len() + 1).and_then(|at| first.get(at)) {
        let longer = [&[*before], end.as_slice()].concat();
        let is_same = end.iter().all(|byte| byte == before);
        let expected = if is_same { count(&end) * end.len() / longer.len() } else { count(&end) };
        if !is_mark(*before) || end.len() == 4 || !ends_all(&longer) || count(&longer) < expected {
            break;
        }
        end = longer;
    }
    let records = count(&end);
    let is_plausible = records >= 2 && records >= bursts.len() && feed.len() / records <= DEFAULT_MAX_RECORD;
    is_plausible.then(|| {
        let text = String::from_utf8_lossy(&end).into_owned();
        let evidence = format!("{text:?} ends every burst and occurs {records} times");
        Finding::sure(Framing::Terminator(end), 0.9, evidence)
    })
}

/// Records of one length without an end.
fn length(feed: &Feed) -> Option<Finding<Framing>> {
    let bursts = feed.bursts();
    let common = bursts.iter().map(|burst| burst.len()).reduce(greatest_common_divisor)?;
    let stream = bursts.iter().flat_map(|burst| burst.iter()).take(COMPARED).map(|byte| Class::of(*byte));
    let classes: Vec<Class> = stream.collect();
    let alike = |distance: usize| {
        // Padding is alike at any distance.
        let pairs = classes.iter().zip(classes.iter().skip(distance));
        let told = pairs.filter(|(one, other)| **one != Class::Blank || **other != Class::Blank);
        let (same, all) = told.fold((0, 0), |(same, all), (one, other)| (same + usize::from(one == other), all + 1));
        same as f64 / f64::from(all.max(1))
    };
    let longest = common.min(DEFAULT_MAX_RECORD).min(classes.len() / 2);
    // A record is never all padding.
    let is_filled = |length: &usize| {
        let records = classes.chunks_exact(*length);
        let blank = records.clone().filter(|record| record.iter().all(|class| *class == Class::Blank)).count();
        blank * 10 <= records.len()
    };
    let divisors = (4..=longest).filter(|length| common.is_multiple_of(*length)).filter(is_filled);
    let score = |length: usize| {
        let multiples: Vec<f64> =
            (1..=3).map(|times| times * length).filter(|far| *far * 2 < classes.len()).map(alike).collect();
        multiples.iter().sum::<f64>() / multiples.len().max(1) as f64
    };
    let scored: Vec<(usize, f64)> = divisors.map(|length| (length, score(length))).collect();
    let best = scored.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    // Several records that come in the same order each time are even more alike than one: the shortest counts.
    let (length, score) = scored.into_iter().find(|(_, score)| *score >= 0.85 * best)?;
    let percent = (score * 100.0).round();
    let evidence = format!(
        "no byte ends every burst; bursts are multiples of {common} bytes, and {percent} % of the bytes look like those {length} further"
    );
    Some(Finding::sure(Framing::Length(length), 0.8, evidence))
}

const fn greatest_common_divisor(mut one: usize, mut other: usize) -> usize {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_records_are_found() {
        let length = b"301204 ACD   12301205 AUX   7 301206 ACD  250".repeat(3);
        let cases: [(&[u8], Framing); 7] = [
            (b"1|ACD\n2|AUX\n", Framing::Terminator(b"\n".to_vec())),
            (b"1|ACD\r\n2|AUX\r\n", Framing::Terminator(b"\n".to_vec())),
            (b"1|ACD\r2|AUX\r", Framing::Terminator(b"\r".to_vec())),
            (b"1|ACD\x1e2|AUX\x1e", Framing::Terminator(b"\x1e".to_vec())),
            (b"1|ACD\x03\n2|AUX\x03\n", Framing::Terminator(b"\x03\n".to_vec())),
            (b"1|ACD$$2|AUX$$3|A$$", Framing::Terminator(b"$$".to_vec())),
            (&length, Framing::Length(15)),
        ];
        for (bytes, framing) in cases {
            let found = find(&Feed::raw(bytes)).map(|found| found.value);
            assert_eq!(found, Some(framing), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert!(find(&Feed::raw(b"")).is_none());
    }
}
