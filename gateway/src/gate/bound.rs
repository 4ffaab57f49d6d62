//! Bounds on what a message does while the server works on it: how far an answer may go, and whether a statement may
//! complete. The relay asks and obeys; nothing here touches a socket.

use super::{Gate, Ticket, clock, settle::bound};
use crate::duty::{PlanValues, explain, too_costly};
use clyra_policy::{Breach, Charge, Unit};
use clyra_wire::{Completion, Far, OwnAnswer, Refusal, error_response};
use uuid::Uuid;

impl Ticket {
    /// Something must be asked or seen of it, beside what it asks for.
    pub(crate) fn is_bounded(&self) -> bool {
        let costs = |charge: &Charge| matches!(charge, Charge::Cost { .. });
        self.is_watched() || self.is_keyed() || self.decision.duties().iter().any(|duty| costs(&duty.charge))
    }

    /// Something of it must be seen before the client sees it.
    pub(crate) fn is_watched(&self) -> bool {
        let watches = |charge: &Charge| match charge {
            Charge::RowsWritten(_) | Charge::RowsReturned(_) => true,
            Charge::Velocity(cap) => cap.of != Unit::Statements,
            Charge::Cost { .. } | Charge::Once(_) => false,
        };
        self.decision.duties().iter().any(|duty| duty.enforced && watches(&duty.charge))
    }

    /// The duties about cost, and the statements that they are about: what to ask the planner. `all` says whether those
    /// in shadow mode are carried out as well.
    pub(crate) fn costs(&self, all: bool) -> Vec<(usize, usize)> {
        let statements = self.known.facts.statements.len();
        let duties = self.decision.duties().iter().enumerate();
        duties
            .filter(|(_, duty)| matches!(duty.charge, Charge::Cost { .. }) && (all || duty.enforced))
            .flat_map(|(at, duty)| {
                (0..statements).filter(|place| duty.statements.contains(*place)).map(move |place| (at, place))
            })
            .collect()
    }

    /// The question for the plan of a statement of it, and its values.
    pub(crate) fn plan_of(&self, place: usize) -> Option<(String, PlanValues)> {
        let sql = explain(self.known.facts.statements.get(place)?)?;
        Some((sql, self.known.plan.clone().unwrap_or_default()))
    }

    /// How far the answer of the statement at `place` may go.
    pub(crate) fn far(&self, place: usize) -> Far {
        let mut far = Far { rows: u64::MAX, bytes: u64::MAX };
        let duties = self.decision.duties().iter();
        for duty in duties.filter(|duty| duty.enforced && duty.statements.contains(place)) {
            if let Charge::RowsReturned(max) = duty.charge {
                far.rows = far.rows.min(max);
            }
        }
        for grant in self.grants.iter().filter(|one| one.duty.enforced && one.duty.statements.contains(place))
        {
            let left = grant.taken.saturating_sub(grant.used);
            match grant.cap.of {
                Unit::RowsReturned => far.rows = far.rows.min(left),
                Unit::BytesOut => far.bytes = far.bytes.min(left),
                Unit::Statements | Unit::RowsWritten => {}
            }
        }
        far
    }
}

impl Gate {
    /// The answer has come as far as it may: how far it may go on, where a budget has room for more.
    pub(crate) fn full(&self, ticket: &mut Ticket, place: usize, now: Far) -> Result<Far, Vec<u8>> {
        let far = ticket.far(place);
        let duties = ticket.decision.duties().iter().enumerate();
        let full = duties.filter(|(_, duty)| duty.enforced && duty.statements.contains(place)).find_map(
            |(at, duty)| {
                let over = Completion { rows: None, returned: now.rows + 1, bytes: now.bytes, undone: false };
                bound(&duty.charge, over).map(|breach| (at, breach))
            },
        );
        if let Some((at, breach)) = full {
            return Err(self.too_far(ticket, place, at, &breach));
        }
        for at in 0..ticket.grants.len() {
            let Some(grant) = ticket.grants.get_mut(at) else { break };
            let is_full = grant.duty.enforced
                && grant.duty.statements.contains(place)
                && match grant.cap.of {
                    Unit::RowsReturned => now.rows >= far.rows,
                    // The next row does not fit, whatever it takes.
                    Unit::BytesOut => now.rows < far.rows,
                    Unit::Statements | Unit::RowsWritten => false,
                };
            if is_full && let Err(breach) = self.caps.extend(grant, clock::now_us()) {
                let rule = grant.duty.rule.clone();
                let at = ticket.decision.duties().iter().position(|duty| duty.rule == rule).unwrap_or(0);
                return Err(self.too_far(ticket, place, at, &breach));
            }
        }
        Ok(ticket.far(place))
    }

    /// A statement is about to complete: whether it may.
    pub(crate) fn completed(
        &self,
        ticket: &mut Ticket,
        place: usize,
        done: Completion,
    ) -> Result<(), Vec<u8>> {
        let duties = ticket.decision.duties().iter().enumerate();
        let over = duties
            .filter(|(_, duty)| duty.enforced && duty.statements.contains(place))
            .find_map(|(at, duty)| bound(&duty.charge, done).map(|breach| (at, breach)));
        if let Some((at, breach)) = over {
            return Err(self.too_far(ticket, place, at, &breach));
        }
        for at in 0..ticket.grants.len() {
            let Some(grant) = ticket.grants.get_mut(at) else { break };
            if !grant.duty.enforced || !grant.duty.statements.contains(place) {
                continue;
            }
            let breach = match grant.cap.of {
                Unit::Statements => None,
                Unit::RowsReturned => {
                    grant.used += done.returned;
                    None
                }
                Unit::BytesOut => {
                    grant.used += done.bytes;
                    None
                }
                Unit::RowsWritten => self.caps.use_up(grant, done.rows.unwrap_or(0), clock::now_us()),
            };
            if let Some(breach) = breach {
                let rule = grant.duty.rule.clone();
                let at = ticket.decision.duties().iter().position(|duty| duty.rule == rule).unwrap_or(0);
                return Err(self.too_far(ticket, place, at, &breach));
            }
        }
        Ok(())
    }

    /// What the planner says of a statement: what the client reads instead of it, where it costs too much.
    pub(crate) fn priced(
        &self,
        ticket: &mut Ticket,
        at: usize,
        place: usize,
        plan: &OwnAnswer,
    ) -> Option<Vec<u8>> {
        let duty = ticket.decision.duties().get(at)?.clone();
        let Charge::Cost { max, .. } = duty.charge else { return None };
        let breach = too_costly(plan, max)?;
        if !duty.enforced {
            self.metrics.spoke(&duty.rule, breach.verdict, false);
            ticket.decision.breach(&duty, &breach);
            return None;
        }
        let ours = self.too_far(ticket, place, at, &breach);
        let Some(error) = &plan.error else { return Some(ours) };
        // The server's own words say best what is wrong with the statement.
        let receipt = ticket.breached.map(|(_, id)| id).unwrap_or_default();
        Some(error_response(&Refusal {
            sqlstate: str::from_utf8(&error.sqlstate).unwrap_or("54000"),
            message: &error.message,
            detail: &format!("Rule: {}; reason: {}; its plan was asked for.", duty.rule, breach.reason),
            hint: &format!("receipt {receipt}"),
            position: None,
        }))
    }

    /// The rule speaks, and the client is told.
    pub(crate) fn too_far(&self, ticket: &mut Ticket, place: usize, at: usize, breach: &Breach) -> Vec<u8> {
        let Some(duty) = ticket.decision.duties().get(at).cloned() else { return Vec::new() };
        self.metrics.spoke(&duty.rule, breach.verdict, true);
        ticket.decision.breach(&duty, breach);
        let receipt = clock::new_id(ticket.at_us);
        ticket.breached = Some((place, receipt));
        words(ticket, receipt)
    }
}

fn words(ticket: &Ticket, receipt: Uuid) -> Vec<u8> {
    let Some(refusal) = &ticket.decision.refusal else { return Vec::new() };
    let hint = format!("{}; receipt {receipt}", refusal.hint);
    error_response(&Refusal {
        sqlstate: refusal.sqlstate,
        message: &refusal.message,
        detail: &refusal.detail,
        hint: &hint,
        position: refusal.position,
    })
}
