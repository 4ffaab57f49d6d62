//! What becomes of caps and bounds when a message has ended: what was not used is given back, and what rules in shadow
//! mode would have refused is said. It decides nothing.

use super::{Gate, Ticket, clock};
use clyra_policy::{Breach, Charge, Decision, Duty, Unit};
use clyra_spec::Verdict;
use clyra_wire::{Completion, End};

impl Gate {
    /// A message that does not go on after all uses nothing.
    pub(super) fn give_all_back(&self, ticket: &Ticket) {
        ticket.grants.iter().for_each(|grant| self.caps.give_back(grant, grant.taken));
    }

    /// What a message has used of its caps. While nobody knows how it ended, all that was taken counts as used.
    pub(super) fn settle_caps(&self, ticket: &Ticket, end: Option<&End>) {
        let Some(end) = end else { return };
        for grant in &ticket.grants {
            let used: u64 = (0..ticket.known.facts.statements.len())
                .filter(|place| grant.duty.statements.contains(*place))
                .filter_map(|place| fate(end, place))
                .map(|done| units(grant.cap.of, done))
                .sum();
            // Of an answer that broke off nobody knows how far it had come.
            let answers = matches!(grant.cap.of, Unit::RowsReturned | Unit::BytesOut);
            let used = if answers && end.error.is_some() && !end.skipped { grant.taken } else { used };
            self.metrics.cap_used(&grant.duty.rule, used);
            self.caps.give_back(grant, grant.taken.saturating_sub(used));
        }
    }

    /// What duties found at a statement's end, where their rules look on only; enforced ones have spoken before.
    pub(super) fn found(&self, ticket: &Ticket, place: usize, done: Option<Completion>) -> Option<Decision> {
        let done = done?;
        let mut decision = None;
        for duty in ticket.decision.duties().iter().filter(|duty| !duty.enforced) {
            let breach = match &duty.charge {
                _ if !duty.statements.contains(place) => None,
                Charge::Velocity(_) => self.look_on(ticket, duty, done),
                charge => bound(charge, done),
            };
            if let Some(breach) = breach {
                self.metrics.spoke(&duty.rule, breach.verdict, false);
                decision.get_or_insert_with(|| ticket.decision.clone()).breach(duty, &breach);
            }
        }
        decision
    }

    /// A cap in shadow mode counts what it would have counted, and says when that would have been too much.
    fn look_on(&self, ticket: &Ticket, duty: &Duty, done: Completion) -> Option<Breach> {
        let grant = ticket.grants.iter().find(|grant| grant.duty.rule == duty.rule)?;
        if grant.cap.of == Unit::Statements {
            return None;
        }
        self.caps.use_up(&mut grant.clone(), units(grant.cap.of, done), clock::now_us())
    }
}

/// What a statement that completed has used.
fn units(of: Unit, done: Completion) -> u64 {
    match of {
        Unit::Statements => 1,
        Unit::RowsWritten => done.rows.unwrap_or(0),
        Unit::RowsReturned => done.returned,
        Unit::BytesOut => done.bytes,
    }
}

/// The statement's completion, where what it did stands.
fn fate(end: &End, place: usize) -> Option<Completion> {
    end.completions.get(place).copied().filter(|done| !end.skipped && !done.undone)
}

/// What a bound says of a statement that completed.
pub(crate) fn bound(charge: &Charge, done: Completion) -> Option<Breach> {
    let of = |reason, what, hint: String| {
        Some(Breach { verdict: Verdict::Deny, reason, sqlstate: "54000", what, hint })
    };
    match charge {
        Charge::RowsWritten(max) if done.rows.is_some_and(|rows| rows > *max) => {
            let what = format!("writing {} rows, more than {max}", done.rows.unwrap_or(0));
            of("too_many_rows_written", what, format!("write at most {max} rows in one statement"))
        }
        Charge::RowsReturned(max) if done.returned > *max => {
            let what = format!("an answer of more than {max} rows");
            of("too_many_rows_returned", what, format!("ask for at most {max} rows, with a LIMIT"))
        }
        _ => None,
    }
}
