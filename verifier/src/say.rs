//! Tells a report to people and to programs; both hear the same.

use crate::{Outcome, Report, Summary, SwitchSummary};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

impl fmt::Display for Report {
    /// A table of checks, what the evidence says, and the verdict as the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{:<7} {:<21} {}", check.outcome.as_str(), check.name, check.detail)?;
        }
        if let Some(summary) = &self.summary {
            writeln!(f, "\n{summary}")?;
        }
        f.write_str(&self.verdict())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(run_id) = &self.run_id {
            let closed = if self.closed == Some(true) { "closed" } else { "not closed" };
            writeln!(f, "run       {}, {closed}", run_id.escape_debug())?;
        }
        writeln!(f, "log       {}, size {}", self.log_origin.escape_debug(), self.log_size)?;
        writeln!(f, "entries   {}", listed(&self.counts))?;
        writeln!(f, "verdicts  {}", listed(&self.verdicts))?;
        for stream in &self.streams {
            writeln!(
                f,
                "stream    {} epoch {}, seq {} to {}, receipts {}",
                stream.gateway.escape_debug(),
                stream.epoch,
                stream.first_seq,
                stream.last_seq,
                stream.receipts
            )?;
        }
        self.policies.iter().try_for_each(|policy| writeln!(f, "policy    {policy}"))?;
        self.switches.iter().try_for_each(|switch| writeln!(f, "{switch}"))
    }
}

impl fmt::Display for SwitchSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { turn, at, level, scope, class, cause, by, reason, signer, checked, .. } = self;
        let (scope, by, reason) = (scope.escape_debug(), by.escape_debug(), reason.escape_debug());
        let class = if class == "all" { String::new() } else { format!(" ({class})") };
        write!(f, "switch    turn {turn} at {at}: {level} for {scope}{class}, {cause} by {by}: {reason}")?;
        match (signer, checked) {
            (None, _) => f.write_str("; unsigned"),
            (Some(key), true) => write!(f, "; signed by {key}"),
            (Some(key), false) => write!(f, "; signed by {key}, not checked"),
        }
    }
}

impl Report {
    /// The same as JSON: `{"outcome","checks":[{"name","outcome","detail"}],"summary"}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Told<'a> {
            outcome: Outcome,
            verdict: String,
            checks: &'a [crate::Check],
            summary: &'a Option<Summary>,
        }
        let told = Told {
            outcome: self.outcome(),
            verdict: self.verdict(),
            checks: &self.checks,
            summary: &self.summary,
        };
        // Texts, numbers and maps with text keys: there is nothing in a report that JSON cannot say.
        serde_json::to_string_pretty(&told).unwrap_or_default()
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(word, number)| format!("{word} {number}")).collect::<Vec<_>>().join(", ")
}
