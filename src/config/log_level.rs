//! What a log level may be: a level, or directives such as `info,rtalink::feed=debug`.

use tracing_subscriber::EnvFilter;

/// The words that stand alone.
pub const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

/// A text that is not a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLevel<'a> {
    /// The word that is not a level, where it is a word.
    pub word: Option<&'a str>,
}

/// Targets of log lines until 0.1.0, which were names of modules, and what they are now. The longest name counts.
const RENAMED: [(&str, &str); 12] = [
    ("rtalink::cli::run", "rtalink::run"),
    ("rtalink::pipeline::conclusion", "rtalink::agents,rtalink::integration"),
    ("rtalink::pipeline::preparation", "rtalink::service"),
    ("rtalink::pipeline::service", "rtalink::service"),
    ("rtalink::pipeline::upkeep", "rtalink::service"),
    ("rtalink::pipeline", "rtalink::agents,rtalink::integration,rtalink::service"),
    ("rtalink::publish::journal", "rtalink::journal"),
    ("rtalink::publish::journal_erase", "rtalink::journal"),
    ("rtalink::publish::journal_writer", "rtalink::journal"),
    ("rtalink::publish::lane", "rtalink::journal"),
    ("rtalink::publish", "rtalink::journal,rtalink::kafka"),
    ("rtalink::store", "rtalink::journal"),
];

/// What is logged.
#[derive(Debug)]
pub struct Level {
    /// Ready to be applied.
    pub filter: EnvFilter,
    /// Directives with an old name, each with its current equivalent. They still work.
    pub renamed: Vec<(String, String)>,
}

/// Reads a level. A filter takes a bare word that is not a level for a module name and shows everything of that module, which
/// is never intended.
///
/// # Errors
/// When it is not a level.
pub fn read(text: &str) -> Result<Level, NoLevel<'_>> {
    let is_bare = |part: &&str| !part.contains(['=', '[']);
    let wrong = text.split(',').map(str::trim).filter(is_bare).find(|part| !LEVELS.contains(part));
    if wrong.is_some() {
        return Err(NoLevel { word: wrong });
    }
    let mut renamed = Vec::new();
    let directives: Vec<String> = text
        .split(',')
        .map(|directive| {
            let Some(current) = current(directive.trim()) else { return directive.to_owned() };
            renamed.push((directive.trim().to_owned(), current.clone()));
            current
        })
        .collect();
    let filter = EnvFilter::try_new(directives.join(",")).map_err(|_| NoLevel { word: None })?;
    Ok(Level { filter, renamed })
}

/// Returns the current form of a directive that has an old name.
fn current(directive: &str) -> Option<String> {
    let (target, rest) = directive.split_at(directive.find(['=', '['])?);
    let is_below =
        |name: &str| target.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with("::"));
    let old = RENAMED.into_iter().filter(|(old, _)| is_below(old)).max_by_key(|(old, _)| old.len());
    let now = match old {
        Some((_, now)) => now.to_owned(),
        // A submodule of a module that still has its name: there is one target for all of it.
        None => {
            let mut names = target.splitn(3, "::");
            let room = [names.next()?, names.next()?].join("::");
            names.next().filter(|_| room.starts_with("rtalink::"))?;
            room
        }
    };
    Some(now.split(',').map(|target| format!("{target}{rest}")).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_a_level() {
        let cases = [
            ("info", Ok(())),
            ("off", Ok(())),
            ("info,rtalink::feed=debug", Ok(())),
            ("warn, rtalink=trace", Err(None)),
            ("loud", Err(Some("loud"))),
            ("", Err(Some(""))),
            ("info,rtalink::feed", Err(Some("rtalink::feed"))),
            ("INFO", Err(Some("INFO"))),
            ("rtalink=loud", Err(None)),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).map(drop).map_err(|wrong| wrong.word), expected, "{text:?}");
        }
    }

    #[test]
    fn names_of_modules_still_work_and_are_told_by_their_new_names() {
        let cases = [
            ("info", ""),
            ("info,rtalink=debug,librdkafka=debug", ""),
            ("info,rtalink::feed=debug,rtalink::agents=debug", ""),
            ("rtalink::feed::listener=debug", "rtalink::feed=debug"),
            ("info, rtalink::pipeline::conclusion=debug", "rtalink::agents=debug,rtalink::integration=debug"),
            ("rtalink::publish::delivery=trace", "rtalink::journal=trace,rtalink::kafka=trace"),
            ("rtalink::publish::journal_writer=trace", "rtalink::journal=trace"),
            ("rtalink::pipelines=trace", ""),
        ];
        for (text, expected) in cases {
            let renamed: Vec<String> = read(text).unwrap().renamed.into_iter().map(|(_, now)| now).collect();
            assert_eq!(renamed.join(";"), expected, "{text:?}");
        }
    }
}
