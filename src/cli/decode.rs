//! `rtalink decode`: a feed to one JSON line per record.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::BytesMut;
use clap::ArgGroup;

use crate::capture::Happening;
use crate::time::Timestamp;
use crate::tracker::settings::SnapshotEnd;
use crate::wire::decode::Decoder;
use crate::wire::framing::{Frame, Framer, Piece, Run};
use crate::wire::layout::Framing;
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;
use crate::wire::reason::Reason;

use super::capture_lines;
use super::decode_account::{DecodeAccount, OpenSnapshot, Reading};
use super::feed_input::FeedInput;
use super::layout_choice::{self, FeedOptions, LayoutChoice};
use super::output::stdout;
use super::record_lines::{ErrorLine, RecordLine};

/// Turns raw feed bytes, or a capture, into one JSON line per record, stateless, with all columns.
///
/// A bad record gives {"error": …, "offset": …, "raw": …} and decoding goes on. What was read, and what became of it, is told on
/// stderr. Which moment a local time is can depend on when it is received, if it occurs twice or has no date: in a capture that
/// is known, raw bytes count as received when decoding begins.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("which").args(["integration", "layout", "layout_file"]).required(true).multiple(true),
    after_help = "Example:\n  nc -l 7001 | rtalink decode --config rtalink.toml --integration avaya-1\n  rtalink decode --layout-file acme.toml monday.capture"
)]
pub(super) struct Args {
    #[command(flatten)]
    which: LayoutChoice,
    /// A capture, or a file with raw bytes; stdin if not given, or -.
    input: Option<PathBuf>,
    /// Without an integration: the IANA zone of local times in the feed; UTC unless given.
    #[arg(long, value_name = "ZONE", conflicts_with = "integration", value_parser = layout_choice::time_zone)]
    time_zone: Option<String>,
    /// Without an integration: what ends a snapshot, for the account; repeat, idle or marker. Unless given, marker if the layout
    /// has one, idle if it has one row per agent and skill, else repeat.
    #[arg(long, value_name = "END", conflicts_with = "integration", value_parser = layout_choice::snapshot_end)]
    snapshot_end: Option<SnapshotEnd>,
    /// Exit with 1 if a record is invalid.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let options =
        FeedOptions { time_zone: args.time_zone.clone(), snapshot_end: args.snapshot_end, ..FeedOptions::default() };
    let (_, integration, realtime) = args.which.feed(&options)?;
    let plan = Plan::compile(&realtime.layout, &integration.time_zone)?;
    let mut input = FeedInput::open(args.input.as_deref())?;
    let is_capture = input.is_capture()?;
    let reading = match (is_capture, input.is_stdin) {
        (true, _) => Reading::Capture,
        (false, true) => Reading::Stdin,
        (false, false) => Reading::File,
    };
    let mut lines = Lines {
        plan,
        decoder: Decoder::default(),
        account: DecodeAccount::new(&integration.settings, reading),
        out: stdout(),
    };
    let is_fixed_length = matches!(realtime.layout.framing, Framing::Length(_));
    if is_capture {
        lines.capture(input, realtime.layout.encoding)?;
    } else {
        lines.raw(input, is_fixed_length)?;
    }
    lines.out.flush()?;
    eprint!("{}", lines.account);
    match lines.account.invalid() {
        invalid @ 1.. if args.strict => bail!("{invalid} invalid record(s), and --strict is given"),
        _ => Ok(()),
    }
}

/// The bytes of a connection.
#[derive(Default)]
struct Stream {
    framer: Framer,
    buffer: BytesMut,
    snapshot: OpenSnapshot,
}

/// When bytes were received.
#[derive(Clone, Copy)]
struct Receipt {
    /// For local times.
    received_at: Timestamp,
    /// By the clock of who read them; as good as `received_at` in a capture only.
    read_at: Option<Timestamp>,
}

struct Lines<W> {
    plan: Arc<Plan>,
    decoder: Decoder,
    account: DecodeAccount,
    out: W,
}

impl<W: Write> Lines<W> {
    /// Bytes as they came, from a file or live.
    fn raw(&mut self, mut input: FeedInput, is_fixed_length: bool) -> anyhow::Result<()> {
        let received_at = Timestamp::now();
        let mut stream = Stream::default();
        loop {
            let bytes = input.bytes.fill_buf().context("cannot read the input")?;
            let count = bytes.len();
            if count == 0 {
                break;
            }
            let read_at = input.is_stdin.then(Timestamp::now);
            self.receive(&mut stream, bytes, Receipt { received_at, read_at })?;
            input.bytes.consume(count);
            self.out.flush()?;
        }
        let read_at = input.is_stdin.then(Timestamp::now);
        let receipt = Receipt { received_at, read_at };
        if let Some(rest) = stream.framer.finish(&mut stream.buffer) {
            let bytes = rest.bytes.strip_suffix(b"\r").unwrap_or(&rest.bytes);
            if is_fixed_length {
                self.error(Reason::Truncated, rest.offset, bytes, receipt)?;
            } else {
                let end = rest.offset + rest.bytes.len() as u64;
                self.frame(&mut stream.snapshot, Frame { bytes, offset: rest.offset, end, too_long: false }, receipt)?;
            }
        }
        self.account.end_of_connection(&mut stream.snapshot);
        Ok(())
    }

    /// All connections of a capture, as they come.
    fn capture(&mut self, input: FeedInput, encoding: crate::wire::encoding::Encoding) -> anyhow::Result<()> {
        let mut streams: BTreeMap<u64, Stream> = BTreeMap::new();
        let mut last = Timestamp::default();
        for entry in capture_lines::entries_of(input, Some(encoding)) {
            let entry = entry?;
            last = last.max(entry.at);
            match &entry.happening {
                Happening::Open { .. } | Happening::Close => {
                    if let Some(stream) = streams.remove(&entry.connection) {
                        self.close(stream, last)?;
                    }
                }
                Happening::Data(bytes) => {
                    let receipt = Receipt { received_at: last, read_at: Some(last) };
                    self.receive(streams.entry(entry.connection).or_default(), bytes, receipt)?;
                }
            }
        }
        streams.into_values().try_for_each(|stream| self.close(stream, last))
    }

    /// Half a record at the end of a connection is invalid, as it is for the service.
    fn close(&mut self, mut stream: Stream, at: Timestamp) -> anyhow::Result<()> {
        if let Some(Run { bytes, offset }) = stream.framer.finish(&mut stream.buffer) {
            self.error(Reason::Truncated, offset, &bytes, Receipt { received_at: at, read_at: Some(at) })?;
        }
        self.account.end_of_connection(&mut stream.snapshot);
        Ok(())
    }

    fn receive(&mut self, stream: &mut Stream, bytes: &[u8], receipt: Receipt) -> anyhow::Result<()> {
        stream.buffer.extend_from_slice(bytes);
        let plan = Arc::clone(&self.plan);
        while let Some(piece) = stream.framer.next(plan.ends(), &mut stream.buffer) {
            match piece {
                Piece::Records(run) => {
                    plan.ends().records(&run).try_for_each(|frame| self.frame(&mut stream.snapshot, frame, receipt))?;
                }
                Piece::TooLong(run) => self.error(Reason::TooLong, run.offset, &run.bytes, receipt)?,
            }
        }
        Ok(())
    }

    fn frame(&mut self, snapshot: &mut OpenSnapshot, frame: Frame<'_>, receipt: Receipt) -> anyhow::Result<()> {
        if frame.too_long {
            return self.error(Reason::TooLong, frame.offset, frame.bytes, receipt);
        }
        match self.plan.lines().classify(frame.bytes) {
            LineKind::Record => {}
            LineKind::Marker => {
                self.account.marker(snapshot, receipt.read_at);
                return Ok(());
            }
            LineKind::Skipped => {
                self.account.skipped();
                return Ok(());
            }
        }
        let reason = match self.decoder.decode(&self.plan, frame.bytes, receipt.received_at) {
            Ok(decoded) => {
                self.account.record(snapshot, &decoded.record, receipt.read_at);
                put(&mut self.out, &RecordLine::new(&decoded.record, frame.offset))?;
                return Ok(());
            }
            Err(reason) => reason,
        };
        self.error(reason, frame.offset, frame.bytes, receipt)
    }

    fn error(&mut self, reason: Reason, offset: u64, raw: &[u8], receipt: Receipt) -> anyhow::Result<()> {
        self.account.invalid_record(reason, offset, receipt.read_at);
        put(&mut self.out, &ErrorLine::new(reason, offset, raw))
    }
}

fn put(out: &mut impl Write, line: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}
