//! Typed configuration: a TOML file, the environment laid over it, and every problem of both at once.
//!
//! ```text
//! text --document--> nodes with line and column --environment--> the same, overlaid --readers--> Config + problems
//! ```
//!
//! Nothing here stops at the first mistake: readers add a [`Problem`] and go on with a stand-in, and a [`Config`] comes
//! out only where no problem is an error. After a syntax error the readable part is still looked at, but what seems to
//! be missing is not reported. Nothing is opened but the configuration file, what `_FILE` variables name, and files of
//! tokens.

pub mod environment;
pub mod file;
pub mod model;
mod privacy;
pub mod problem;
pub mod schema;
pub mod topics;

mod columns;
mod document;
mod forward;
pub mod http;
pub mod http_address;
mod integration;
mod integration_checks;
mod kafka;
mod layout;
mod layout_checks;
pub mod log_level;
pub mod mapping;
mod reader;
pub mod redacted;
pub mod secret;
mod service;
mod tls;
pub mod units;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::wire::layout::LayoutSpec;

use self::document::{Node, ParsedDocument, Value};
use self::integration::{Surroundings, WrittenIntegration};
use self::layout::NamedLayout;
use self::model::{Config, LogConfig};
use self::problem::Problems;
use self::reader::{Slot, TableReader};
use self::redacted::Redacted;

pub use self::problem::{Origin, Problem, Severity};

/// Whether `text` is a target as in `forward`: `host:port`.
pub fn is_forward_target(text: &str) -> bool {
    forward::is_target(text)
}

/// What was read of a configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// There exactly when no problem is an error.
    pub config: Option<Config>,
    /// In the order of the file, those of the environment last.
    pub problems: Vec<Problem>,
    /// Where the service would listen, as far as that is known whatever else is wrong.
    pub ports: Vec<ListenAddress>,
    /// The same as `config`, with stand-ins for what is wrong: to check what it names. `None` where there is no text.
    pub parts: Option<Config>,
    /// Where each property of `[kafka.properties]` is written.
    pub properties: BTreeMap<String, Origin>,
    /// How to log, as far as that is known whatever else is wrong; the default otherwise.
    pub log: LogConfig,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// What listens there.
    pub what: String,
    /// The address.
    pub address: SocketAddr,
    /// Where it is written.
    pub origin: Origin,
}

/// What the port of HTTP is for.
const HTTP_PORT: &str = "http.listen";

impl Loaded {
    /// Adds problems that others found in files that the configuration names; after an error there is no `config` any more.
    pub fn add(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
        if self.problems.iter().any(Problem::is_error) {
            self.config = None;
        }
    }

    /// Returns where HTTP would be served, as far as that is known.
    pub fn http(&self) -> Option<SocketAddr> {
        self.ports.iter().find(|port| port.what == HTTP_PORT).map(|port| port.address)
    }

    fn new(config: Option<Config>, problems: Vec<Problem>) -> Self {
        let log = config.as_ref().map_or_else(LogConfig::default, |config| config.log.clone());
        let (parts, properties) = (config.clone(), BTreeMap::new());
        let mut loaded = Self { config, problems: Vec::new(), ports: Vec::new(), parts, properties, log };
        loaded.add(problems);
        loaded
    }
}

/// Layouts alone, of a file that need not be a whole configuration.
#[derive(Clone, Debug)]
pub struct LoadedLayouts {
    /// By name; there exactly when no problem is an error.
    pub layouts: Option<BTreeMap<String, Arc<LayoutSpec>>>,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads the tables `[layout.NAME]` of the file at `path`. Other tables of a configuration are not looked into, and may be
/// there or not; the environment does not count.
pub fn load_layouts(path: &Path) -> LoadedLayouts {
    let failed = |problem| LoadedLayouts { layouts: None, problems: vec![problem] };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(problem) => return failed(problem),
    };
    let file: Arc<Path> = path.into();
    let parsed = document::parse(&text, &file);
    let problems = Problems::new(!parsed.errors.is_empty());
    let root = TableReader::open(Slot { node: &parsed.root, name: "the file", problems: &problems }, schema::ROOT);
    let layouts = read_layouts(&root);
    let found = certain(problems, &parsed);
    let is_sound = !found.iter().any(Problem::is_error);
    let layouts = is_sound.then(|| layouts.into_iter().map(|layout| (layout.name, layout.spec)).collect());
    LoadedLayouts { layouts, problems: found }
}

/// Returns a configuration that says no more than it must: one integration, with the defaults of everything.
pub fn least() -> Loaded {
    const LEAST: &str = "[kafka]\nbootstrap_servers = \"embedded\"\n[[integration]]\nid = \"feed\"\nkind = \"avaya-cms\"\n\
                         acd = 1\nrealtime = { port = 7001, bind = \"127.0.0.1\", layout = \"cisco-icm-20\" }\n";
    parse(LEAST, Path::new(""), [])
}

/// Reads the file at `path`, lays `environment` over it (see [`environment::of_process`]) and validates the result.
pub fn load(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Loaded {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    match read_text(path) {
        Ok(text) => parse(&text, path, environment),
        // In a container the environment may say how to log a missing file.
        Err(problem) => Loaded { log: parse("", path, environment).log, ..Loaded::new(None, vec![problem]) },
    }
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let bytes = file::read(path, file::LARGEST_CONFIGURATION).map_err(|error| {
        Problem::error(Origin::File(path.into()), format!("cannot read the configuration: {error}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count() + 1;
        Problem::error(Origin::line(path, line), "not valid TOML: the file must be UTF-8")
    })
}

/// Returns what is wrong in the order of the file, without what may only follow from an error of syntax.
fn certain(problems: Problems, parsed: &ParsedDocument) -> Vec<Problem> {
    let is_certain = |problem: &Problem| match &problem.origin {
        Origin::Place { line, .. } => {
            let same_line =
                |error: &Problem| matches!(&error.origin, Origin::Place { line: other, .. } if other == line);
            *line < parsed.doubtful_from && !parsed.errors.iter().any(same_line)
        }
        Origin::File(_) | Origin::Variable(_) => true,
    };
    let mut found: Vec<Problem> = problems.into_vec().into_iter().filter(is_certain).collect();
    found.extend(parsed.errors.iter().cloned());
    found.sort_by(|a, b| a.origin.cmp(&b.origin));
    found
}

/// Does the same for a given text; `path` is the file named in problems, and its folder the base of relative paths.
pub fn parse(text: &str, path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Loaded {
    let file: Arc<Path> = path.into();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut parsed = document::parse(text, &file);
    let problems = Problems::new(!parsed.errors.is_empty());
    environment::overlay(&mut parsed.root, environment, folder, &problems);
    let (mut config, ports, properties) = read(&parsed.root, folder, &problems);
    config.redacted = redacted::of(&parsed.root, folder);
    let found = certain(problems, &parsed);
    Loaded { ports, properties, ..Loaded::new(Some(config), found) }
}

fn read(root: &Node, folder: &Path, problems: &Problems) -> (Config, Vec<ListenAddress>, kafka::PropertyOrigins) {
    let root = TableReader::open(Slot { node: root, name: "the file", problems }, schema::ROOT);
    let layouts = read_layouts(&root);
    let integrations = read_integrations(&root, &Surroundings { folder, layouts: &layouts });
    let http_table = root.table("http", schema::HTTP);
    let http = http::read(&http_table, folder);
    integration_checks::check(&integrations, http.listen.first(), problems);
    let mut ports: Vec<ListenAddress> = integrations.iter().filter_map(WrittenIntegration::port).collect();
    ports.push(ListenAddress {
        what: HTTP_PORT.to_owned(),
        address: http.listen.first(),
        origin: http_table.origin_of("listen"),
    });
    let privacy = privacy::read(&root.table("privacy", schema::PRIVACY), folder, &integrations);
    let (kafka, properties) = kafka::read(&root.table("kafka", schema::KAFKA), &privacy.retention);
    let config = Config {
        kafka,
        store: service::store(&root.table("store", schema::STORE), folder),
        log: service::log(&root.table("log", schema::LOG)),
        http,
        privacy,
        shutdown_grace: service::shutdown_grace(&root),
        integrations: integrations.into_iter().map(|written| written.integration).collect(),
        redacted: Redacted::default(),
        layouts: layouts.into_iter().map(|layout| (layout.name, layout.spec)).collect(),
    };
    (config, ports, properties)
}

fn read_layouts(root: &TableReader<'_>) -> Vec<NamedLayout> {
    let Some(slot) = root.slot("layout") else { return Vec::new() };
    let named = TableReader::open_any(slot, "[layout]");
    let read = |entry: &document::DocumentEntry| {
        let slot = Slot { node: &entry.node, name: &entry.key, problems: root.problems };
        let reader = TableReader::open_as(slot, schema::LAYOUT, &format!("[layout.{}]", entry.key));
        layout::check_name(&entry.key, &entry.origin, &reader);
        layout::read(&entry.key, &reader)
    };
    named.entries().iter().map(read).collect()
}

fn read_integrations(root: &TableReader<'_>, around: &Surroundings<'_>) -> Vec<WrittenIntegration> {
    let slot = root.slot("integration");
    let expanded = slot.and_then(|slot| slot.node.expanded().ok().flatten());
    let nodes: &[Node] = match expanded.as_ref().or(slot.map(|slot| slot.node)).map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes,
        Some(Value::Table(_)) => {
            let hint = "write [[integration]], with double brackets: there can be several".to_owned();
            slot.and_then(|slot| slot.error::<()>("is a single table", Some(hint)));
            slot.map_or(&[], |slot| std::slice::from_ref(slot.node))
        }
        Some(_) => {
            slot.and_then(|slot| slot.wrong::<()>("a list of tables, [[integration]]", None));
            return Vec::new();
        }
        None => &[],
    };
    if nodes.is_empty() {
        let problem = Problem::error(root.origin.clone(), "there is no integration");
        root.problems.missing(problem.hint("add [[integration]] with id, kind and acd"));
    }
    let read = |node: &Node| {
        let slot = Slot { node, name: "integration", problems: root.problems };
        integration::read(&TableReader::open(slot, schema::INTEGRATION), around)
    };
    nodes.iter().map(read).collect()
}
