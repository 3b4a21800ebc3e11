//! `[http]` and `[[http.token]]`.
//!
//! A secret is hashed as soon as it is read, and no message ever quotes one: not a wrong one, not one of a wrong type.

use std::io::ErrorKind;
use std::path::Path;

use super::document::{Node, Value};
use super::file;
use super::http_address::HttpAddress;
use super::model::{Http, Reading, Role, Token};
use super::problem::Problem;
use super::reader::{Slot, TableReader};
use super::schema::{self, nearest};
use super::secret::SecretHash;
use super::values;

/// The fewest characters of a secret: 128 bits in hexadecimal digits.
pub const SHORTEST_SECRET: usize = 32;

/// The most characters; they fit easily in a request's head.
pub const LONGEST_SECRET: usize = 512;

/// The most tokens: the token of each request is compared with all of them.
pub const MOST_TOKENS: usize = 100;

/// The most characters of a token's name.
pub const LONGEST_NAME: usize = 64;

const MAKE_ONE: &str = "make one with `openssl rand -hex 32`";

/// Reads `[http]`.
pub(super) fn read(http: &TableReader<'_>, folder: &Path) -> Http {
    let expected =
        "an IP address and a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"localhost:9464\" for both";
    let readings = [("open", Reading::Open), ("token", Reading::Token)];
    let listen = http.or("listen", HttpAddress::DEFAULT, values::parsed(expected));
    let tokens = tokens(http, folder);
    if !listen.first().ip().is_loopback() && !http.has("token") {
        let message = format!("listen: {listen} is not loopback, and there is no token");
        let problem = Problem::warning(http.origin_of("listen"), message);
        let hint = "other machines get /metrics and /health only: add [[http.token]] for those who need more";
        http.problems.missing(problem.hint(hint));
    }
    Http {
        listen,
        metrics: http.or("metrics", Reading::Open, values::choice(&readings)),
        loopback: http.or("loopback", Reading::Open, values::choice(&readings)),
        tokens,
    }
}

fn tokens(http: &TableReader<'_>, folder: &Path) -> Vec<Token> {
    let Some(slot) = http.slot("token") else { return Vec::new() };
    let expanded = slot.node.expanded().ok().flatten();
    let nodes: &[Node] = match &expanded.as_ref().unwrap_or(slot.node).value {
        Value::List(nodes) => nodes,
        Value::Table(_) => {
            let hint = "write [[http.token]], with double brackets: there can be several".to_owned();
            slot.error::<()>("is a single table", Some(hint));
            return Vec::new();
        }
        // A secret that somebody writes here must not be shown again.
        _ => {
            slot.error::<()>("expected a list of tables, [[http.token]]", None);
            return Vec::new();
        }
    };
    if nodes.len() > MOST_TOKENS {
        slot.error::<()>(format!("there are {} tokens, at most {MOST_TOKENS} can be", nodes.len()), None);
    }
    let mut tokens: Vec<Token> = Vec::new();
    for node in nodes {
        let slot = Slot { node, ..slot };
        if !matches!(node.value, Value::Table(_)) {
            slot.error::<()>("expected a list of tables, [[http.token]]", None);
            continue;
        }
        let table = TableReader::open(slot, schema::TOKEN);
        let Some(token) = token(&table, folder) else { continue };
        let problem = |key: &str, message: String| table.problems.add(Problem::error(table.origin_of(key), message));
        if tokens.iter().any(|other| other.name == token.name) {
            problem("name", format!("name: {:?} is taken by another token", token.name));
        }
        if let Some(other) = tokens.iter().find(|other| other.hash.is_same(&token.hash)) {
            problem(
                "name",
                format!("{:?} has the same secret as {:?}: nobody could tell them apart", token.name, other.name),
            );
        }
        tokens.push(token);
    }
    tokens
}

fn token(table: &TableReader<'_>, folder: &Path) -> Option<Token> {
    let name = table.required("name", "\"wallboard\"", name);
    let role = table.required("role", "\"viewer\", \"planner\", \"operator\" or \"admin\"", role);
    let keys = ["token_file", "token_sha256", "token"];
    let given: Vec<&str> = keys.into_iter().filter(|key| table.has(key)).collect();
    let hash = match given[..] {
        ["token_file"] => table.optional("token_file", from_file(folder)),
        ["token_sha256"] => table.optional("token_sha256", from_hash),
        ["token"] => table.optional("token", inline),
        [] => {
            let problem = Problem::error(table.origin.clone(), "a token without a secret");
            table
                .problems
                .missing(problem.hint("add token_file = \"FILE\", or token_sha256 with the secret's SHA-256"));
            None
        }
        [first, ..] => {
            let problem =
                Problem::error(table.origin_of(first), format!("{} exclude one another", given.join(" and ")));
            table.problems.add(problem.hint("keep one"));
            None
        }
    };
    Some(Token { name: name?, role: role?, hash: hash? })
}

/// It stands in logs and in the audit topic.
fn name(slot: Slot<'_>) -> Option<String> {
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = |name: &&str| !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(spelled);
    if let Some(name) = slot.as_text().filter(is_name) {
        // A caller without a token has that name.
        if name == "loopback" {
            return slot.error("\"loopback\" is what requests without a token are called", None);
        }
        return Some(name.to_owned());
    }
    slot.error(format!("expected up to {LONGEST_NAME} letters, digits, dots, underscores and hyphens"), None)
}

/// Does not quote what it finds, unlike others: it may be the secret.
fn role(slot: Slot<'_>) -> Option<Role> {
    let found = Role::ALL.into_iter().find(|role| slot.as_text() == Some(role.name()));
    found.or_else(|| {
        let near = slot.as_text().and_then(|text| nearest(text, Role::ALL.map(Role::name)));
        let hint = near.map(|name| format!("did you mean {name:?}?"));
        slot.error("expected \"viewer\", \"planner\", \"operator\" or \"admin\"", hint)
    })
}

fn from_file(folder: &Path) -> impl Fn(Slot<'_>) -> Option<SecretHash> {
    move |slot| {
        let hint = || Some("the file holds the secret alone, in one line".to_owned());
        let Some(name) = slot.as_text().filter(|name| !name.trim().is_empty()) else {
            return slot.error("expected the name of a file", hint());
        };
        match file::read(&folder.join(name), file::LARGEST_SECRET) {
            Ok(bytes) => secret(slot, String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r'])),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                slot.error("the file is too large for a secret", hint())
            }
            // A secret written in place of a file name must not be shown.
            Err(error) => slot.error(format!("the file cannot be read: {error}"), hint()),
        }
    }
}

fn from_hash(slot: Slot<'_>) -> Option<SecretHash> {
    let hash = slot.as_text().map(str::trim).and_then(SecretHash::from_hex);
    let hint = "`printf %s SECRET | sha256sum` prints it".to_owned();
    hash.or_else(|| slot.error("expected 64 hexadecimal digits, the SHA-256 of the secret", Some(hint)))
}

fn inline(slot: Slot<'_>) -> Option<SecretHash> {
    let Some(text) = slot.as_text() else { return slot.error("expected text", Some("put it in quotes".to_owned())) };
    // A variable that ends in _FILE has read it from a file.
    if !slot.node.secret {
        let what = if slot.node.origin.is_variable() { "in the environment" } else { "in the configuration file" };
        let problem = Problem::warning(slot.node.origin.clone(), format!("token: the secret stands {what}"));
        slot.problems.add(problem.hint("put it into a file of its own, readable by the service alone: token_file"));
    }
    secret(slot, text)
}

fn secret(slot: Slot<'_>, text: &str) -> Option<SecretHash> {
    let hint = || Some(MAKE_ONE.to_owned());
    if !(SHORTEST_SECRET..=LONGEST_SECRET).contains(&text.len()) {
        let message =
            format!("a secret has from {SHORTEST_SECRET} to {LONGEST_SECRET} characters, this one has {}", text.len());
        return slot.error(message, hint());
    }
    // What may follow `Bearer` (RFC 6750).
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if !text.bytes().all(spelled) {
        return slot.error("a secret has letters, digits and - . _ ~ + / = only", hint());
    }
    Some(SecretHash::of(text.as_bytes()))
}
