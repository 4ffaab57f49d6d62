//! A policy, compiled from its file: what applies to whom; it never sees SQL text.

use crate::{Caller, Decision, Facts, Login, PolicyError};
use clyra_spec::{KillLevel, Mode, Verdict};
use std::sync::Arc;

/// When a receipt must be durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Soon after the statement.
    #[default]
    Async,
    /// Before the statement is sent on.
    Strict,
}

/// What happens when receipts can no longer be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Statements are refused.
    Block,
    /// Statements pass, and the loss is written down.
    Gap,
}

/// A compiled policy: immutable and shared.
#[derive(Clone, Debug)]
pub struct Policy {
    name: Box<str>,
    version: u64,
    digest: Box<str>,
    mode: Mode,
}

impl Policy {
    /// The built-in policy to begin with.
    pub const STARTER: &str = include_str!("../packs/starter.yaml");

    /// Compiles a policy file; `file` is what messages call it.
    ///
    /// # Errors
    /// The first fault of the file, with its place.
    pub fn parse(yaml: &str, file: &str) -> Result<Self, PolicyError> {
        Err(PolicyError::new(file, yaml, 1, 1, "policy files cannot be read yet".to_owned()))
    }

    /// The built-in policy to begin with: shadow mode, five common rules.
    pub fn starter() -> Self {
        Self { name: "starter".into(), version: 1, digest: "sha256:".into(), mode: Mode::Shadow }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The owner's revision, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// `sha256:` and the hex digest of the file's bytes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The file's mode, after [`Policy::with_mode`].
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same policy in another mode.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Number of rules.
    pub fn rules(&self) -> usize {
        0
    }

    /// When a receipt must be durable, unless a rule asks for more.
    pub fn evidence(&self) -> Evidence {
        Evidence::Async
    }

    /// What happens when receipts can no longer be stored.
    pub fn on_full(&self) -> OnFull {
        match self.mode {
            Mode::Enforce => OnFull::Block,
            Mode::Shadow => OnFull::Gap,
        }
    }

    /// Who this login is to the policy, and which rules can apply to it.
    pub fn caller(&self, login: &Login<'_>) -> Caller {
        Caller {
            actor: login.user.into(),
            kind: clyra_spec::ActorKind::default(),
            tenant: login.tenant.map(Into::into),
        }
    }

    /// Judges one message. `prepared` gives the facts of a statement prepared earlier in the session.
    pub fn decide(
        &self,
        caller: &Caller,
        facts: &Facts,
        kill: KillLevel,
        prepared: &dyn Fn(&str) -> Option<Arc<Facts>>,
    ) -> Decision {
        let _ = (caller, facts, kill, prepared);
        Decision {
            verdict: Verdict::Deny,
            enforced: false,
            strict: false,
            rules: Arc::new([]),
            refusal: None,
        }
    }
}
