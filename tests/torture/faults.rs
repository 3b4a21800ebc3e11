//! What is wrong, by kind: how often, and the first few examples.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// Of each kind.
const EXAMPLES: usize = 3;

#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(BTreeMap<&'static str, (usize, Vec<String>)>);

impl Faults {
    pub(crate) fn add(&mut self, kind: &'static str, example: impl Into<String>) {
        let (count, examples) = self.0.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example.into());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Faults {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (kind, (count, examples)) in &self.0 {
            writeln!(formatter, "  {kind}, {count} times: {}", examples.join("; "))?;
        }
        Ok(())
    }
}
