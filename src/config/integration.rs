//! `[[integration]]`: one CMS session, how its records become states, and how those are mapped.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use crate::mapping::spelling;
use crate::tracker::settings::{FeedMode, Fixed, ShortStates, SnapshotEnd, Thresholds, TrackerSettings, WhenSilent};
use crate::wire::layout::{Column, LayoutSpec, builtin};
use crate::wire::states::Mode;

use super::ListenAddress;
use super::document::Value;
use super::forward;
use super::layout::NamedLayout;
use super::model::{IdentifyBy, Integration, Mapping, Realtime};
use super::problem::{Origin, Problem};
use super::reader::{Slot, TableReader};
use super::schema::{self, nearest};
use super::tls;
use super::values;

/// Most characters of an integration's id: it is in keys, labels and names of files.
pub(super) const LONGEST_ID: usize = 64;

/// Most entries of an allow-list: each newcomer is compared with all of them.
pub(super) const MOST_ALLOWED: usize = 1_000;

/// An integration and where its parts are written, for checks across integrations.
pub(super) struct WrittenIntegration {
    pub(super) integration: Integration,
    pub(super) id_origin: Origin,
    pub(super) port_origin: Origin,
    pub(super) forward_origin: Origin,
    /// Known even where something else is wrong with the feed.
    pub(super) listen: Option<SocketAddr>,
}

impl WrittenIntegration {
    /// Where its feed listens.
    pub(super) fn port(&self) -> Option<ListenAddress> {
        let what = format!("integration {:?}", self.integration.id);
        Some(ListenAddress { what, address: self.listen?, origin: self.port_origin.clone() })
    }
}

/// What all integrations share.
pub(super) struct Surroundings<'a> {
    pub(super) folder: &'a Path,
    pub(super) layouts: &'a [NamedLayout],
}

/// Reads one integration.
pub(super) fn read(table: &TableReader<'_>, around: &Surroundings<'_>) -> WrittenIntegration {
    let id = table.required("id", "\"avaya-1\"", id).unwrap_or_default();
    table.required("kind", "\"avaya-cms\"", values::choice(&[("avaya-cms", ())]));
    let acd = table.required("acd", "1", values::integer(0..=u32::MAX)).unwrap_or_default();
    let details = table.or("details", false, values::boolean);
    let realtime = table.table("realtime", schema::REALTIME);
    let settings = settings(&realtime, acd, details);
    let (listen, feed) = if table.has("realtime") { read_realtime(&realtime, around) } else { (None, None) };
    let time_zone = table.or("time_zone", "UTC".to_owned(), time_zone);
    let integration = Integration {
        name: table.or("name", id.clone(), values::filled_text),
        mapping: mapping(&table.table("mapping", schema::MAPPING), &time_zone, around.folder),
        time_zone,
        realtime: feed,
        settings,
        id: id.into(),
        is_removed: false,
    };
    if !table.has("realtime") {
        let problem = Problem::warning(table.origin.clone(), "this integration does nothing yet");
        table.problems.missing(problem.hint("add [integration.realtime] with port and layout"));
    }
    let (port_origin, forward_origin) = (realtime.origin_of("port"), realtime.origin_of("forward"));
    check_durations(&realtime, &integration.settings);
    check_layout_use(&realtime, table, &integration);
    WrittenIntegration { integration, id_origin: table.origin_of("id"), port_origin, forward_origin, listen }
}

fn id(slot: Slot<'_>) -> Option<String> {
    let id = values::text(slot)?;
    if id.len() > LONGEST_ID {
        return slot.error(format!("has {} characters, at most {LONGEST_ID} can be", id.len()), None);
    }
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_id {
        return Some(id);
    }
    slot.wrong("lower-case letters, digits and hyphens", None)
}

fn time_zone(slot: Slot<'_>) -> Option<String> {
    let name = values::filled_text(slot)?;
    if jiff::tz::TimeZone::get(&name).is_ok() {
        return Some(name);
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let hint = nearest(&name, known.iter().map(String::as_str)).map(|name| format!("did you mean {name:?}?"));
    slot.wrong("the IANA name of a time zone, such as \"Europe/Berlin\"", hint)
}

fn settings(realtime: &TableReader<'_>, acd: u32, details: bool) -> TrackerSettings {
    let modes = [("snapshot", FeedMode::Snapshot), ("delta", FeedMode::Delta), ("event", FeedMode::Event)];
    let ends = [("repeat", SnapshotEnd::Repeat), ("idle", SnapshotEnd::Idle), ("marker", SnapshotEnd::Marker)];
    let silences = [("stale", WhenSilent::Stale), ("empty", WhenSilent::Empty)];
    TrackerSettings {
        fixed: Fixed {
            acd,
            details,
            mode: realtime.or("mode", FeedMode::Snapshot, values::choice(&modes)),
            snapshot_end: realtime.or("snapshot_end", SnapshotEnd::Repeat, values::choice(&ends)),
        },
        thresholds: Thresholds {
            snapshot_idle: realtime.or("snapshot_idle", Duration::from_millis(500), values::positive_duration),
            shortest_refresh: realtime.or("shortest_refresh", Duration::from_secs(1), values::duration),
            logout_after: realtime.or("logout_after", 2, values::integer(1..=1_000)),
            restart_tolerance: realtime.or("restart_tolerance", Duration::from_secs(2), values::duration),
            stale_after: realtime.or("stale_after", Duration::from_secs(30), values::positive_duration),
            when_silent: realtime.or("when_silent", WhenSilent::Stale, values::choice(&silences)),
            empty_below: realtime.or("empty_below", 5, values::integer(0..=10_000)),
            unknown_after: realtime.optional("unknown_after", values::positive_duration),
            short_states: realtime.or("short_states", ShortStates::default(), short_states),
            logout_hold: realtime.or("logout_hold", Duration::ZERO, values::duration),
        },
    }
}

/// For how long states have to last, by their modes.
fn short_states(slot: Slot<'_>) -> Option<ShortStates> {
    let table = TableReader::open_any(slot, "short_states");
    let mut least = ShortStates::default();
    for entry in table.entries() {
        let slot = Slot { node: &entry.node, name: &entry.key, problems: slot.problems };
        match Mode::from_name(&entry.key.to_uppercase()) {
            Some(Mode::Unstaff | Mode::Logoff | Mode::Logon) => {
                let hint = "logout_hold is for agents who log out and in again".to_owned();
                slot.error::<()>("is no state that can be left out".to_owned(), Some(hint));
            }
            Some(mode) => least = least.with(mode, values::duration(slot).unwrap_or_default()),
            None => {
                let hint = nearest(&entry.key, Mode::ALL.map(Mode::name)).map(|name| format!("did you mean {name:?}?"));
                slot.error::<()>("is not a work mode".to_owned(), hint);
            }
        }
    }
    Some(least)
}

/// Where one duration makes no sense beside another.
fn check_durations(realtime: &TableReader<'_>, settings: &TrackerSettings) {
    let (mode, Thresholds { shortest_refresh, stale_after, .. }) = (settings.fixed.mode, settings.thresholds);
    if mode == FeedMode::Snapshot && shortest_refresh >= stale_after {
        let message = format!(
            "shortest_refresh: {shortest_refresh:?} is not shorter than stale_after, {stale_after:?}: no refresh could \
             end before the feed is stale"
        );
        let problem = Problem::warning(realtime.origin_of("shortest_refresh"), message);
        realtime
            .problems
            .missing(problem.hint("a third of the report's refresh at most, and stale_after several refreshes"));
    }
}

/// Where the feed listens, and the whole of it if nothing is wrong.
fn read_realtime(table: &TableReader<'_>, around: &Surroundings<'_>) -> (Option<SocketAddr>, Option<Realtime>) {
    let port = table.required("port", "7001", values::integer(0..=u16::MAX));
    let expected = "an IP address, such as \"0.0.0.0\" or \"::\"";
    let bind = table.or("bind", IpAddr::V4(Ipv4Addr::UNSPECIFIED), values::parsed(expected));
    let layout =
        table.required("layout", "\"cisco-icm-20\", or the name of a [layout.NAME]", |slot| layout(slot, around));
    let allow = table.or("allow", Vec::new(), values::list(network));
    if allow.len() > MOST_ALLOWED
        && let Some(slot) = table.slot("allow")
    {
        let hint = "a network stands for all of its addresses: \"10.1.2.0/24\"".to_owned();
        slot.error::<()>(format!("has {} entries, at most {MOST_ALLOWED} can be", allow.len()), Some(hint));
    }
    let refresh_after = table.optional("refresh_after", values::positive_duration);
    let tls = table.optional("tls", |slot| tls::read(&TableReader::open(slot, schema::TLS), around.folder));
    if allow.is_empty() && table.slot("allow").is_none_or(is_empty_list) && bind.to_canonical().is_unspecified() {
        let message = format!("anybody who reaches this machine may connect: bind is {bind} and allow is empty");
        let problem = Problem::warning(table.origin_of("allow"), message);
        table.problems.missing(problem.hint("list the CMS in allow, such as [\"10.1.2.3/32\"]"));
    }
    if port == Some(0) {
        let problem =
            Problem::warning(table.origin_of("port"), "port: 0 takes any free port, another one at each start");
        table.problems.add(problem.hint("give the port that CMS dials"));
    }
    let listen = port.map(|port| SocketAddr::new(bind, port));
    let realtime = layout.zip(listen).map(|((layout_name, layout), listen)| Realtime {
        listen,
        layout_name,
        layout,
        allow,
        refresh_after,
        forward: forward::read(table),
        tls,
    });
    (listen, realtime)
}

fn is_empty_list(slot: Slot<'_>) -> bool {
    match &slot.node.value {
        Value::List(items) => items.is_empty(),
        Value::Text(text) => matches!(text.trim(), "" | "[]"),
        _ => false,
    }
}

/// A network, or an address that stands for itself. IPv4 that is written as IPv6 is IPv4, as peers are.
fn network(slot: Slot<'_>) -> Option<IpNet> {
    let network: IpNet = match slot.as_text().and_then(|text| text.trim().parse::<IpAddr>().ok()) {
        Some(address) => address.into(),
        None => values::parsed("a network, such as \"10.1.2.0/24\", or an address")(slot)?,
    };
    let IpNet::V6(mapped) = network else { return Some(network) };
    let Some(address) = mapped.addr().to_ipv4_mapped() else { return Some(network) };
    match mapped.prefix_len().checked_sub(MAPPED_PREFIX).and_then(|length| Ipv4Net::new(address, length).ok()) {
        Some(network) => Some(network.into()),
        None => slot.error(format!("{mapped} is neither IPv4 nor IPv6"), Some(format!("write IPv4 as {address}/…"))),
    }
}

/// Bits before an IPv4 address in IPv6.
const MAPPED_PREFIX: u8 = 96;

fn layout(slot: Slot<'_>, around: &Surroundings<'_>) -> Option<(String, Arc<LayoutSpec>)> {
    let name = values::text(slot)?;
    if let Some(layout) = around.layouts.iter().find(|layout| layout.name == name) {
        return Some((name, layout.spec.clone()));
    }
    if let Some(spec) = builtin::get(&name) {
        return Some((name, Arc::new(spec)));
    }
    let own = around.layouts.iter().map(|layout| layout.name.as_str());
    let known: Vec<&str> = builtin::NAMES.into_iter().chain(own).collect();
    let hint = match nearest(&name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("known are {}; [layout.NAME] adds another", known.join(", ")),
    };
    slot.error(format!("unknown layout {name:?}"), Some(hint))
}

fn mapping(table: &TableReader<'_>, time_zone: &str, folder: &Path) -> Mapping {
    let identify = [("login_id", IdentifyBy::LoginId), ("name", IdentifyBy::Name)];
    let default_activity = table.optional("default_activity", |slot| {
        let activity = TableReader::open(slot, schema::DEFAULT_ACTIVITY);
        let id = activity.required("id", "\"1\"", values::mapping_id);
        let name = activity.required("name", "\"Present\"", values::filled_text);
        id.zip(name.map(|name| spelling::trim(&name).to_owned()))
    });
    Mapping {
        identify_by: table.or("identify_by", IdentifyBy::LoginId, values::choice(&identify)),
        time_zone: time_zone.to_owned(),
        users: mapping_file(table, "users", folder),
        activities: mapping_file(table, "activities", folder),
        default_activity: default_activity.unwrap_or_else(|| ("1".to_owned(), "Present".to_owned())),
    }
}

/// A file that is named must be there; the one of the default is taken if there is anything of its name: what cannot be
/// read is told by whoever reads it, and is no mapping that nobody wants.
fn mapping_file(table: &TableReader<'_>, key: &str, folder: &Path) -> Option<PathBuf> {
    let Some(slot) = table.slot(key) else {
        return Some(folder.join(format!("mapping/{key}.csv"))).filter(|file| is_there(file));
    };
    let file = values::path(folder)(slot)?;
    if file.is_file() {
        return Some(file);
    }
    let hint = "relative names are relative to the configuration file".to_owned();
    slot.error(format!("there is no file {}", file.display()), Some(hint))
}

/// Whether there is something of that name, were it a folder, a link to nowhere or in a folder that lets nobody look.
fn is_there(file: &Path) -> bool {
    let is_missing = |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let leads_nowhere = |folder: &Path| !is_missing(folder) && folder.metadata().is_err();
    !is_missing(file) || file.parent().is_some_and(leads_nowhere)
}

/// What an integration asks of its layout.
fn check_layout_use(table: &TableReader<'_>, integration: &TableReader<'_>, read: &Integration) {
    let Some(realtime) = &read.realtime else { return };
    let has_column = |wanted| realtime.layout.columns.iter().any(|column| column.column == wanted);
    let name = &realtime.layout_name;
    let settings = &read.settings;
    let error = |key: &str, message: String, hint: &str| {
        table.problems.missing(Problem::error(table.origin_of(key), message).hint(hint));
    };
    if settings.fixed.snapshot_end == SnapshotEnd::Marker && realtime.layout.marker.is_none() {
        let message = format!("snapshot_end: layout {name:?} has no marker");
        error("snapshot_end", message, "add a marker to the layout, or use \"repeat\" or \"idle\"");
    }
    if settings.thresholds.when_silent == WhenSilent::Empty && settings.fixed.mode != FeedMode::Snapshot {
        let message = "when_silent: only in mode \"snapshot\" does silence mean that nobody is there".to_owned();
        error("when_silent", message, "use \"stale\", or mode \"snapshot\"");
    }
    if has_column(Column::Skill) {
        let rows = format!("layout {name:?} has one row per agent and skill");
        if settings.fixed.mode == FeedMode::Event {
            error("mode", format!("mode: {rows}, which \"event\" cannot merge"), "use \"snapshot\" or \"delta\"");
        } else if settings.fixed.snapshot_end == SnapshotEnd::Repeat {
            let key = if table.has("snapshot_end") { "snapshot_end" } else { "layout" };
            let message = format!("snapshot_end: {rows}: a login id seen again ends nothing");
            error(key, message, "use \"marker\" or \"idle\"");
        }
    }
    if read.mapping.identify_by == IdentifyBy::Name && !has_column(Column::Name) {
        let origin = integration.slot("mapping").map_or(integration.origin.clone(), |slot| slot.node.origin.clone());
        let message = format!("identify_by: layout {name:?} has no column \"name\": nobody can be mapped");
        integration.problems.missing(Problem::warning(origin, message).hint("use \"login_id\""));
    }
}
