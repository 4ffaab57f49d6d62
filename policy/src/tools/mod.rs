//! The verbs behind `clyra policy`: lint, explain, eval, facts, cases, diff, schema; they never read files themselves.

mod cases;
mod diff;
mod eval;
mod explain;
mod facts;
mod session;

pub use crate::replay::{
    Action, Aim, Asker, Backtest, Claimed, Ended, Judged, Place, Receipt, Retold, RuleRetold, Spoke,
};
pub use cases::{CaseFailure, CasesReport, cases};
pub use diff::{Difference, Said, diff_line};
pub use eval::eval_line;
pub use explain::{Explanation, ProofStep, RuleExplanation, explain};
pub use facts::{FactsView, ProblemView, SettingView, StatementDetail, facts, facts_line};
pub use session::RuleView;

use crate::{Dialect, Policy, PolicyError, StatementFacts};
use serde::Serialize;

/// JSON Schema (2020-12) of a policy file, for editors. Whatever it refuses [`lint`] refuses as well, and says better.
pub const SCHEMA: &str = include_str!("../../schema/policy.schema.json");

/// Policies to begin with: name, file, and its file of cases.
pub const PACKS: [(&str, &str, &str); 8] = [
    ("starter", Policy::STARTER, include_str!("../../packs/starter.cases.yaml")),
    ("baseline", include_str!("../../packs/baseline.yaml"), include_str!("../../packs/baseline.cases.yaml")),
    ("app", include_str!("../../packs/app.yaml"), include_str!("../../packs/app.cases.yaml")),
    ("dbt", include_str!("../../packs/dbt.yaml"), include_str!("../../packs/dbt.cases.yaml")),
    (
        "agents-read-only",
        include_str!("../../packs/agents-read-only.yaml"),
        include_str!("../../packs/agents-read-only.cases.yaml"),
    ),
    (
        "genai-risk-overlay",
        include_str!("../../packs/genai-risk-overlay.yaml"),
        include_str!("../../packs/genai-risk-overlay.cases.yaml"),
    ),
    (
        "sox-change-control",
        include_str!("../../packs/sox-change-control.yaml"),
        include_str!("../../packs/sox-change-control.cases.yaml"),
    ),
    ("pci", include_str!("../../packs/pci.yaml"), include_str!("../../packs/pci.cases.yaml")),
];

/// Checks a policy file.
///
/// # Errors
/// The first fault of the file, with its place.
pub fn lint(yaml: &str, file: &str) -> Result<Policy, PolicyError> {
    Policy::parse(yaml, file)
}

/// Ids of rules that refuse every statement of a dialect, because what they need is read for PostgreSQL only.
pub fn unfit(policy: &Policy, dialect: Dialect) -> Vec<&str> {
    let fenced =
        policy.rules.iter().filter(|rule| dialect != Dialect::Postgres && rule.guard.fence().is_some());
    fenced.map(|rule| &*rule.id).collect()
}

/// The facts of one statement, as the tools print them.
#[derive(Clone, Debug, Serialize)]
pub struct StatementView {
    /// The strongest verb.
    pub verb: &'static str,
    /// Tables read.
    pub reads: Box<[Box<str>]>,
    /// Tables written.
    pub writes: Box<[Box<str>]>,
    /// Functions called.
    pub functions: Box<[Box<str>]>,
    /// What stands out.
    pub tags: Box<[Box<str>]>,
}

impl StatementView {
    fn of(statement: &StatementFacts) -> Self {
        Self {
            verb: statement.verb.as_str(),
            reads: statement.reads.clone(),
            writes: statement.writes.clone(),
            functions: statement.functions.clone(),
            tags: statement.tags.clone(),
        }
    }
}
