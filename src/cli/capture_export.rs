//! `rtalink capture export`: the bytes of a capture, as they were received.
//!
//! Connections come one after the other, in the order in which they were opened. What came on a later one while an earlier one was
//! open waits in memory: at most [`MOST_WAITING`].

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::capture::{CaptureEntry, Happening};
use crate::wire::encoding::Encoding;

use super::capture_lines;
use super::feed_input::FeedInput;
use super::layout_choice::{self, LayoutChoice};
use super::output::stdout;
use super::paragraphs::plural;

/// Most bytes that wait for the end of an earlier connection.
const MOST_WAITING: usize = 64 * 1024 * 1024;

/// Writes the bytes of a capture as they were received.
///
/// One connection after the other. Text is encoded as its connection says; in a capture written by hand, as --encoding or the
/// layout says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink capture export monday.capture --output monday.bin")]
pub(super) struct Args {
    /// The capture; - for stdin.
    capture: PathBuf,
    /// File to write, which must not exist, for its owner alone; stdout unless given.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only this connection, counted from 1 in the order in which they were opened.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connection: Option<u64>,
    /// Encoding of text on connections that do not say.
    #[arg(long, value_name = "NAME", value_parser = layout_choice::encoding)]
    encoding: Option<Encoding>,
    #[command(flatten)]
    which: LayoutChoice,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let encoding = match args.encoding {
        Some(encoding) => Some(encoding),
        None => args.which.layout()?.map(|(layout, _)| layout.encoding),
    };
    let mut input = FeedInput::open(Some(&args.capture))?;
    if !input.is_capture()? {
        bail!("{} is no capture: its first line is no JSON object with \"at\"", input.name);
    }
    let out: Box<dyn Write> = match &args.output {
        Some(path) => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            Box::new(BufWriter::new(file.with_context(|| format!("cannot create {}", path.display()))?))
        }
        None => Box::new(stdout()),
    };
    let mut export = Export::new(out, args.connection);
    for entry in capture_lines::entries_of(input, encoding) {
        export.take(entry?)?;
    }
    let Exported { connections, bytes } = export.finish()?;
    if let Some(wanted) = args.connection.filter(|wanted| *wanted > connections) {
        bail!("there is no connection {wanted}: the capture has {connections}");
    }
    let of = match args.connection {
        Some(number) => format!("connection {number} of {connections}"),
        None => format!("{connections} connection{}", plural(connections)),
    };
    eprintln!("{bytes} bytes of {of}");
    Ok(())
}

/// A connection that has begun and is not written in full.
struct Open {
    /// Its number in the capture; `None` once it has been closed.
    number: Option<u64>,
    is_wanted: bool,
    /// What came while an earlier one was open.
    waiting: Vec<u8>,
}

struct Export<W> {
    out: W,
    wanted: Option<u64>,
    /// In the order in which they were opened; what comes on the first is written at once.
    open: VecDeque<Open>,
    waiting: usize,
    done: Exported,
}

/// What was written.
#[derive(Debug, PartialEq, Eq)]
struct Exported {
    connections: u64,
    bytes: u64,
}

impl<W: Write> Export<W> {
    fn new(out: W, wanted: Option<u64>) -> Self {
        let done = Exported { connections: 0, bytes: 0 };
        Self { out, wanted, open: VecDeque::new(), waiting: 0, done }
    }

    fn take(&mut self, entry: CaptureEntry) -> anyhow::Result<()> {
        match entry.happening {
            Happening::Open { .. } => {
                self.close(entry.connection)?;
                self.begin(entry.connection);
                Ok(())
            }
            Happening::Data(bytes) => self.data(entry.connection, &bytes),
            Happening::Close => self.close(entry.connection),
        }
    }

    fn begin(&mut self, number: u64) {
        self.done.connections += 1;
        let is_wanted = self.wanted.is_none_or(|wanted| wanted == self.done.connections);
        self.open.push_back(Open { number: Some(number), is_wanted, waiting: Vec::new() });
    }

    fn data(&mut self, number: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let place = |open: &VecDeque<Open>| open.iter().position(|open| open.number == Some(number));
        let at = place(&self.open).unwrap_or_else(|| {
            self.begin(number);
            self.open.len() - 1
        });
        let Some(open) = self.open.get_mut(at).filter(|open| open.is_wanted) else { return Ok(()) };
        if at == 0 || self.wanted.is_some() {
            self.done.bytes += bytes.len() as u64;
            return Ok(self.out.write_all(bytes)?);
        }
        open.waiting.extend_from_slice(bytes);
        self.waiting += bytes.len();
        if self.waiting > MOST_WAITING {
            let first = self.done.connections + 1 - self.open.len() as u64;
            bail!(
                "connection {first} is open while {} MiB come on others: choose a connection with --connection",
                MOST_WAITING >> 20
            );
        }
        Ok(())
    }

    fn close(&mut self, number: u64) -> anyhow::Result<()> {
        self.open.iter_mut().filter(|open| open.number == Some(number)).for_each(|open| open.number = None);
        while let Some(ended) = self.next_ended() {
            self.flush(&ended.waiting)?;
            // What has waited for this one is next.
            if let Some(next) = self.open.front_mut() {
                let waiting = std::mem::take(&mut next.waiting);
                self.flush(&waiting)?;
            }
        }
        Ok(())
    }

    fn next_ended(&mut self) -> Option<Open> {
        if self.open.front()?.number.is_some() { None } else { self.open.pop_front() }
    }

    fn flush(&mut self, waiting: &[u8]) -> anyhow::Result<()> {
        self.waiting -= waiting.len();
        self.done.bytes += waiting.len() as u64;
        Ok(self.out.write_all(waiting)?)
    }

    fn finish(mut self) -> anyhow::Result<Exported> {
        for open in std::mem::take(&mut self.open) {
            self.flush(&open.waiting)?;
        }
        self.out.flush()?;
        Ok(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn exported(acts: &[(u64, &str)], wanted: Option<u64>) -> (String, Exported) {
        let mut out = Vec::new();
        let mut export = Export::new(&mut out, wanted);
        for (connection, act) in acts {
            let happening = match *act {
                "open" => Happening::Open { peer: String::new(), encoding: None },
                "close" => Happening::Close,
                text => Happening::Data(text.as_bytes().to_vec()),
            };
            export.take(CaptureEntry { at: Timestamp::default(), connection: *connection, happening }).unwrap();
        }
        let done = export.finish().unwrap();
        (String::from_utf8(out).unwrap(), done)
    }

    #[test]
    fn connections_come_one_after_the_other_however_they_were_mixed() {
        let mixed = [
            (0, "a"),
            (1, "open"),
            (1, "b"),
            (2, "open"),
            (0, "a"),
            (2, "c"),
            (1, "b"),
            (1, "close"),
            (0, "open"),
            (0, "d"),
            (2, "c"),
            (0, "close"),
            (5, "e"),
        ];
        assert_eq!(exported(&mixed, None), ("aabbccde".to_owned(), Exported { connections: 5, bytes: 8 }));
        for (wanted, expected) in [(1, "aa"), (2, "bb"), (3, "cc"), (4, "d"), (5, "e"), (6, "")] {
            assert_eq!(exported(&mixed, Some(wanted)).0, expected, "{wanted}");
        }
        assert_eq!(exported(&[], None), (String::new(), Exported { connections: 0, bytes: 0 }));
    }

    #[test]
    fn so_much_waits_for_an_earlier_connection() {
        let mut export = Export::new(std::io::sink(), None);
        let entry = |connection, happening| CaptureEntry { at: Timestamp::default(), connection, happening };
        let mut take = |connection, bytes| export.take(entry(connection, Happening::Data(vec![b'x'; bytes])));
        take(0, 1).unwrap();
        take(1, MOST_WAITING).unwrap();
        let told = take(1, 1).unwrap_err().to_string();
        assert!(told.starts_with("connection 1 is open while 64 MiB come on others"), "{told}");
        println!("{} bytes behind an open connection, limit {MOST_WAITING}: {told}", MOST_WAITING + 1);
    }
}
