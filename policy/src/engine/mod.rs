//! The one judgement: kill switch, what is not understood, core settings, rules; it never sees SQL text.

mod begin;
mod decision;
mod scene;

pub use decision::{Breach, Decision, Refusal};
pub use scene::ByName;
pub(crate) use scene::Scene;

use crate::guard::{Finding, is_core, loud};
use crate::policy::{Rule, Unparsed};
use crate::{Caller, Duty, Evidence, Facts, Moment, Policy, Setting, StatementFacts, Stop};
use clyra_spec::{KillClass, KillLevel, Mode, RuleVerdict, Verb, Verdict};
use std::borrow::Cow;
use std::sync::Arc;

/// Ids that no rule of a file may have.
pub(crate) const BUILT_IN: [&str; 4] = ["kill", "caller", "unparsed", "core"];

/// One voice in a judgement: what a rule, or a built-in, has found.
pub(crate) struct Voice<'p> {
    pub(crate) id: &'p str,
    pub(crate) enforced: bool,
    pub(crate) sqlstate: &'static str,
    pub(crate) finding: Finding,
}

impl Policy {
    /// As [`Policy::decide_at`], at a moment of which nothing is known.
    pub fn decide(
        &self,
        caller: &Caller,
        facts: &Facts,
        kill: KillLevel,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Decision {
        self.decide_at(caller, facts, kill, &Moment::default(), prepared)
    }

    /// Judges one message at a moment. `prepared` gives the facts of what the session has prepared or declared
    /// earlier.
    ///
    /// A mode stands at a rule, at a caller or at the file; the first of these that is given counts.
    pub fn decide_at(
        &self,
        caller: &Caller,
        facts: &Facts,
        kill: KillLevel,
        moment: &Moment<'_>,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Decision {
        let caller = self.known(caller);
        let moved = moment.path_changed.then(|| facts.behind_changed_path());
        let facts = moved.as_ref().unwrap_or(facts);
        let here = |name: ByName<'_>| match prepared(name) {
            Some(body) if moment.path_changed => Some(Arc::new(body.behind_changed_path())),
            body => body,
        };
        if let Some(catalog) = &self.catalog {
            let strict = self.unknown_names != Some(Unparsed::Allow);
            let wide = |facts: &Facts| catalog.widen_usual(facts, &caller.user, strict);
            let prepared = |name: ByName<'_>| here(name).map(|body| Arc::new(wide(&body)));
            return self.judge(&caller, &Scene::new(&wide(facts), &prepared).at(*moment), kill);
        }
        self.judge(&caller, &Scene::new(facts, &here).at(*moment), kill)
    }

    fn judge(&self, caller: &Caller, scene: &Scene<'_>, kill: KillLevel) -> Decision {
        let strict = self.is_strict(caller, scene);
        if let Some(finding) = self.stopped(caller, scene, kill) {
            return self.spoken(&[Voice { id: "kill", enforced: true, sqlstate: "ZC100", finding }], strict);
        }
        let voices = self.voices(caller, scene);
        let approvals =
            if caller.asks_approval { scene.approvals(self.rules_of(caller), caller) } else { None };
        if voices.is_empty() {
            return Decision {
                verdict: Verdict::Allow,
                enforced: self.mode_of(caller) == Mode::Enforce,
                strict,
                rules: Arc::clone(&self.silence),
                approvals,
                refusal: None,
                duties: self.duties(caller, scene),
            };
        }
        let mut decision = self.spoken(&voices, strict);
        // What is refused uses nothing up and leaves no duties.
        if decision.refusal.is_none() {
            decision.approvals = approvals;
            decision.duties = self.duties(caller, scene);
        }
        decision
    }

    /// Why the kill switch stops a message at this moment, in a word: by a level that covers everything, or by one of
    /// [`Moment::stops`].
    pub fn killed(
        &self,
        caller: &Caller,
        facts: &Facts,
        kill: KillLevel,
        moment: &Moment<'_>,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Option<&'static str> {
        let caller = self.known(caller);
        let scene = Scene::new(facts, prepared).at(*moment);
        self.stopped(&caller, &scene, kill).map(|finding| finding.reason)
    }

    fn stopped(&self, caller: &Caller, scene: &Scene<'_>, kill: KillLevel) -> Option<Finding> {
        let all = Stop { level: kill, class: KillClass::All, rule: None };
        // Once for each kill, and nothing where none stands.
        std::iter::once(&all).chain(scene.stops()).filter(|stop| stop.level != KillLevel::Observe).find_map(
            |stop| {
                let rule = match stop.rule {
                    None => None,
                    Some(id) => Some(self.rules_of(caller).find(|rule| *rule.id == *id)?),
                };
                scene.killed(stop, rule, &caller.user, self.commit_on_kill)
            },
        )
    }

    /// Everything that speaks against the message, in the order in which it counts.
    pub(crate) fn voices<'p>(&'p self, caller: &Caller, scene: &Scene<'_>) -> Vec<Voice<'p>> {
        let mut voices = Vec::new();
        if let Some(why) = &caller.unnamed {
            let enforced = self.is_guarded(caller);
            voices.push(Voice { id: "caller", enforced, sqlstate: "28000", finding: unnamed(why) });
        }
        let unparsed = caller.unparsed.unwrap_or(self.unparsed);
        if let Some((sqlstate, finding)) =
            scene.not_understood(self.unknown_prepared).filter(|_| unparsed == Unparsed::Deny)
        {
            let enforced = self.is_guarded(caller);
            voices.push(Voice { id: "unparsed", enforced, sqlstate, finding });
        }
        if let Some(finding) = core(scene).filter(|_| !caller.rules.is_empty()) {
            let enforced = self.is_guarded(caller);
            voices.push(Voice { id: "core", enforced, sqlstate: DENIED, finding });
        }
        for rule in self.rules_of(caller) {
            if let Some(finding) = scene.finding(rule, caller) {
                let enforced = rule.mode.unwrap_or(self.mode_of(caller)) == Mode::Enforce;
                voices.push(Voice { id: &rule.id, enforced, sqlstate: DENIED, finding });
            }
        }
        voices
    }

    /// The caller, looked up again if it comes from another policy than this one.
    pub(crate) fn known<'c>(&self, caller: &'c Caller) -> Cow<'c, Caller> {
        if Arc::ptr_eq(&caller.digest, &self.digest) || caller.digest == self.digest {
            Cow::Borrowed(caller)
        } else {
            Cow::Owned(self.caller_with(&caller.login(), &caller.proof))
        }
    }

    pub(crate) fn mode_of(&self, caller: &Caller) -> Mode {
        caller.mode.unwrap_or(self.mode)
    }

    pub(crate) fn rules_of(&self, caller: &Caller) -> impl Iterator<Item = &Rule> {
        caller.rules.iter().filter_map(|place| self.rules.get(*place))
    }

    /// Whether anything is enforced for this caller. If so, what is not understood cannot pass either: it might
    /// be what the enforced rule forbids.
    pub(crate) fn is_guarded(&self, caller: &Caller) -> bool {
        let mode = self.mode_of(caller);
        mode == Mode::Enforce || self.rules_of(caller).any(|rule| rule.mode == Some(Mode::Enforce))
    }

    fn is_strict(&self, caller: &Caller, scene: &Scene<'_>) -> bool {
        self.evidence == Evidence::Strict
            || self
                .rules_of(caller)
                .any(|rule| rule.evidence == Some(Evidence::Strict) && scene.is_selected(rule, &caller.user))
    }

    fn spoken(&self, voices: &[Voice<'_>], strict: bool) -> Decision {
        let first = voices.iter().find(|voice| voice.enforced);
        let verdict = match first.map(|voice| voice.id) {
            Some("kill") => Verdict::Kill,
            _ => Verdict::Deny,
        };
        let refusal = first.map(|voice| Arc::new(refusal(voice)));
        let rules = voices.iter().map(|voice| RuleVerdict {
            enforced: voice.enforced,
            id: voice.id.into(),
            reason: voice.finding.reason,
            verdict,
        });
        Decision {
            verdict,
            enforced: refusal.is_some(),
            strict,
            rules: rules.collect(),
            approvals: None,
            refusal,
            duties: None,
        }
    }

    /// What the gateway must do for the rules when it lets the message pass.
    fn duties(&self, caller: &Caller, scene: &Scene<'_>) -> Option<Arc<[Duty]>> {
        if !self.has_duties {
            return None;
        }
        let duties = self.rules_of(caller).filter_map(|rule| {
            let charge = rule.guard.charge()?;
            let statements = scene.places(rule, &caller.user, charge);
            let enforced = rule.mode.unwrap_or(self.mode_of(caller)) == Mode::Enforce;
            let duty = Duty { rule: rule.id.clone(), enforced, statements, charge: charge.clone() };
            (!statements.is_empty()).then_some(duty)
        });
        let duties: Vec<Duty> = duties.collect();
        (!duties.is_empty()).then(|| duties.into())
    }
}

fn unnamed(why: &str) -> Finding {
    Finding {
        reason: "caller_unnamed",
        what: format!("a caller whom nobody can name: {why}"),
        hint: "connect with the certificate or token that the policy's `callers:` asks for".to_owned(),
        position: None,
    }
}

fn core(scene: &Scene<'_>) -> Option<Finding> {
    scene.statements().find_map(core_setting)
}

fn core_setting(statement: &StatementFacts) -> Option<Finding> {
    let Setting::Named { name, .. } = statement.settings.iter().find(|one| is_core(one))? else {
        return None;
    };
    Some(Finding {
        reason: "core_setting",
        what: format!("changing the setting `{name}`"),
        hint: "keep `standard_conforming_strings` on and `client_encoding` at UTF8".to_owned(),
        position: Some(statement.position),
    })
}

fn refusal(voice: &Voice<'_>) -> Refusal {
    let Finding { reason, what, hint, position } = &voice.finding;
    let message = match voice.id {
        "kill" => format!("clyra: the kill switch refuses {what}"),
        "caller" => format!("clyra: the policy refuses {what}"),
        "unparsed" => format!("clyra: statement not understood: {what}"),
        "core" => format!("clyra: {what} is refused while rules are in force"),
        id => format!("clyra: rule `{id}` refuses {what}"),
    };
    Refusal {
        rule: voice.id.into(),
        reason,
        sqlstate: voice.sqlstate,
        message,
        detail: format!("Rule: {}; reason: {reason}; found: {what}.", voice.id),
        hint: hint.clone(),
        position: *position,
    }
}

/// What `statement` is called in a sentence.
pub(crate) fn called(verb: Verb) -> String {
    loud(verb.as_str())
}

/// `insufficient_privilege`.
const DENIED: &str = "42501";
