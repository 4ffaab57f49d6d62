//! Plays the messages of one session past a policy, for the tools; it never keeps a message that was refused.

use super::StatementView;
use crate::{Binds, ByName, Caller, Dialect, Facts, Moment, Policy};
use clyra_spec::{KillLevel, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What became of the messages of one session.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// `Deny` when any message is denied, whether or not the mode would carry it out.
    pub(super) verdict: Verdict,
    /// Whether a refusal would be carried out.
    pub(super) enforced: bool,
    /// Every rule that spoke, each once.
    pub(super) rules: Vec<RuleView>,
    /// The statements, in order.
    pub(super) statements: Vec<StatementView>,
}

/// A rule that spoke.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RuleView {
    /// Its id.
    pub id: Box<str>,
    /// Its reason code.
    pub reason: &'static str,
}

/// Plays `messages`, which are those of one session of `caller`, at one moment.
pub(super) fn play(
    policy: &Policy,
    caller: &Caller,
    dialect: Dialect,
    messages: &[String],
    moment: &Moment<'_>,
) -> Played {
    let mut played =
        Played { verdict: Verdict::Allow, enforced: false, rules: Vec::new(), statements: Vec::new() };
    let mut session = Session::default();
    for message in messages {
        let facts = Arc::new(Facts::of(dialect, message.as_bytes()));
        let moment = Moment { path_changed: session.path_changed, binds: Binds::Later, ..*moment };
        let decision =
            policy.decide_at(caller, &facts, KillLevel::Observe, &moment, &|name| session.named(name));
        played.statements.extend(facts.statements.iter().map(StatementView::of));
        if decision.verdict != Verdict::Allow {
            played.verdict = Verdict::Deny;
        }
        for rule in decision.rules.iter() {
            if !played.rules.iter().any(|known| known.id == rule.id) {
                played.rules.push(RuleView { id: rule.id.clone(), reason: rule.reason });
            }
        }
        // A refused message leaves nothing behind in the session.
        if decision.refusal.is_some() {
            played.enforced = true;
        } else {
            session.after(&facts);
        }
    }
    played
}

/// The prepared statements and cursors of a session that is only played through.
#[derive(Default)]
struct Session {
    prepared: BTreeMap<Box<str>, Arc<Facts>>,
    cursors: BTreeMap<Box<str>, Arc<Facts>>,
    path_changed: bool,
}

impl Session {
    fn named(&self, name: ByName<'_>) -> Option<Arc<Facts>> {
        match name {
            ByName::Statement(name) => self.prepared.get(name),
            ByName::Cursor(name) => self.cursors.get(name),
        }
        .map(Arc::clone)
    }

    fn after(&mut self, facts: &Arc<Facts>) {
        self.path_changed = facts.path_changed(self.path_changed);
        for statement in &facts.statements {
            match &statement.deallocates {
                Some(Some(name)) => _ = self.prepared.remove(name),
                Some(None) => self.prepared.clear(),
                None => {}
            }
            match statement.closes() {
                Some(Some(name)) => _ = self.cursors.remove(name),
                Some(None) => self.cursors.clear(),
                None => {}
            }
            if let Some((name, _)) = statement.declares() {
                self.cursors.insert(name.into(), Arc::clone(facts));
            }
            if let Some(name) = &statement.prepares {
                self.prepared.insert(name.clone(), Arc::clone(facts));
            }
        }
    }
}
