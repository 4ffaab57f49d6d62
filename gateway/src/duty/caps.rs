//! Velocity caps on the way of a message: takes what it will use before it goes on, and gives back what it did not use.
//! It never waits, and touches no socket.

use super::ledger::{Key, Ledger, Over};
use crate::Error;
use clyra_policy::{Breach, Cap, Charge, Decision, Duty, Limit, Per, Places, Unit};
use clyra_seal::fingerprint::Secret;
use clyra_spec::Verdict;
use std::{path::PathBuf, sync::Arc};

/// The caps of one gateway.
#[derive(Debug)]
pub(crate) struct Caps {
    ledger: Ledger,
    secret: Secret,
}

/// Whom a session's use is counted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharers<'a> {
    pub(crate) actor: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) run: &'a str,
}

/// A cap that a message uses.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    key: Key,
    pub(crate) cap: Arc<Cap>,
    pub(crate) duty: Duty,
    /// Units taken, and when.
    pub(crate) taken: u64,
    at_us: u64,
    /// Units that statements of it have used so far, where an answer is watched.
    pub(crate) used: u64,
}

impl Caps {
    pub(crate) fn open(journal: PathBuf, secret: Secret, now_us: u64) -> Result<Self, Error> {
        Ok(Self { ledger: Ledger::open(journal, now_us)?, secret })
    }

    /// Takes what a message of so many statements will certainly use, and sees whether there is room for the rest. Where
    /// there is none, the decision is a refusal, and nothing is taken; a cap in shadow mode only says so.
    pub(crate) fn take(
        &self,
        sharers: Sharers<'_>,
        decision: &mut Decision,
        statements: usize,
        now_us: u64,
    ) -> Vec<Grant> {
        let Some(duties) = decision.duties.clone() else { return Vec::new() };
        let mut grants = Vec::new();
        for duty in duties.iter() {
            let Charge::Velocity(cap) = &duty.charge else { continue };
            let (key, shadow) = (self.key(duty, cap, sharers), !duty.enforced);
            let units = match cap.of {
                Unit::Statements => count(duty.statements, statements),
                // How many they are is known at the end only; then they are taken, or undone.
                Unit::RowsWritten => u64::from(self.ledger.room(key, cap, now_us) == 0),
                _ if shadow => u64::from(self.ledger.room(key, cap, now_us) == 0),
                // An answer is let through slice by slice.
                Unit::RowsReturned | Unit::BytesOut => {
                    self.ledger.room(key, cap, now_us).min(slice(cap)).max(1)
                }
            };
            let taken = self.ledger.take(key, cap, shadow, now_us, units);
            match taken {
                Ok(()) => {
                    let (cap, duty) = (Arc::clone(cap), duty.clone());
                    grants.push(Grant { key, cap, duty, taken: units, at_us: now_us, used: 0 });
                }
                Err(over) => decision.breach(duty, &breach(cap, over, now_us)),
            }
            if decision.refusal.is_some() {
                grants.iter().for_each(|grant: &Grant| self.give_back(grant, grant.taken));
                return Vec::new();
            }
        }
        grants
    }

    /// Takes what a statement has used, now that it is known; `None` when it fits.
    pub(crate) fn use_up(&self, grant: &mut Grant, units: u64, now_us: u64) -> Option<Breach> {
        let over = self.ledger.take(grant.key, &grant.cap, !grant.duty.enforced, now_us, units).err();
        if over.is_none() {
            grant.taken += units;
            grant.at_us = now_us;
        }
        over.map(|over| breach(&grant.cap, over, now_us))
    }

    /// Takes another slice for an answer that is not at its end.
    pub(crate) fn extend(&self, grant: &mut Grant, now_us: u64) -> Result<(), Breach> {
        let room = self.ledger.room(grant.key, &grant.cap, now_us);
        let units = slice(&grant.cap).min(room).max(1);
        self.use_up(grant, units, now_us).map_or(Ok(()), Err)
    }

    /// Gives back units of a message that it did not use after all.
    pub(crate) fn give_back(&self, grant: &Grant, units: u64) {
        self.ledger.give_back(grant.key, &grant.cap, grant.at_us, units);
    }

    /// To be called every few seconds.
    pub(crate) fn upkeep(&self) {
        self.ledger.upkeep();
    }

    /// Writes down what was used, to the unit.
    pub(crate) fn close(&self) {
        self.ledger.close();
    }

    fn key(&self, duty: &Duty, cap: &Cap, sharers: Sharers<'_>) -> Key {
        let sharer = match cap.per {
            Per::Actor => sharers.actor,
            Per::Tenant => sharers.tenant,
            Per::User => sharers.user,
            Per::Run => sharers.run,
            Per::Rule => "",
        };
        // A new amount keeps what was used; a new window, unit or sharer begins anew.
        let span_us = match cap.limit {
            Limit::Budget { window_us, .. } => window_us,
            Limit::Rate { .. } => 0,
        };
        let kind = [u8::from(duty.enforced), cap.per as u8, cap.of as u8];
        let of = [&kind[..], &span_us.to_be_bytes(), duty.rule.as_bytes()].concat();
        Key::from_be_bytes(self.secret.bytes("cap", sharer, &of))
    }
}

/// So much is taken at a time for an answer whose length nobody knows.
fn slice(cap: &Cap) -> u64 {
    let (Limit::Budget { amount, .. } | Limit::Rate { burst: amount, .. }) = cap.limit;
    (amount / 8).max(1)
}

fn count(places: Places, statements: usize) -> u64 {
    (0..statements).filter(|place| places.contains(*place)).count() as u64
}

fn breach(cap: &Cap, over: Over, now_us: u64) -> Breach {
    let told = told(cap);
    let (reason, what, hint) = match over {
        Over::Spent { used, frees_at_us } => {
            let what = match cap.limit {
                Limit::Budget { .. } => format!("more than {told}: {used} are used"),
                Limit::Rate { .. } => format!("more than {told}"),
            };
            let hint = match frees_at_us {
                Some(at_us) => {
                    let wait_ms = at_us.saturating_sub(now_us).div_ceil(1_000);
                    format!("retry in {wait_ms} ms, at {}", time(at_us))
                }
                None => "ask for less at once: so much never fits".to_owned(),
            };
            let budget = matches!(cap.limit, Limit::Budget { .. });
            (if budget { "budget_spent" } else { "rate_exceeded" }, what, hint)
        }
        Over::NotKept => {
            let what = format!("what counts against {told}, since its journal cannot be written");
            ("cap_not_kept", what, "retry when the operator has made room on the gateway's disk".to_owned())
        }
        Over::Crowded => {
            let what = format!("one more sharer of {told} than are remembered");
            ("cap_crowded", what, "retry when the budgets of others have become free".to_owned())
        }
    };
    Breach { verdict: Verdict::Throttle, reason, sqlstate: "53400", what, hint }
}

/// The cap, in words.
fn told(cap: &Cap) -> String {
    let of = match cap.of {
        Unit::Statements => "statements",
        Unit::RowsWritten => "rows written",
        Unit::RowsReturned => "rows returned",
        Unit::BytesOut => "bytes of answers",
    };
    let per = cap.per.as_str();
    match cap.limit {
        Limit::Budget { amount, window_us } => format!("{amount} {of} in {} for one {per}", span(window_us)),
        Limit::Rate { amount, period_us, burst } => {
            format!("{amount} {of} in {}, {burst} at once, for one {per}", span(period_us))
        }
    }
}

fn span(us: u64) -> String {
    let seconds = us / 1_000_000;
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let fits = units.into_iter().find(|(_, each)| seconds >= *each && seconds.is_multiple_of(*each));
    fits.map_or_else(|| format!("{seconds} s"), |(unit, each)| format!("{} {unit}", seconds / each))
}

fn time(at_us: u64) -> String {
    let micros = i64::try_from(at_us).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}
