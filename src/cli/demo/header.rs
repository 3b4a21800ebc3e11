//! What the demo says at its beginning: where everything is, and commands that can be copied as they are.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::service::Service;

use super::super::output::stdout;

/// Writes it.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn write(service: &Service, cms: SocketAddr, agents: u32) -> std::io::Result<()> {
    let (kafka, http) = (service.bootstrap_servers(), service.http_address());
    let rtalink = std::env::current_exe().map_or_else(|_| "rtalink".to_owned(), |path| quoted(&path));
    let mut out = stdout();
    writeln!(out, "rtalink demo: a simulated CMS ({agents} agents) -> rtalink -> an embedded Kafka cluster")?;
    writeln!(out, "feed {cms}, Kafka {kafka}, HTTP http://{http}")?;
    writeln!(out, "\nTo paste into another terminal:\n")?;
    writeln!(out, "  {rtalink} tail --bootstrap {kafka} --topic events")?;
    writeln!(out, "  {rtalink} status --http {http}")?;
    writeln!(out, "  curl 'http://{http}/api/v1/agents?mode=AUX'")?;
    writeln!(out, "  curl http://{http}/metrics")?;
    writeln!(out)?;
    out.flush()
}

/// A path as a word of the shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@%:,".contains(c);
    if path.chars().all(is_plain) { path.into_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_shell() {
        for path in ["/usr/bin/rtalink", "/home/über/a b", "/it's/$HOME/`x`/rtalink", "/a\"b\\c/~"] {
            let echo = format!("printf %s {}", quoted(Path::new(path)));
            let output = std::process::Command::new("sh").args(["-c", &echo]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
        assert_eq!(quoted(Path::new("/usr/bin/rtalink")), "/usr/bin/rtalink");
    }
}
