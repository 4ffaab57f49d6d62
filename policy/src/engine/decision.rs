//! What the judge answers, and what a refused caller may read; it never decides anything itself.

use crate::Duty;
use clyra_spec::{KillLevel, RuleVerdict, Verdict};
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
    /// Ids of the approvals that let it pass, which are to be used up before it is sent on.
    pub approvals: Option<Arc<[Box<str>]>>,
    /// What to tell the caller; there exactly when the verdict refuses and is carried out.
    pub refusal: Option<Arc<Refusal>>,
    /// What the gateway must do when it lets the message pass; `None` for nothing, and for what is refused.
    pub duties: Option<Arc<[Duty]>>,
}

impl Decision {
    /// A rule speaks after all: its duty has found something. Where the rule is enforced, the decision is a refusal.
    pub fn breach(&mut self, duty: &Duty, breach: &Breach) {
        let spoken = RuleVerdict {
            enforced: duty.enforced,
            id: duty.rule.clone(),
            reason: breach.reason,
            verdict: breach.verdict,
        };
        self.rules = self.rules.iter().cloned().chain([spoken]).collect();
        if duty.enforced && self.refusal.is_none() {
            let Breach { reason, what, .. } = breach;
            self.verdict = breach.verdict;
            self.enforced = true;
            self.duties = None;
            self.refusal = Some(Arc::new(Refusal {
                rule: duty.rule.clone(),
                reason,
                sqlstate: breach.sqlstate,
                message: format!("clyra: rule `{}` refuses {what}", duty.rule),
                detail: format!("Rule: {}; reason: {reason}; found: {what}.", duty.rule),
                hint: breach.hint.clone(),
                position: None,
            }));
        } else if self.verdict == Verdict::Allow {
            self.verdict = breach.verdict;
            self.enforced = false;
        }
    }

    /// The kill switch has stopped a message that was let pass.
    pub fn stop(&mut self, level: KillLevel) {
        let spoken =
            RuleVerdict { enforced: true, id: "kill".into(), reason: level.as_str(), verdict: Verdict::Kill };
        self.rules = self.rules.iter().cloned().chain([spoken]).collect();
        (self.verdict, self.enforced) = (Verdict::Kill, true);
    }

    /// What the gateway must do when it lets the message pass, in the order of the rules.
    pub fn duties(&self) -> &[Duty] {
        self.duties.as_deref().unwrap_or_default()
    }
}

/// What a duty found when it was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// `deny` or `throttle`.
    pub verdict: Verdict,
    /// Stable reason code.
    pub reason: &'static str,
    /// SQLSTATE of the error.
    pub sqlstate: &'static str,
    /// What is refused, as the end of a sentence.
    pub what: String,
    /// What would be allowed.
    pub hint: String,
}

/// What a refused caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Id of the rule that refuses, or of the built-in one (`kill`, `unparsed`).
    pub rule: Box<str>,
    /// Stable reason code.
    pub reason: &'static str,
    /// SQLSTATE of the error: `42501`, `ZC100`, `42601`, `0A000`, or what a duty says.
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
