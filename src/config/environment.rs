//! The environment laid over the file: `RTALINK__KAFKA__FORMAT=json` is `format = "json"` in `[kafka]`.
//!
//! Two underscores separate the keys, a number selects an item of a list, and the number after the last one appends an item.
//! A variable becomes a node like those of the file, with its name as the origin; mistakes in its name (an unknown key, a
//! wrong type) are found where they are found for the file.

use std::ffi::OsString;
use std::path::Path;

use super::document::{DocumentEntry, Node, Table, Value};
use super::file;
use super::problem::{Origin, Problem, Problems};

/// What all our variables begin with.
pub const PREFIX: &str = "RTALINK__";

const FROM_FILE: &str = "_FILE";

/// Returns the variables of this process that are ours; bytes that are not UTF-8 become U+FFFD.
pub fn of_process() -> Vec<(String, String)> {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
    variables.filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// Lays the variables that begin with [`PREFIX`] over `root`; relative file names in them are relative to `folder`.
pub(super) fn overlay(
    root: &mut Node,
    environment: impl IntoIterator<Item = (String, String)>,
    folder: &Path,
    problems: &Problems,
) {
    let mut variables: Vec<Variable> =
        environment.into_iter().filter_map(|(name, value)| Variable::new(&name, value)).collect();
    variables.sort_by_cached_key(Variable::order);
    let mut last: Option<(Vec<String>, Origin)> = None;
    for variable in variables {
        let origin = variable.origin.clone();
        if let Some((path, other)) = &last
            && *path == variable.path
        {
            problems.add(Problem::error(origin, format!("sets the same key as {other}")).hint("keep one of the two"));
            continue;
        }
        last = Some((variable.path.clone(), origin.clone()));
        if let Err(problem) = variable.read(folder).and_then(|node| place(root, &variable.path, &[], node)) {
            problems.add(problem);
        }
    }
}

struct Variable {
    origin: Origin,
    path: Vec<String>,
    value: String,
    from_file: bool,
}

impl Variable {
    fn new(name: &str, value: String) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        let stem = rest.strip_suffix(FROM_FILE).filter(|stem| !stem.is_empty() && !stem.ends_with('_'));
        let path = path(stem.unwrap_or(rest));
        Some(Self { origin: Origin::Variable(name.into()), path, value, from_file: stem.is_some() })
    }

    /// Parents before children, list items by number.
    fn order(&self) -> Vec<(usize, String)> {
        self.path.iter().map(|key| (key.parse().unwrap_or(usize::MAX), key.clone())).collect()
    }

    fn read(&self, folder: &Path) -> Result<Node, Problem> {
        if !self.from_file {
            return Ok(Node::new(self.origin.clone(), Value::Text(self.value.clone())));
        }
        let bytes = file::read(&folder.join(&self.value), file::LARGEST_VALUE);
        let text =
            bytes.and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other)).map_err(|error| {
                // Its name is not reported: it may be the secret itself, put into the wrong variable.
                Problem::error(self.origin.clone(), format!("the file that it names cannot be read: {error}"))
                    .hint("the value of a variable that ends in _FILE is the name of a file that holds the value")
            })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        Ok(Node { secret: true, ..Node::new(self.origin.clone(), Value::Text(line.to_owned())) })
    }
}

/// Tables of a layout whose keys are words of the feed, spelled as they are.
const OWN_WORDS: [&str; 3] = ["states", "aux_reasons", "directions"];

/// The keys that a variable's name stands for, without prefix and suffix.
fn path(name: &str) -> Vec<String> {
    const PROPERTIES: &str = "KAFKA__PROPERTIES__";
    if let Some(property) = name.strip_prefix(PROPERTIES) {
        return vec!["kafka".to_owned(), "properties".to_owned(), property.to_lowercase().replace('_', ".")];
    }
    let mut keys: Vec<String> = Vec::new();
    for key in name.split("__") {
        let is_word = matches!(&keys[..], [layout, _, table] if layout == "layout" && OWN_WORDS.contains(&&**table));
        keys.push(if is_word { key.to_owned() } else { key.to_lowercase() });
    }
    keys
}

/// Puts `new` where `path` leads from `node`, making the tables on the way.
fn place(node: &mut Node, path: &[String], above: &[&str], new: Node) -> Result<(), Problem> {
    let Some((key, rest)) = path.split_first() else {
        *node = new;
        return Ok(());
    };
    let refused = |message: String| Problem::error(new.origin.clone(), message);
    if let Some(expanded) = node.expanded().map_err(|error| refused(format!("not valid TOML: {error}")))? {
        *node = expanded;
    }
    let inner: Vec<&str> = above.iter().copied().chain([key.as_str()]).collect();
    match &mut node.value {
        Value::Table(table) => place(entry(table, key, above, &new.origin), rest, &inner, new),
        Value::List(items) => {
            let count = items.len();
            let index = key.parse::<usize>().ok().filter(|index| *index <= count);
            let Some(index) = index else {
                let message = format!("bad index {key:?}: {} has {count} entries, counted from 0", above.join("."));
                return Err(refused(message).hint(format!("{count} adds one")));
            };
            if index == count {
                items.push(Node::new(new.origin.clone(), Value::Table(Table::default())));
            }
            items.get_mut(index).map_or(Ok(()), |item| place(item, rest, &inner, new))
        }
        _ => Err(refused(format!("{} has no keys below it", above.join(".")))),
    }
}

/// The node of `key`, made if it is not there.
fn entry<'t>(table: &'t mut Table, key: &str, above: &[&str], origin: &Origin) -> &'t mut Node {
    let is_layout_name = above == ["layout"];
    let same = |entry: &DocumentEntry| {
        entry.key == key || (is_layout_name && entry.key.to_lowercase().replace('-', "_") == key.replace('-', "_"))
    };
    let index = table.entries.iter().position(same).unwrap_or_else(|| {
        let is_list = matches!((above, key), ([], "integration") | (["http"], "token"));
        let value = if is_list { Value::List(Vec::new()) } else { Value::Table(Table::default()) };
        let node = Node::new(origin.clone(), value);
        table.entries.push(DocumentEntry { key: key.to_owned(), origin: origin.clone(), node });
        table.entries.len() - 1
    });
    &mut table.entries[index].node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        let cases = [
            ("KAFKA__BOOTSTRAP_SERVERS", "kafka/bootstrap_servers"),
            ("INTEGRATION__0__REALTIME__PORT", "integration/0/realtime/port"),
            ("KAFKA__PROPERTIES__SSL_CA_LOCATION", "kafka/properties/ssl.ca.location"),
            ("LAYOUT__ACME__STATES__Pause", "layout/acme/states/Pause"),
            ("LAYOUT__ACME__AUX_REASONS__Pause", "layout/acme/aux_reasons/Pause"),
            ("LAYOUT__ACME__DIRECTIONS__Ein", "layout/acme/directions/Ein"),
            ("", ""),
        ];
        for (name, keys) in cases {
            assert_eq!(path(name).join("/"), keys, "{name}");
        }
    }
}
