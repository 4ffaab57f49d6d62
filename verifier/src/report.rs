//! The answer: every check with its outcome, and what the evidence says once counted again; it never decides.

use crate::error::{Doubt, Finding};
use serde::Serialize;
use std::collections::BTreeMap;

/// One of three answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// Nothing is wrong, but it cannot be called complete.
    Unable,
    /// It is not as its makers signed it.
    Fail,
}

impl Outcome {
    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Unable => "UNABLE",
            Self::Fail => "FAIL",
        }
    }

    /// The exit code of `clyra-verify`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 2,
            Self::Unable => 3,
        }
    }
}

/// One named check and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its stable name.
    pub name: &'static str,
    /// What came out.
    pub outcome: Outcome,
    /// One sentence: what was found, with the place of the first fault.
    pub detail: String,
}

/// The answer to one question about evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// What the evidence says; absent when it could not be read.
    pub summary: Option<Summary>,
}

/// What the entries say once counted again, never what the manifest claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The run that the evidence is about; absent for a whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Whether every gateway closed the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
    /// Entries by kind.
    pub counts: BTreeMap<String, u64>,
    /// Receipts by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Gateway streams.
    pub streams: Vec<StreamSummary>,
    /// Policy digests.
    pub policies: Vec<String>,
    /// Turns of the kill switch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub switches: Vec<SwitchSummary>,
    /// Name of the log.
    pub log_origin: String,
    /// Its size at the checkpoint.
    pub log_size: u64,
}

/// One turn of the kill switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SwitchSummary {
    /// The gateway.
    pub gateway: String,
    /// Its number at that gateway.
    pub turn: u64,
    /// When.
    pub at: String,
    /// Whom it covers, with a name where it has one.
    pub scope: String,
    /// Which statements.
    pub class: String,
    /// The level from then on.
    pub level: String,
    /// What turned it.
    pub cause: String,
    /// Who, as given.
    pub by: String,
    /// Why, as given.
    pub reason: String,
    /// The key that signed for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Whether that key stands in the trust file, and its signature holds.
    pub checked: bool,
}

/// One gateway process as far as the evidence shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StreamSummary {
    /// The gateway.
    pub gateway: String,
    /// Start of its process, milliseconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// First seq shown.
    pub first_seq: u64,
    /// Last seq shown.
    pub last_seq: u64,
    /// Receipts shown.
    pub receipts: u64,
}

impl Report {
    /// The worst outcome of all checks; without any check nothing was proven.
    pub fn outcome(&self) -> Outcome {
        self.checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Unable)
    }

    /// The name of the first check that failed.
    pub fn first_failed(&self) -> Option<&'static str> {
        self.first(Outcome::Fail).map(|check| check.name)
    }

    /// The last line of the report: the outcome, and what decided it.
    pub fn verdict(&self) -> String {
        match self.outcome() {
            Outcome::Pass => "PASS".to_owned(),
            Outcome::Fail => format!("FAIL: {}", self.first_failed().unwrap_or_default()),
            Outcome::Unable => format!(
                "UNABLE: {}",
                self.first(Outcome::Unable).map_or("nothing was checked", |check| &check.detail)
            ),
        }
    }

    pub(crate) fn note(&mut self, name: &'static str, finding: Finding) {
        let (outcome, detail) = match finding {
            Ok(detail) => (Outcome::Pass, detail),
            Err(Doubt::Fail(detail)) => (Outcome::Fail, detail),
            Err(Doubt::Unable(detail)) => (Outcome::Unable, detail),
        };
        self.checks.push(Check { name, outcome, detail });
    }

    fn first(&self, outcome: Outcome) -> Option<&Check> {
        self.checks.iter().find(|check| check.outcome == outcome)
    }
}
