//! What one rule would have said of a message, as far as its receipts decide it: the guards themselves judge the facts that
//! a receipt tells, and what they would need beside those is unknown. It never takes unknown for silence.

use super::marks::Told;
use super::receipt::Receipt;
use super::who::World;
use crate::blocks::Link;
use crate::detail::{Answer as Rows, Plan, Written};
use crate::duty::Charge;
use crate::guard::Guard;
use crate::policy::{Approvals, Moment, Rule, When};
use crate::{Caller, Facts, StatementFacts, Verbs, known};
use clyra_spec::{Status, Verb};
use std::sync::Arc;

/// What a rule would have said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Silent,
    Speaks(&'static str),
    /// Nobody can tell, and what is missing.
    Unknown(&'static str),
}

impl Answer {
    /// Of several places, in one of which a rule may speak.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Speaks(_), _) | (_, Self::Silent) => self,
            (_, Self::Speaks(_)) | (Self::Silent, _) => other,
            (Self::Unknown(_), Self::Unknown(_)) => self,
        }
    }

    /// The same, where it is not certain that the rule is about it at all.
    pub(super) fn perhaps(self, why: &'static str) -> Self {
        if self == Self::Silent { self } else { Self::Unknown(why) }
    }
}

/// The statements of a message, as its receipts tell of them.
#[derive(Debug)]
pub(super) struct Message<'r> {
    pub(super) receipts: &'r [Receipt],
    pub(super) told: Vec<Told>,
    facts: Facts,
}

impl<'r> Message<'r> {
    pub(super) fn new(receipts: &'r [Receipt]) -> Self {
        let told: Vec<Told> =
            receipts.iter().map(|one| Told::of(one.action.verb, &one.action.tags)).collect();
        let statements = receipts.iter().zip(&told).map(|(receipt, told)| statement(receipt, told)).collect();
        Self { receipts, told, facts: Facts { statements, problem: None } }
    }

    pub(super) fn statements(&self) -> &[StatementFacts] {
        &self.facts.statements
    }

    /// What the rule would have said of the message of this caller.
    pub(super) fn ask(&self, rule: &Rule, world: &World) -> Answer {
        let selected = world.is_selected(&rule.when);
        if selected == Some(false) {
            return Answer::Silent;
        }
        let caller = caller(world);
        let places = self.receipts.iter().zip(&self.told).zip(self.statements());
        let each = places.map(|((receipt, told), facts)| {
            let one = One { receipt, told, facts, caller: &caller };
            match one.is_selected(&rule.when) {
                Some(false) => Answer::Silent,
                Some(true) => one.ask(&rule.guard),
                None => one.ask(&rule.guard).perhaps(BODY),
            }
        });
        let answer = each.fold(self.whole(rule), Answer::or);
        if selected.is_none() { answer.perhaps(WHO) } else { answer }
    }

    /// What it would have said of the message as a whole.
    fn whole(&self, rule: &Rule) -> Answer {
        if !self.statements().iter().any(|one| rule.when.selects(one, "")) {
            return Answer::Silent;
        }
        if let Guard::MaxStatementBytes(max) = &rule.guard {
            let (fewest, most) = self.told.first().map_or((0, u64::MAX), |told| told.length);
            return match () {
                () if most <= *max => Answer::Silent,
                () if fewest > *max => Answer::Speaks("statement_too_long"),
                () => Answer::Unknown("the length of the message is told by its power of ten only"),
            };
        }
        rule.guard.message(&self.facts).map_or(Answer::Silent, |finding| Answer::Speaks(finding.reason))
    }
}

/// One statement of a message.
struct One<'m> {
    receipt: &'m Receipt,
    told: &'m Told,
    facts: &'m StatementFacts,
    caller: &'m Caller,
}

impl One<'_> {
    /// Whether a rule is about the statement; nothing where its names may be behind a name, or left out.
    fn is_selected(&self, when: &When) -> Option<bool> {
        if when.selects(self.facts, &self.caller.user) {
            return Some(true);
        }
        let runs = by_name(self.facts) && (when.verbs.is_some() || !when.tables.is_empty());
        let cut = self.told.cut && !when.tables.is_empty();
        (!runs && !cut).then_some(false)
    }

    fn ask(&self, guard: &Guard) -> Answer {
        match guard {
            Guard::RequireWhere { .. } if self.facts.is_opaque() => self.found(guard),
            Guard::RequireWhere { verbs, tables } => self.by(guard, |one| {
                // The mark says that a table lacks a condition, and not which.
                let about = |name: &str| tables.iter().any(|table| table.matches(name, &one.caller.user));
                let no_where = one.told.tags.iter().any(|tag| &**tag == "no_where");
                // A function keeps its changes for later; they count, and have no verb of their own here.
                let keeps = matches!(one.facts.verb, Verb::Create | Verb::Alter);
                let changes = (keeps || one.facts.verbs.meets(*verbs))
                    && one.facts.writes.iter().any(|name| about(name));
                let only =
                    one.facts.writes.iter().all(|name| about(name)) && changing(one.facts.verbs, *verbs);
                match (no_where && changes, only) {
                    (false, _) => Answer::Silent,
                    (true, true) => Answer::Speaks("no_where"),
                    (true, false) => {
                        Answer::Unknown("which of several changes lacks a condition is not recorded")
                    }
                }
            }),
            Guard::RequireLimit { max, gather } => self.by(guard, |one| one.limit(guard, *max, *gather)),
            Guard::RequireApproval(_) if !self.receipt.decision.approvals.is_empty() => {
                self.found(guard).perhaps("receipts do not tell who gave an approval")
            }
            Guard::TenantFence(_) | Guard::Pinned(_) if self.is_control() => Answer::Silent,
            Guard::TenantFence(_) | Guard::Pinned(_) => {
                Answer::Unknown("a tenant fence reads the text itself")
            }
            Guard::SessionLock { allow } if !allow.is_empty() && self.told.locked_setting => {
                Answer::Unknown("which settings were changed is not recorded")
            }
            Guard::SessionLock { .. } if self.told.locked_setting => Answer::Speaks("setting_locked"),
            Guard::ReadOnly { .. } if self.told.locked_setting => Answer::Speaks("setting_locked"),
            Guard::DenyFunctions { dangerous: true, .. }
                if self.told.locked_setting && self.calls("set_config") =>
            {
                Answer::Speaks("setting_locked")
            }
            Guard::Charge(charge) => self.by(guard, |one| one.found(guard).or(one.charge(charge))),
            _ => self.by(guard, |one| one.found(guard)),
        }
    }

    /// What the guard finds; where it finds nothing and might have in what is not recorded, unknown.
    fn by(&self, guard: &Guard, judge: impl FnOnce(&Self) -> Answer) -> Answer {
        match judge(self) {
            Answer::Silent => self.missing(guard).map_or(Answer::Silent, Answer::Unknown),
            answer => answer,
        }
    }

    fn found(&self, guard: &Guard) -> Answer {
        let change_intent = self.receipt.run.as_ref().and_then(|run| run.change_intent.as_deref());
        let approvals = Approvals::Of { digest: "", given: &[] };
        let moment = Moment { now_us: self.receipt.at_us(), change_intent, approvals, ..Moment::default() };
        let finding = guard.statement(self.facts, self.caller, &moment);
        finding.map_or(Answer::Silent, |finding| Answer::Speaks(finding.reason))
    }

    /// What the guard would have to know beside what the receipt tells.
    fn missing(&self, guard: &Guard) -> Option<&'static str> {
        let of_names = matches!(
            guard,
            Guard::DenyTables(_)
                | Guard::AllowTables(_)
                | Guard::DenyColumns(_)
                | Guard::DenyFunctions { .. }
                | Guard::AllowFunctions { .. }
                | Guard::ReadOnly { .. }
                | Guard::NoDynamicSql
        );
        match guard {
            Guard::SingleStatement | Guard::MaxStatementBytes(_) | Guard::SessionLock { .. } => None,
            _ if by_name(self.facts) => Some(BODY),
            _ if of_names && self.told.cut => Some("the receipt leaves names out"),
            Guard::DenyColumns(patterns) => {
                let names = || self.facts.reads.iter().chain(&self.facts.writes);
                let touched =
                    patterns.iter().any(|one| names().any(|name| one.table.matches(name, &self.caller.user)));
                touched.then_some("columns are not recorded")
            }
            Guard::ReadOnly { .. } if self.told.own_operator => {
                Some("operators and casts are not recorded by name")
            }
            _ => None,
        }
    }

    fn limit(&self, guard: &Guard, max: u64, gather: bool) -> Answer {
        let Some((fewest, most)) = self.told.bound else { return self.found(guard) };
        match () {
            () if fewest > max => Answer::Speaks("limit_too_high"),
            () if most <= max => self.found(guard),
            () if !gather && self.facts.functions.iter().any(|name| known::gathers(name)) => {
                Answer::Speaks("limit_passed_by")
            }
            () => Answer::Unknown("the bound of an answer is told by its power of ten only"),
        }
    }

    /// What a duty would have found.
    fn charge(&self, charge: &Charge) -> Answer {
        let about = charge.is_about(self.facts, false);
        let outcome = self.receipt.outcome.as_ref();
        let over = |max: u64, reason| match outcome {
            _ if !about => Answer::Silent,
            Some(outcome) if outcome.rows.is_some_and(|rows| rows > max) => Answer::Speaks(reason),
            Some(outcome) if outcome.status == Status::Ok => Answer::Silent,
            _ => Answer::Unknown("how many rows it would have been is not known: it did not run to its end"),
        };
        match charge {
            Charge::RowsWritten(max) => over(*max, "too_many_rows_written"),
            Charge::RowsReturned(max) => over(*max, "too_many_rows_returned"),
            Charge::Cost { .. } if !about => Answer::Silent,
            Charge::Cost { .. } => Answer::Unknown("costs are not recorded"),
            Charge::Once(_) if !about => Answer::Silent,
            Charge::Once(_) => Answer::Unknown("keys are not recorded"),
            Charge::Velocity(_) if !about => Answer::Silent,
            Charge::Velocity(_) => Answer::Unknown("what was used before is not counted again"),
        }
    }

    fn calls(&self, function: &str) -> bool {
        self.facts.functions.iter().any(|name| name.ends_with(function))
    }

    /// A statement that no tenant fence has anything against.
    fn is_control(&self) -> bool {
        matches!(self.facts.verb, Verb::Empty | Verb::Begin | Verb::Commit | Verb::Rollback)
    }
}

/// A statement that runs, or reads from, what stands in another receipt.
fn by_name(facts: &StatementFacts) -> bool {
    facts.executes.is_some() || facts.verb == Verb::Fetch
}

/// Whether all that changes rows among these verbs is among the rule's.
fn changing(verbs: Verbs, rule: Verbs) -> bool {
    [Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate]
        .into_iter()
        .all(|verb| !verbs.contains(verb) || rule.contains(verb))
}

fn statement(receipt: &Receipt, told: &Told) -> StatementFacts {
    let action = &receipt.action;
    let mut details = told.details.clone();
    details.operators = told.operators();
    let rows = receipt.outcome.as_ref().is_some_and(|outcome| outcome.rows.is_some());
    if action.verb == Verb::Create && rows && details.written == Written::Nothing {
        details.written = Written::Counted;
    }
    if action.verb == Verb::Create && !rows && details.plan == Plan::Whole {
        details.plan = Plan::Nothing;
    }
    if matches!(action.verb, Verb::Fetch | Verb::CopyOut) && details.answer == Rows::Nothing {
        details.answer = Rows::Open("is not bounded");
    }
    StatementFacts {
        verb: action.verb,
        verbs: told.verbs,
        reads: action.reads.clone(),
        writes: action.writes.clone(),
        functions: action.functions.clone(),
        tags: told.tags.clone().into(),
        targets: Box::default(),
        settings: told.settings.clone().into(),
        shape: [0; 32],
        span: (0, 0),
        position: 1,
        prepares: told.tags.iter().any(|tag| &**tag == "prepare").then(Box::default),
        executes: (action.verb == Verb::Execute).then(Box::default),
        deallocates: None,
        claims: None,
        own: None,
        details,
        blocks: Link::default(),
    }
}

/// The caller as guards see it.
fn caller(world: &World) -> Caller {
    Caller {
        actor: Box::default(),
        kind: clyra_spec::ActorKind::default(),
        tenant: None,
        user: world.user.clone().unwrap_or_default(),
        database: Box::default(),
        application: Box::default(),
        login_tenant: None,
        proof: Arc::default(),
        unnamed: None,
        mode: None,
        unparsed: None,
        replication: false,
        asks_approval: true,
        rules: Box::default(),
        digest: Arc::from(""),
    }
}

const BODY: &str = "what runs by name stands in another receipt";
/// Nobody can tell whom a rule is about.
pub(super) const WHO: &str = "receipts name users and tenants by fingerprints only";
