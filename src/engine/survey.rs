//! Which codes in a capture are missing from the table of states.
//!
//! For `replay` only. It decodes every record a second time, unchanged ones too, so that its counts do not depend on what the
//! engine skips; the service does not pay for it. Codes come from outside: no more than [`MOST_CODES`] are kept.

use std::collections::BTreeMap;

use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;
use crate::wire::record::Record;

/// Most distinct codes that are listed; records with others are counted together.
pub const MOST_CODES: usize = 20;

/// Counts the codes in a capture that are missing from the table of states.
#[derive(Debug, Default)]
pub struct Survey {
    decoder: Decoder,
    codes: UnlistedCodes,
}

/// Codes that the table of states does not have.
#[derive(Debug, Default)]
pub struct UnlistedCodes {
    codes: BTreeMap<String, u64>,
    other_codes: u64,
}

impl Survey {
    /// Counts the code of a frame of the connection that counts.
    pub fn count(&mut self, plan: &Plan, frame: &[u8], received_at: Timestamp) {
        if plan.lines().classify(frame) != LineKind::Record {
            return;
        }
        if let Ok(decoded) = self.decoder.decode(plan, frame, received_at) {
            self.codes.take(&decoded.record);
        }
    }

    /// Returns the codes that were found missing from the table of states.
    pub const fn codes(&self) -> &UnlistedCodes {
        &self.codes
    }
}

impl UnlistedCodes {
    /// Counts the code of a record, if the table does not have it.
    pub fn take(&mut self, record: &Record<'_>) {
        if record.recognised {
            return;
        }
        let code = record.raw_state.text();
        if let Some(count) = self.codes.get_mut(&*code) {
            *count += 1;
        } else if self.codes.len() < MOST_CODES {
            self.codes.insert(code.into_owned(), 1);
        } else {
            self.other_codes += 1;
        }
    }

    /// Returns the codes with their numbers of records; the most frequent first.
    pub fn by_frequency(&self) -> Vec<(&str, u64)> {
        let mut codes: Vec<(&str, u64)> = self.codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        codes
    }

    /// Returns the number of records with such a code that is not listed.
    pub const fn other_codes(&self) -> u64 {
        self.other_codes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::layout::builtin;

    #[test]
    fn codes_that_the_table_does_not_have_are_counted_by_record_and_bounded() {
        let layout = builtin::get("cisco-icm-20").unwrap();
        let plan = Plan::compile(&layout, "UTC").unwrap();
        let survey = |codes: &[String]| {
            let mut survey = Survey::default();
            for code in codes {
                let line = format!("301204 {code} 0 0 0 0 0 1 801326{}", " 0 0".repeat(20));
                survey.count(&plan, line.as_bytes(), Timestamp::from_millis(0));
            }
            survey.codes
        };
        let few = survey(&["95", "20", "96", "96", "x\0"].map(str::to_owned));
        assert_eq!((few.by_frequency(), few.other_codes()), (vec![("96", 2), ("95", 1)], 0));
        let many: Vec<String> = (0..MOST_CODES + 2).chain([0]).map(|code| (1_000 + code).to_string()).collect();
        let many = survey(&many);
        assert_eq!(
            (many.by_frequency().len(), many.by_frequency()[0], many.other_codes()),
            (MOST_CODES, ("1000", 2), 2)
        );
        println!("{} codes, limit {MOST_CODES}: {} records are counted together", MOST_CODES + 2, many.other_codes());
    }
}
