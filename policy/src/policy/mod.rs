//! A policy, compiled from its file: what applies to whom; it never sees SQL text.

mod approval;
mod caller;
mod entry;
mod moment;
mod pattern;
mod rule;
mod stop;
mod template;

pub use approval::{Approvals, Approver, Given};
pub(crate) use caller::Unparsed;
pub use caller::{Caller, Login, Proof};
pub(crate) use entry::{CallerEntry, KindOf, WantedClaim};
pub use moment::Moment;
pub(crate) use pattern::{ColumnPattern, Glob, TablePattern};
pub(crate) use rule::{Rule, When, touches};
pub use stop::{Breaker, Operator, Stop};
pub(crate) use template::Template;

use crate::{Catalog, PolicyError, file};
use clyra_spec::{Mode, RuleVerdict};
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
    pub(crate) name: Box<str>,
    pub(crate) version: u64,
    pub(crate) digest: Arc<str>,
    pub(crate) mode: Mode,
    pub(crate) unparsed: Unparsed,
    /// What becomes of an EXECUTE whose name is not known.
    pub(crate) unknown_prepared: Unparsed,
    /// What becomes of names that the catalog does not have, where a rule depends on them.
    pub(crate) unknown_names: Option<Unparsed>,
    /// What the database defines, where it is known.
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) evidence: Evidence,
    pub(crate) on_full: Option<OnFull>,
    /// Who may approve.
    pub(crate) approvers: Box<[Approver]>,
    /// Whose signature turns the kill switch.
    pub(crate) operators: Box<[Operator]>,
    /// A COMMIT passes while statements are blocked.
    pub(crate) commit_on_kill: bool,
    pub(crate) callers: Box<[CallerEntry]>,
    pub(crate) rules: Box<[Rule]>,
    /// Some rule may leave a duty with what passes.
    pub(crate) has_duties: bool,
    /// Shared by all decisions in which no rule spoke.
    pub(crate) silence: Arc<[RuleVerdict]>,
}

impl Policy {
    /// The built-in policy to begin with.
    pub const STARTER: &str = include_str!("../../packs/starter.yaml");

    /// Compiles a policy file; `file` is what messages call it.
    ///
    /// # Errors
    /// The first fault of the file, with its place.
    pub fn parse(yaml: &str, file: &str) -> Result<Self, PolicyError> {
        file::read(yaml, file)
    }

    /// The built-in policy to begin with: shadow mode and a few common rules.
    #[expect(clippy::expect_used, reason = "the text is built in, and a test reads it")]
    pub fn starter() -> Self {
        Self::parse(Self::STARTER, "starter.yaml").expect("the built-in policy is sound")
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

    /// The same policy in another mode. Callers and rules with a mode of their own keep it.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The same policy with what the database defines. Names that the catalog does not have are then doubted, unless
    /// the file says `unknown_names: allow`.
    #[must_use]
    pub fn with_catalog(self, catalog: Arc<Catalog>) -> Self {
        Self { catalog: Some(catalog), ..self }
    }

    /// Ids of the rules whose verdict depends on what stands behind a name: these a catalog makes sharper.
    pub fn rules_about_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.is_about_names()).map(|rule| &*rule.id)
    }

    /// Whether any rule about names can apply to this caller.
    pub fn looks_at_names(&self, caller: &Caller) -> bool {
        self.rules_of(&self.known(caller)).any(Rule::is_about_names)
    }

    /// Whether anything is enforced for this caller.
    pub fn guards(&self, caller: &Caller) -> bool {
        self.is_guarded(&self.known(caller))
    }

    /// Whether names that the catalog does not have are doubted.
    pub fn doubts_unknown_names(&self) -> bool {
        self.unknown_names != Some(Unparsed::Allow)
    }

    /// Who may approve what `require_approval` asks for.
    pub fn approvers(&self) -> &[Approver] {
        &self.approvers
    }

    /// Whose signature turns the kill switch; where there are none, anybody's word does.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// When a rule raises the kill switch by itself.
    pub fn breaker(&self, rule: &str) -> Option<Breaker> {
        self.rules.iter().find(|one| *one.id == *rule)?.breaker
    }

    /// The ids of its rules.
    pub fn rule_ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.id)
    }

    /// Whether approvals of this caller's messages matter; if so, [`Moment::approvals`] must be known.
    pub fn asks_approval(&self, caller: &Caller) -> bool {
        self.known(caller).asks_approval
    }

    /// Whether it is the built-in policy to begin with, letter by letter.
    pub fn is_starter(&self) -> bool {
        self.digest == Self::starter().digest
    }

    /// Whether anything is carried out: by the file's mode, a caller's or a rule's.
    pub fn enforces(&self) -> bool {
        self.mode == Mode::Enforce
            || self.callers.iter().any(|entry| entry.mode == Some(Mode::Enforce))
            || self.rules.iter().any(|rule| rule.mode == Some(Mode::Enforce))
    }

    /// Number of rules.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// When a receipt must be durable, unless a rule asks for more.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// What happens when receipts can no longer be stored; by default the gate is shut in enforce mode.
    pub fn on_full(&self) -> OnFull {
        self.on_full.unwrap_or(match self.mode {
            Mode::Enforce => OnFull::Block,
            Mode::Shadow => OnFull::Gap,
        })
    }

    /// Who this login is to the policy, and which rules can apply to it, when it has proved nothing but its name.
    pub fn caller(&self, login: &Login<'_>) -> Caller {
        self.caller_with(login, &Arc::default())
    }

    /// Who this login is to the policy, and which rules can apply to it.
    pub fn caller_with(&self, login: &Login<'_>, proof: &Arc<Proof>) -> Caller {
        let nobody = CallerEntry::default();
        let mut found = self.callers.iter().filter_map(|entry| Some((entry, entry.fits(login, proof)?)));
        let (entry, bound) = found.next().unwrap_or((&nobody, Ok(Vec::new())));
        let named = bound.and_then(|bound| entry.name(login, proof, &bound));
        let (named, unnamed) = match named {
            Ok(named) => (named, None),
            Err(why) => (entry::Named::default(), Some(why.into())),
        };
        let mut caller = Caller {
            actor: named.actor.unwrap_or_else(|| login.user.into()),
            kind: named.kind.unwrap_or_default(),
            tenant: login.tenant.map(Into::into).or(named.tenant),
            user: login.user.into(),
            database: login.database.into(),
            application: login.application.into(),
            login_tenant: login.tenant.map(Into::into),
            proof: Arc::clone(proof),
            unnamed,
            mode: entry.mode,
            unparsed: entry.unparsed,
            replication: entry.replication,
            asks_approval: false,
            rules: Box::default(),
            digest: Arc::clone(&self.digest),
        };
        let rules = self.rules.iter().enumerate();
        caller.rules =
            rules.filter(|(_, rule)| rule.when.selects_caller(&caller)).map(|(at, _)| at).collect();
        let asks = self.rules_of(&caller).any(|rule| rule.guard.consent().is_some());
        caller.asks_approval = asks;
        caller
    }

    /// Why this caller may not come in: its entry in `callers:` names it by a proof that lacks something, and that is
    /// enforced. Its statements would be refused, too.
    pub fn turns_away<'c>(&self, caller: &'c Caller) -> Option<&'c str> {
        caller.unnamed.as_deref().filter(|_| self.is_guarded(caller))
    }
}
