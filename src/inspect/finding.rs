//! What was found, how sure it is, and why.

use serde::Serialize;

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding<T> {
    /// What.
    pub value: T,
    /// From 0, no idea, to 1, no doubt.
    pub confidence: f64,
    /// Why, in words.
    pub evidence: String,
}

impl<T> Finding<T> {
    /// Returns a finding for one reason.
    pub(super) fn sure(value: T, confidence: f64, evidence: impl Into<String>) -> Self {
        Self { value, confidence: confidence.clamp(0.0, 1.0), evidence: evidence.into() }
    }

    /// Returns the same about another value.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Finding<U> {
        Finding { value: change(self.value), confidence: self.confidence, evidence: self.evidence }
    }
}

/// Returns a share as people read it.
pub(super) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if part < whole && share > 99.0 { format!("{share:.2} %") } else { format!("{share:.0} %") }
}
