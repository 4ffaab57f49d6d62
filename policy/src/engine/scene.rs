//! A message with the prepared statements that it runs; it never judges by itself what is allowed.

use super::called;
use crate::duty::{Charge, Places};
use crate::guard::Finding;
use crate::policy::{Rule, Unparsed};
use crate::{Caller, Facts, Moment, StatementFacts, Stop};
use clyra_spec::{KillClass, KillLevel, Verb};
use std::sync::Arc;

/// What a session has put under a name, to be run later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByName<'n> {
    /// A prepared statement.
    Statement(&'n str),
    /// A cursor.
    Cursor(&'n str),
}

/// What is judged: the statements of a message, and those that it runs by name.
pub(crate) struct Scene<'f> {
    facts: &'f Facts,
    bodies: Vec<StatementFacts>,
    /// For each of these, the place of the statement that runs it.
    ran_at: Vec<usize>,
    /// The first name that stands for no known statement, and where it is used.
    unknown: Option<(&'f str, u32)>,
    /// A body that was not understood when it was prepared.
    unread: Option<u32>,
    moment: Moment<'f>,
}

impl<'f> Scene<'f> {
    pub(crate) fn new(facts: &'f Facts, prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>) -> Self {
        let mut scene = Self {
            facts,
            bodies: Vec::new(),
            ran_at: Vec::new(),
            unknown: None,
            unread: None,
            moment: Moment::default(),
        };
        for (place, statement) in facts.statements.iter().enumerate() {
            if let Some(name) = statement.fetches() {
                scene.fetch(name, (place, statement), prepared);
            }
            let Some(name) = statement.executes.as_deref() else { continue };
            let earlier = facts.statements.iter().take(place);
            // A body of this message is judged where it is prepared, save for what its arguments make of it.
            if let Some(body) = earlier.rev().find(|one| one.prepares.as_deref() == Some(name)) {
                if !statement.arguments().is_empty() {
                    scene.run(std::iter::once(body), (place, statement), statement.arguments());
                }
                continue;
            }
            match prepared(ByName::Statement(name)) {
                Some(body) => scene.run_known(&body, name, (place, statement)),
                None => _ = scene.unknown.get_or_insert((name, statement.position)),
            }
        }
        scene
    }

    /// The same scene at a moment.
    pub(crate) fn at(self, moment: Moment<'f>) -> Self {
        Self { moment, ..self }
    }

    /// Adds what a cursor reads; of one that is not known, nobody can tell.
    fn fetch(
        &mut self,
        name: &str,
        by: (usize, &StatementFacts),
        declared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) {
        let is_it = |one: &&StatementFacts| one.declares().is_some_and(|(declared, _)| declared == name);
        if self.facts.statements.iter().take(by.0).any(|one| is_it(&one)) {
            return;
        }
        let body = declared(ByName::Cursor(name));
        let found = body
            .as_ref()
            .and_then(|body| body.statements.iter().rev().find(is_it).or_else(|| body.statements.first()));
        if let Some(found) = found {
            // Its values were looked at when it was declared.
            let mut found = found.clone();
            found.details.fetches = Some(name.into());
            return self.run(std::iter::once(&found), by, &[]);
        }
        let mut unknown = by.1.clone();
        unknown.details.unknown =
            Some(format!("a cursor `{name}` that this session has not declared").into());
        self.ran_at.push(by.0);
        self.bodies.push(unknown);
    }

    /// Adds what runs under `name`: its PREPARE in a message of statements, or else all of the message.
    fn run_known(&mut self, body: &Facts, name: &str, by: (usize, &StatementFacts)) {
        let is_it = |one: &&StatementFacts| one.prepares.as_deref() == Some(name);
        let found: Vec<_> = body.statements.iter().filter(is_it).collect();
        // What the protocol has prepared has types that stand in no text: its arguments prove nothing.
        let arguments = if found.is_empty() { &[] } else { by.1.arguments() };
        let statements = if found.is_empty() { body.statements.iter().collect() } else { found };
        if body.problem.is_some() {
            self.unread.get_or_insert(by.1.position);
        }
        self.run(statements.into_iter(), by, arguments);
    }

    fn run<'s>(
        &mut self,
        statements: impl Iterator<Item = &'s StatementFacts>,
        by: (usize, &StatementFacts),
        arguments: &[Option<Box<str>>],
    ) {
        for statement in statements {
            // Positions point into the message at hand, where only the EXECUTE stands.
            let mut body = StatementFacts { position: by.1.position, ..statement.clone() };
            body.details.arguments = Some(arguments.into());
            self.ran_at.push(by.0);
            self.bodies.push(body);
        }
    }

    /// Every statement that counts.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &StatementFacts> {
        self.facts.statements.iter().chain(&self.bodies)
    }

    /// Whether the rule's `when` selects any statement.
    pub(crate) fn is_selected(&self, rule: &Rule, user: &str) -> bool {
        self.statements().any(|statement| rule.when.selects(statement, user))
    }

    /// The statements that a rule's charge is about; what runs by name counts where its EXECUTE stands.
    pub(crate) fn places(&self, rule: &Rule, user: &str, charge: &Charge) -> Places {
        let mut places = Places::default();
        let own = self.facts.statements.iter().enumerate().map(|(place, one)| (place, one, false));
        let run = self.ran_at.iter().copied().zip(&self.bodies).map(|(place, one)| (place, one, true));
        own.chain(run)
            .filter(|(_, one, runs)| rule.when.selects(one, user) && charge.is_about(one, *runs))
            .for_each(|(place, _, _)| places.add(place));
        places
    }

    /// What the rule finds, in the message as a whole or in its first bad statement.
    pub(crate) fn finding(&self, rule: &Rule, caller: &Caller) -> Option<Finding> {
        let user = &*caller.user;
        let of_message = || rule.guard.message(self.facts).filter(|_| self.is_selected(rule, user));
        let mut own = self.facts.statements.iter().filter(|statement| rule.when.selects(statement, user));
        let mut bodies = self.bodies.iter().filter(|statement| rule.when.selects(statement, user));
        own.find_map(|statement| rule.guard.statement(statement, caller, &self.moment))
            .or_else(|| bodies.find_map(|statement| rule.guard.body(statement, caller, &self.moment)))
            .or_else(of_message)
    }

    /// The approvals that let the message pass the caller's rules.
    pub(crate) fn approvals<'r>(
        &self,
        rules: impl Iterator<Item = &'r Rule>,
        caller: &Caller,
    ) -> Option<Arc<[Box<str>]>> {
        let mut used: Vec<Box<str>> = Vec::new();
        for rule in rules {
            let Some(consent) = rule.guard.consent() else { continue };
            let is_about =
                |one: &StatementFacts| rule.when.selects(one, &caller.user) && consent.is_about(one);
            if !self.statements().any(is_about) {
                continue;
            }
            if let Some(given) = consent.given(caller, &self.moment).filter(|given| !used.contains(&given.id))
            {
                used.push(given.id.clone());
            }
        }
        (!used.is_empty()).then(|| used.into())
    }

    /// Why the message, or what it runs, was not understood, with its SQLSTATE.
    pub(crate) fn not_understood(&self, unknown: Unparsed) -> Option<(&'static str, Finding)> {
        if let Some(problem) = &self.facts.problem {
            let (reason, sqlstate) =
                if problem.syntax { ("syntax_error", "42601") } else { ("not_understood", "0A000") };
            let finding = Finding {
                reason,
                what: problem.message.clone(),
                hint: "send a statement that can be read whole, in the dialect of the server".to_owned(),
                position: problem.position,
            };
            return Some((sqlstate, finding));
        }
        if let Some((name, position)) = self.unknown.filter(|_| unknown == Unparsed::Deny) {
            let finding = Finding {
                reason: "unknown_prepared",
                what: format!("no prepared statement `{name}` is known in this session"),
                hint: "prepare the statement in this session first".to_owned(),
                position: Some(position),
            };
            return Some(("0A000", finding));
        }
        let unread = self.statements().find(|one| one.verb == Verb::Unparsed).map(|one| one.position);
        unread.or(self.unread).map(|position| {
            let finding = Finding {
                reason: "not_understood",
                what: "a statement whose facts are not known".to_owned(),
                hint: "send a statement that can be read whole, in the dialect of the server".to_owned(),
                position: Some(position),
            };
            ("0A000", finding)
        })
    }

    /// Kills that cover some of what the caller says.
    pub(crate) fn stops(&self) -> &'f [Stop<'f>] {
        self.moment.stops
    }

    /// What a kill stops; `rule` is the one whose statements it covers, `commit` says that a COMMIT may pass it.
    pub(crate) fn killed(
        &self,
        stop: &Stop<'_>,
        rule: Option<&Rule>,
        user: &str,
        commit: bool,
    ) -> Option<Finding> {
        let covers = |one: &StatementFacts| {
            rule.is_none_or(|rule| rule.when.selects(one, user)) && is_of(stop.class, one)
        };
        let (stopped, hint) = match stop.level {
            KillLevel::Observe => return None,
            KillLevel::BlockWrites => {
                let first = self
                    .statements()
                    .filter(|one| covers(one))
                    .find_map(|one| strongest(one, Verb::is_write).map(|verb| (verb, one.position)));
                (first, "only reads pass until the switch is released")
            }
            KillLevel::BlockStatements | KillLevel::CancelRunning | KillLevel::Disconnect => {
                let commits = commit && stop.level == KillLevel::BlockStatements;
                let stopped = |one: &&StatementFacts| match one.verb {
                    Verb::Rollback | Verb::Empty => false,
                    Verb::Commit => !commits && covers(one),
                    _ => covers(one),
                };
                let first = self.statements().find(stopped).map(|one| (one.verb, one.position));
                let hint = if commits {
                    "only COMMIT and ROLLBACK pass until the switch is released"
                } else {
                    "only ROLLBACK passes until the switch is released"
                };
                (first, hint)
            }
        };
        // What is not known may be anything.
        let stopped = stopped.or(self.unknown.map(|(_, position)| (Verb::Execute, position)));
        stopped.map(|(verb, position)| Finding {
            reason: stop.level.as_str(),
            what: called(verb),
            hint: hint.to_owned(),
            position: Some(position),
        })
    }
}

/// Whether a statement belongs to a class; code that cannot be read might do anything.
fn is_of(class: KillClass, statement: &StatementFacts) -> bool {
    match class {
        KillClass::All => true,
        KillClass::Writes => statement.is_opaque() || strongest(statement, Verb::is_write).is_some(),
        KillClass::Ddl => statement.is_opaque() || strongest(statement, Verb::is_ddl).is_some(),
    }
}

fn strongest(statement: &StatementFacts, is: fn(Verb) -> bool) -> Option<Verb> {
    Verb::ALL.into_iter().rev().find(|verb| is(*verb) && statement.verbs.contains(*verb))
}
