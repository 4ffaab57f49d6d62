//! What a session must know of names before a message is judged, and what its messages do to names: asks the server's
//! session where they lead, and has the catalog looked at. It judges nothing.

use super::{
    Broken, Relay,
    ask::{PreparedNames, Question},
};
use crate::catalog::{Lack, Stamp};
use clyra_policy::{Facts, Setting, Standing, StatementFacts};
use clyra_spec::Verb;
use clyra_wire::OwnAnswer;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

impl Relay {
    /// Learns what must be known of names before a message is judged: from the server's session, and from the catalog.
    /// Who waits here is bounded; what does not come in time is doubted.
    pub(super) async fn know_names(&mut self, question: &Question) -> Result<(), Broken> {
        let facts = &question.known.facts;
        let sight = self.visitor.as_ref().and_then(|visitor| visitor.sight.as_deref());
        let Some(sight) = sight.filter(|sight| sight.looks && facts.has_names()) else { return Ok(()) };
        if sight.wants(self.stamp()) {
            self.ask_standing().await?;
        }
        let deadline = Instant::now() + NAMES_MAX;
        let mut looked = false;
        loop {
            let visitor = self.visitor.as_mut();
            let Some(sight) = visitor.and_then(|visitor| visitor.sight.as_deref_mut()) else { return Ok(()) };
            match sight.lacks(facts, Instant::now()) {
                None => return Ok(()),
                Some(Lack::Name) if looked || !sight.waits() => return Ok(()),
                Some(Lack::Snapshot) if !sight.waits() || Instant::now() >= deadline => {
                    sight.doubt();
                    return Ok(());
                }
                Some(_) => {}
            }
            let place = Arc::clone(sight.place());
            looked = true;
            place.look(deadline).await;
        }
    }

    async fn ask_standing(&mut self) -> Result<(), Broken> {
        // A transaction that has failed answers nothing, and runs nothing.
        self.settled().await?;
        let answer = if self.wire.is_failed() {
            OwnAnswer::default()
        } else {
            self.ask_server(Standing::QUESTION).await?
        };
        let (stamp, whole) = (self.stamp(), self.wire.is_idle());
        let row: Vec<Option<&str>> = answer.rows.first().map_or_else(Vec::new, |row| {
            row.iter().map(|one| one.as_deref().and_then(|one| str::from_utf8(one).ok())).collect()
        });
        let standing = if answer.truncated { Standing::default() } else { Standing::of_row(&row) };
        let known = answer.completed() && !answer.rows.is_empty();
        if let Some(sight) = self.visitor.as_mut().and_then(|visitor| visitor.sight.as_deref_mut()) {
            sight.told(Arc::new(standing), stamp, whole && known);
            if !known {
                sight.moved();
            }
        }
        Ok(())
    }

    pub(super) fn stamp(&self) -> Stamp {
        let status = self.wire.status();
        // Within a transaction, segments end without an end of what was set.
        let segments = if status == b'T' { 0 } else { self.wire.segments() };
        Stamp { failures: self.wire.failures(), status, segments }
    }

    /// Follows what a message that goes on does to names.
    pub(super) fn follow_names_sent(&mut self, facts: &Arc<Facts>) {
        let in_transaction = self.wire.status() == b'T';
        let wire = PreparedNames(&self.wire, &self.cursors);
        let Some(sight) = self.visitor.as_mut().and_then(|visitor| visitor.sight.as_deref_mut()) else {
            return;
        };
        for name in facts.statements.iter().filter_map(|one| one.executes.as_deref()) {
            if let Some(body) = wire.facts(name) {
                sight.sent(&body, in_transaction);
            }
        }
        sight.sent(facts, in_transaction);
    }

    /// Follows cursors that a statement has declared or closed, and those that end with their transaction.
    pub(super) fn follow_cursors(&mut self, statement: &StatementFacts) {
        match statement.closes() {
            Some(Some(name)) => self.cursors.forget(name),
            Some(None) => self.cursors.keep(|_| false),
            None => {}
        }
        if statement.settings.contains(&Setting::All) && statement.verb == Verb::Discard {
            self.cursors.keep(|_| false);
        }
        if let Some((name, hold)) = statement.declares() {
            let facts = Facts { statements: Box::new([statement.clone()]), problem: None };
            self.cursors.declare(name, facts, hold);
        }
    }

    /// Where nothing is open in the server's session, what it has changed is over.
    pub(super) fn follow_changes(&mut self) {
        let idle = self.wire.is_idle();
        if idle && !self.cursors.is_empty() {
            self.cursors.keep(|(_, hold)| *hold);
        }
        if let Some(sight) = self.visitor.as_mut().and_then(|visitor| visitor.sight.as_deref_mut())
            && sight.is_changing()
            && idle
        {
            sight.over(false);
        }
    }
}

/// Cursors that a session has declared, with what they read and whether they outlive their transaction.
#[derive(Debug, Default)]
pub(super) struct Cursors(BTreeMap<Box<str>, (Arc<Facts>, bool)>);

impl Cursors {
    /// What a cursor reads.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Facts>> {
        self.0.get(name).map(|(facts, _)| facts)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One that finds no room stays unknown, which is never the weaker reading.
    fn declare(&mut self, name: &str, facts: Facts, hold: bool) {
        if self.0.len() < CURSORS_MAX || self.0.contains_key(name) {
            self.0.insert(name.into(), (Arc::new(facts), hold));
        }
    }

    fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    fn keep(&mut self, which: impl Fn(&(Arc<Facts>, bool)) -> bool) {
        self.0.retain(|_, cursor| which(cursor));
    }
}

/// Cursors of one session that are remembered.
const CURSORS_MAX: usize = 1_000;
/// How long a message waits for what must be known of its names.
const NAMES_MAX: Duration = Duration::from_secs(5);
