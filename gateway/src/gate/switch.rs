//! The kill switch at the gate: its turns with their entries, what they stop that is on its way already, and the rules
//! that turn it. What a level covers only the judge says.

use super::{Gate, Ticket, Visitor, clock};
use crate::{
    Error,
    draft::{Draft, RunClaims, SwitchDraft},
    kill::{Kill, Refused, Scope, Wish, read_order},
};
use clyra_policy::{ByName, Decision, Facts, Login, Moment, Proof};
use clyra_spec::{KillCause, KillClass, KillLevel, KillScope, Verb};
use clyra_wire::{End, Refusal, error_response};
use std::sync::{Arc, atomic::Ordering};

impl Gate {
    /// Turns the kill switch; answers once the turn is journalled, in effect and its entry durable.
    pub(crate) async fn turn(&self, wish: Wish) -> Result<Kill, Refused> {
        let (kill, is_new) = self.set_kill(&wish)?;
        if is_new {
            let kept = self.outbox.durable(self.told(&kill, wish)).await;
            kept.map_err(|shut| Error::NotRecorded(shut.to_string()))?;
        }
        Ok(kill)
    }

    fn set_kill(&self, wish: &Wish) -> Result<(Kill, bool), Refused> {
        let force = self.force.load();
        if wish.scope.kind == KillScope::Rule && wish.level != KillLevel::Observe {
            let mut known = force.policy.rule_ids();
            if !known.any(|id| *id == *wish.scope.name) {
                let known = force.policy.rule_ids().collect::<Vec<_>>().join(", ");
                let why = format!("no rule `{}` in the policy; allowed: {known}", wish.scope.name);
                return Err(Refused::Malformed(why));
            }
        }
        self.kill.set(wish, &force.operators)
    }

    fn told(&self, kill: &Kill, wish: Wish) -> Draft {
        Draft::Switch(Box::new(SwitchDraft {
            id: wish.id,
            at_us: kill.at_us,
            turn: kill.turn,
            before: (kill.before != KillLevel::Observe).then_some(kill.before),
            level: kill.level,
            scope: kill.scope.kind,
            name: self.name_in_entries(&kill.scope),
            class: kill.class,
            expires: kill.expires_us.map(clock::text),
            cause: kill.cause,
            by: kill.by.clone(),
            reason: kill.reason.clone(),
            envelope: wish.signed.map(|signed| signed.envelope),
        }))
    }

    /// What entries and orders call a scope: a keyed fingerprint where it names a person or a customer.
    pub(crate) fn name_in_entries(&self, scope: &Scope) -> String {
        match scope.kind {
            KillScope::Tenant => self.secret.of("tenant", "", scope.name.as_bytes()),
            // As receipts have it for an actor without a tenant.
            KillScope::Actor => self.secret.of("actor", "", scope.name.as_bytes()),
            _ => scope.name.clone(),
        }
    }

    /// What an operator has signed, once it is checked.
    pub(crate) fn ordered(&self, order: &[u8], scope: &Scope) -> Result<Wish, Refused> {
        let name = self.name_in_entries(scope);
        let operators = &self.force.load().operators;
        read_order(order, scope, &name, operators, clock::now_us()).map_err(Refused::Malformed)
    }

    /// Counts what rules have refused, and raises the switch where that was too often.
    pub(super) fn count_denials(&self, visitor: &Visitor, decision: &Decision, run: Option<&RunClaims>) {
        for rule in decision.rules.iter().filter(|rule| rule.enforced) {
            let Some(breaker) = visitor.force.policy.breaker(&rule.id) else { continue };
            let name = match breaker.scope {
                KillScope::Actor => Some(&*visitor.caller.actor),
                KillScope::Tenant => visitor.caller.tenant.as_deref(),
                KillScope::Run => run.map(|run| &*run.run_id),
                KillScope::Source => Some(visitor.database()),
                _ => Some(""),
            };
            let Some(name) = name else { continue };
            let at_us = clock::now_us();
            if !self.breakers.note(&rule.id, name, breaker, at_us) {
                continue;
            }
            let scope = Scope { kind: breaker.scope, name: name.to_owned() };
            let stands = self.kill.stand();
            if stands.of(&scope, KillClass::All).is_some_and(|kill| kill.level >= breaker.level) {
                continue;
            }
            let seconds = breaker.window_us / 1_000_000;
            let wish = Wish {
                id: clock::new_id(at_us),
                scope,
                class: KillClass::All,
                level: breaker.level,
                reason: format!("rule `{}` refused {} times within {seconds} s", rule.id, breaker.count),
                by: "breaker".to_owned(),
                cause: KillCause::Breaker,
                at_us,
                expires_us: None,
                signed: None,
            };
            // In effect it is, whatever the disk says; the entry comes with the next batch.
            if let Ok((kill, true)) = self.set_kill(&wish) {
                self.outbox.put(self.told(&kill, wish));
            }
        }
    }

    /// The switch was turned while a message was on its way through the gate: what the client reads where that stops it.
    pub(crate) fn stopped_meanwhile(
        &self,
        visitor: &mut Visitor,
        ticket: &mut Ticket,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Option<Vec<u8>> {
        if self.kill.turn() == ticket.turn {
            return None;
        }
        self.refresh(visitor);
        let level = self.stop_of(visitor, ticket, KillLevel::BlockWrites, prepared)?;
        self.give_all_back(ticket);
        ticket.decision.stop(level);
        self.write_outcomes(visitor, ticket, Some(&End { skipped: true, ..End::default() }));
        Some(error_response(&Refusal {
            sqlstate: "ZC100",
            message: "clyra: the kill switch refuses the statement",
            detail: &format!(
                "Rule: kill; reason: {}; it was turned while the statement waited.",
                level.as_str()
            ),
            hint: "wait until the switch is released",
            position: None,
        }))
    }

    /// The level, from `least` on, at which the kill switch covers a message that was let pass. What only ends a
    /// transaction is never covered: it cannot be recalled.
    pub(crate) fn stop_of(
        &self,
        visitor: &Visitor,
        ticket: &Ticket,
        least: KillLevel,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Option<KillLevel> {
        if visitor.kills.is_quiet() {
            return None;
        }
        let statements = &ticket.known.facts.statements;
        let ends = |verb| matches!(verb, Verb::Commit | Verb::Rollback | Verb::Empty);
        if least >= KillLevel::CancelRunning && statements.iter().all(|one| ends(one.verb)) {
            return None;
        }
        let run = ticket.run.as_deref().map(|run| &*run.run_id);
        let mut stops = visitor.kills.stops(run);
        stops.retain(|stop| stop.level >= least);
        let level = Some(visitor.kills.level(run)).filter(|level| *level >= least).unwrap_or_default();
        let moment = Moment { stops: &stops, ..Moment::default() };
        let policy = &visitor.force.policy;
        let word = policy.killed(&visitor.caller, &ticket.known.facts, level, &moment, prepared)?;
        KillLevel::from_word(word)
    }

    /// Notes that a message on its way is to be stopped.
    pub(crate) fn mark_stopped(&self, ticket: &Ticket, level: KillLevel) {
        if ticket.stopped.swap(level.number(), Ordering::Relaxed) == 0 {
            self.metrics.kill_stopped.increment(1);
        }
    }

    /// Follows the switch, and says how far it goes against the whole session of a visitor.
    pub(crate) fn hears_kill(&self, visitor: &mut Visitor) -> KillLevel {
        self.refresh(visitor);
        visitor.kills.level(visitor.run_id())
    }

    /// Why a login is turned away that the kill switch disconnects.
    pub(crate) fn disconnects(&self, login: &Login<'_>, proof: &Arc<Proof>, run: Option<&str>) -> bool {
        let force = self.force.load();
        let caller = force.policy.caller_with(login, proof);
        self.kills_of(login, &caller, force.policy.name()).level(run) == KillLevel::Disconnect
    }
}
