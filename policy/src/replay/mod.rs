//! Judges again what receipts tell of: what a policy would have said, as far as a receipt's facts decide it; it never
//! guesses, and says what it cannot tell.

mod ask;
mod marks;
mod receipt;
mod who;

pub(crate) use marks::marked;
pub use receipt::{Action, Aim, Asker, Claimed, Ended, Judged, Place, Receipt, Spoke};

use crate::guard::Guard;
use crate::policy::{Rule, Unparsed};
use crate::{Charge, Policy};
use ask::{Answer, Message, WHO};
use clyra_spec::{Mode, Verb, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use who::{World, worlds};

/// A policy to be tried on recorded decisions.
#[derive(Clone, Debug)]
pub struct Backtest {
    policy: Policy,
    /// By digest: what holds of policies that judged then.
    before: BTreeMap<Box<str>, Kin>,
}

/// What a policy that judged then has in common with the one that is tried.
#[derive(Clone, Debug)]
struct Kin {
    /// Callers are named in the same way.
    callers: bool,
    /// For each rule of the policy that is tried: the id of the same rule then.
    rules: Vec<Option<Box<str>>>,
    /// An EXECUTE of an unknown name passed.
    lets_unknown: bool,
}

/// What became of a message then, and what would have become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retold {
    /// The kill switch stopped it, whatever the policy said.
    pub killed: bool,
    /// It was refused.
    pub was_refused: bool,
    /// A rule spoke, carried out or not.
    pub was_spoken: bool,
    /// It would have been refused; nothing where that cannot be told.
    pub refused: Option<bool>,
    /// A rule would have spoken.
    pub spoken: Option<bool>,
    /// What rules would have said, those that may have spoken.
    pub rules: Vec<RuleRetold>,
}

/// What one rule would have said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RuleRetold {
    /// Its id.
    pub id: Box<str>,
    /// Whether its verdict would have been carried out.
    pub enforced: bool,
    /// Its reason code, when it would have spoken.
    pub reason: Option<Box<str>>,
    /// What is missing to tell, when nobody can.
    pub unknown: Option<&'static str>,
}

impl Backtest {
    /// Tries `policy`. Rules that stand unchanged in a policy of `before` say of its receipts what they said then.
    pub fn new(policy: Policy, before: &[Policy]) -> Self {
        let kin =
            before.iter().chain([&policy]).map(|was| (was.digest().into(), Kin::of(&policy, was))).collect();
        Self { before: kin, policy }
    }

    /// The same with bounds of rows at four fifths, for what comes near to them; such rules are asked anew.
    #[must_use]
    pub fn tighter(&self) -> Self {
        let mut near = self.clone();
        for (place, rule) in near.policy.rules.iter_mut().enumerate() {
            let tightened = match &mut rule.guard {
                Guard::Charge(Charge::RowsWritten(max) | Charge::RowsReturned(max)) => {
                    *max = (*max / 5).saturating_mul(4).max(1);
                    true
                }
                _ => false,
            };
            for kin in near.before.values_mut().filter(|_| tightened) {
                kin.rules.iter_mut().skip(place).take(1).for_each(|id| *id = None);
            }
        }
        near
    }

    /// Whether the policy with this digest is known.
    pub fn knows(&self, digest: &str) -> bool {
        self.before.contains_key(digest)
    }

    /// The policy that is tried.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Ids of the policy's rules, in order, and whether each is carried out where no caller says otherwise.
    pub fn rules(&self) -> impl Iterator<Item = (&str, bool)> {
        let mode = self.policy.mode;
        self.policy.rules.iter().map(move |rule| (&*rule.id, rule.mode.unwrap_or(mode) == Mode::Enforce))
    }

    /// What the policy would have said of one message, of whose statements these are the receipts; `user` says who it was,
    /// where that is known.
    pub fn retell(&self, receipts: &[Receipt], user: Option<&str>) -> Retold {
        let killed = receipts.iter().any(|one| one.decision.verdict == Verdict::Kill);
        let was_refused = receipts.iter().any(Receipt::is_refused);
        let was_spoken = receipts.iter().any(|one| one.decision.verdict != Verdict::Allow);
        let mut retold = Retold {
            killed,
            was_refused,
            was_spoken,
            refused: Some(true),
            spoken: Some(true),
            rules: Vec::new(),
        };
        let Some(first) = receipts.first().filter(|_| !killed) else { return retold };
        let kin = self.before.get(&first.decision.policy);
        let message = Message::new(receipts);
        let said: BTreeMap<&str, &str> = receipts
            .iter()
            .flat_map(|one| one.decision.rules.iter().map(|rule| (&*rule.id, &*rule.reason)))
            .collect();
        let then = Then { kin, said, cut: receipts.iter().any(|one| one.decision.rules.len() >= RULES_CUT) };
        let worlds = worlds(&self.policy, first, user, kin.is_some_and(|kin| kin.callers));
        let mut views = worlds.iter().map(|world| self.voices(&message, world, &then));
        let voices = views.next().unwrap_or_default();
        (retold.refused, retold.spoken) = sum(&voices);
        let mut rules: BTreeSet<RuleRetold> = voices.into_iter().collect();
        for voices in views {
            let (refused, spoken) = sum(&voices);
            let agree = |one: Option<bool>, other: Option<bool>| one.filter(|_| one == other);
            if (refused, spoken) != (retold.refused, retold.spoken) {
                let id = "callers".into();
                rules.insert(RuleRetold { id, enforced: true, reason: None, unknown: Some(WHO) });
            }
            retold.refused = agree(retold.refused, refused);
            retold.spoken = agree(retold.spoken, spoken);
            rules.extend(voices);
        }
        retold.rules = rules.into_iter().collect();
        retold
    }

    /// All that may have spoken, if the caller was this one.
    fn voices(&self, message: &Message<'_>, world: &World, then: &Then<'_>) -> Vec<RuleRetold> {
        let mut voices = Vec::new();
        let mut add = |id: &str, enforced: bool, answer: Answer, reason: Option<&str>| {
            let (reason, unknown) = match answer {
                Answer::Silent => return,
                Answer::Speaks(own) => (Some(reason.unwrap_or(own).into()), None),
                Answer::Unknown(why) => (None, Some(why)),
            };
            voices.push(RuleRetold { id: id.into(), enforced, reason, unknown });
        };
        let selected: Vec<Option<bool>> =
            self.policy.rules.iter().map(|rule| world.is_selected(&rule.when)).collect();
        let of_mode = |rule: &Rule| rule.mode.unwrap_or(world.mode) == Mode::Enforce;
        // What is not understood is refused where anything is enforced for the caller.
        let enforcing = |wanted: Option<bool>| {
            let mut rules = self.policy.rules.iter().zip(&selected);
            rules.any(|(rule, one)| *one == wanted && of_mode(rule))
        };
        let surely = world.mode == Mode::Enforce || enforcing(Some(true));
        let perhaps = !surely && enforcing(None);
        for (id, answer) in self.built_in(message, world, then, &selected) {
            let answer = if perhaps { answer.perhaps(WHO) } else { answer };
            add(id, surely || perhaps, answer, then.said.get(id).copied());
        }
        for (place, rule) in self.policy.rules.iter().enumerate() {
            match then.said_by(place, rule, message) {
                Some(said) => {
                    let answer = if said.is_some() { Answer::Speaks("") } else { Answer::Silent };
                    add(&rule.id, of_mode(rule), answer, said);
                }
                None => add(&rule.id, of_mode(rule), message.ask(rule, world), None),
            }
        }
        voices
    }

    /// What the built-in rules would have said.
    fn built_in(
        &self,
        message: &Message<'_>,
        world: &World,
        then: &Then<'_>,
        selected: &[Option<bool>],
    ) -> Vec<(&'static str, Answer)> {
        let same = then.kin.is_some_and(|kin| kin.callers);
        let proofs = self.policy.callers.iter().any(|one| one.actor.is_some() || one.tenant.is_some());
        let caller = match then.said.contains_key("caller") {
            true if same => Answer::Speaks("caller_unnamed"),
            true if proofs => Answer::Unknown(WHO),
            _ => Answer::Silent,
        };
        let unread = message.statements().iter().any(|one| one.verb == Verb::Unparsed);
        let runs = message.statements().iter().any(|one| one.executes.is_some());
        let unknown_name = then.said.get("unparsed") == Some(&"unknown_prepared");
        let unparsed = match world.unparsed {
            Unparsed::Allow => Answer::Silent,
            Unparsed::Deny if unread || (then.said.contains_key("unparsed") && !unknown_name) => {
                Answer::Speaks("not_understood")
            }
            Unparsed::Deny if self.policy.unknown_prepared == Unparsed::Allow => Answer::Silent,
            Unparsed::Deny if unknown_name => Answer::Speaks("unknown_prepared"),
            Unparsed::Deny if runs && then.kin.is_none_or(|kin| kin.lets_unknown) => {
                Answer::Unknown("whether the name was known is not recorded")
            }
            Unparsed::Deny => Answer::Silent,
        };
        let core = match message.told.iter().any(|told| told.core_setting) {
            true if selected.contains(&Some(true)) => Answer::Speaks("core_setting"),
            true if selected.contains(&None) => Answer::Unknown(WHO),
            _ => Answer::Silent,
        };
        vec![("caller", caller), ("unparsed", unparsed), ("core", core)]
    }
}

/// What was said then.
struct Then<'r> {
    kin: Option<&'r Kin>,
    /// Rules that spoke, and their reasons.
    said: BTreeMap<&'r str, &'r str>,
    /// The receipt may leave rules out.
    cut: bool,
}

impl<'r> Then<'r> {
    /// What the rule said then, if the policy that judged had it: nothing inside where it was silent.
    fn said_by(&self, place: usize, rule: &Rule, message: &Message<'_>) -> Option<Option<&'r str>> {
        let kin = self.kin?;
        let id = kin.rules.get(place)?.as_deref()?;
        if !kin.callers && depends_on_callers(rule) {
            return None;
        }
        let said = self.said.get(id).copied();
        let duty = rule.guard.charge().is_some();
        // What was refused left no duties, and its duties hence nothing to say.
        let silent_for_another_reason =
            self.cut || (duty && message.receipts.iter().any(Receipt::is_refused));
        (said.is_some() || !silent_for_another_reason).then_some(said)
    }
}

impl Kin {
    fn of(policy: &Policy, was: &Policy) -> Self {
        let body = |rule: &Rule| format!("{:?} {:?}", rule.when, rule.guard);
        let known: BTreeMap<String, &Rule> = was.rules.iter().map(|rule| (body(rule), rule)).collect();
        Self {
            callers: format!("{:?}", CallerNames(policy)) == format!("{:?}", CallerNames(was)),
            rules: policy.rules.iter().map(|rule| known.get(&body(rule)).map(|one| one.id.clone())).collect(),
            lets_unknown: was.unknown_prepared == Unparsed::Allow || was.unparsed == Unparsed::Allow,
        }
    }
}

/// How a policy names callers, without what becomes of them.
struct CallerNames<'p>(&'p Policy);

impl std::fmt::Debug for CallerNames<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.0.callers.iter().map(|one| {
            (&one.user, &one.application, &one.database, &one.cert_san, &one.cert_cn, &one.claims, &one.actor)
        });
        let rest = self.0.callers.iter().map(|one| (&one.kind, &one.tenant));
        out.debug_list().entries(entries).entries(rest).finish()
    }
}

/// Whether what a rule says depends on how callers are named.
fn depends_on_callers(rule: &Rule) -> bool {
    let when = &rule.when;
    !(when.actor.is_empty() && when.tenant.is_empty() && when.kind.is_empty())
        || rule.guard.fence().is_some()
        || rule.guard.pinned().is_some()
        || rule.guard.consent().is_some()
        || matches!(rule.guard.charge(), Some(Charge::Velocity(_)))
}

/// Whether the message would have been refused, and whether any rule would have spoken.
fn sum(voices: &[RuleRetold]) -> (Option<bool>, Option<bool>) {
    let of = |voices: &mut dyn Iterator<Item = &RuleRetold>| {
        let mut answer = Some(false);
        for voice in voices {
            if voice.reason.is_some() {
                return Some(true);
            }
            answer = None;
        }
        answer
    };
    (of(&mut voices.iter().filter(|voice| voice.enforced)), of(&mut voices.iter()))
}

/// A receipt of very many rules keeps the first ones.
const RULES_CUT: usize = 16;

#[cfg(test)]
mod tests;
