//! What the judge answers, and what a refused caller may read; it never decides anything itself.

use crate::Duty;
use clyra_spec::{RuleVerdict, Verdict};
use std::sync::Arc;

/// What is to become of a message.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The verdict: the one carried out, or in shadow mode the one that would have been.
    pub verdict: Verdict,
    /// Whether the verdict is carried out.
    pub enforced: bool,
    /// The intent receipt must be durable before the message is sent on.
    pub strict: bool,
    /// Every rule that spoke, those in shadow mode too; shared and empty when none did.
    pub rules: Arc<[RuleVerdict]>,
    /// What to tell the caller; there exactly when the verdict refuses and is carried out.
    pub refusal: Option<Arc<Refusal>>,
    /// What the gateway must do when it lets the message pass; `None` for nothing, and for what is refused.
    pub duties: Option<Arc<[Duty]>>,
}

impl Decision {
    /// What the gateway must do when it lets the message pass, in the order of the rules.
    pub fn duties(&self) -> &[Duty] {
        self.duties.as_deref().unwrap_or_default()
    }
}

/// What a refused caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Id of the rule that refuses, or of the built-in one (`kill`, `unparsed`).
    pub rule: Box<str>,
    /// Stable reason code.
    pub reason: &'static str,
    /// SQLSTATE of the error: `42501`, `ZC100`, `42601` or `0A000`.
    pub sqlstate: &'static str,
    /// One sentence.
    pub message: String,
    /// Rule, reason and what was found.
    pub detail: String,
    /// What would be allowed.
    pub hint: String,
    /// Where in the whole message, in characters from 1.
    pub position: Option<u32>,
}
