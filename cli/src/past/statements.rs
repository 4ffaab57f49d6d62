//! A backtest on statements instead of receipts: both policies judge each line, so that nothing is undecided. It never keeps
//! a statement.

use super::tally::{Pair, Tally};
use crate::error::Error;
use clyra_policy::{
    EvalError, Policy,
    tools::{self, RuleRetold},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

/// Judges every line by both policies.
pub(super) fn read(path: &Path, was: &Policy, tried: &Policy) -> Result<Tally, Error> {
    let unreadable =
        |error: &std::io::Error| Error::Usage(format!("cannot read `{}`: {error}", path.display()));
    let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
    let mut tally = Tally::default();
    for (line, number) in BufReader::new(file).lines().zip(1_u64..) {
        let line = line.map_err(|error| unreadable(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: &dyn std::fmt::Display| Error::Usage(format!("{}:{number}: {why}", path.display()));
        let judge = |policy: &Policy| -> Result<Answer, Error> {
            let answer =
                tools::eval_line(policy, "postgres", &line).map_err(|error: EvalError| wrong(&error))?;
            serde_json::from_str(&answer).map_err(|error| wrong(&error))
        };
        let asked: Asked = serde_json::from_str(&line).map_err(|error| wrong(&error))?;
        tally.add(pair(asked, &judge(was)?, &judge(tried)?));
    }
    Ok(tally)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct Answer {
    id: Value,
    verdict: String,
    enforced: bool,
    rules: Vec<Rule>,
    facts: Facts,
}

#[derive(Deserialize)]
struct Rule {
    id: String,
    reason: String,
}

#[derive(Deserialize)]
struct Facts {
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    verb: String,
    reads: Vec<String>,
    writes: Vec<String>,
}

fn pair(asked: Asked, was: &Answer, now: &Answer) -> Pair {
    let spoke = |answer: &Answer| answer.verdict != "allow";
    let enforced = now.enforced;
    let rules = now.rules.iter().map(|rule| RuleRetold {
        id: rule.id.as_str().into(),
        enforced,
        reason: Some(rule.reason.as_str().into()),
        unknown: None,
    });
    let statements = &now.facts.statements;
    let tables: BTreeSet<String> =
        statements.iter().flat_map(|one| one.writes.iter().chain(&one.reads).cloned()).collect();
    Pair {
        id: was.id.as_str().map_or_else(|| was.id.to_string(), str::to_owned),
        at: String::new(),
        caller: asked.user,
        verbs: statements.iter().map(|one| one.verb.clone()).collect(),
        tables,
        was_refused: was.enforced,
        was_spoken: spoke(was),
        refused_by: was.rules.iter().map(|rule| rule.id.clone()).collect(),
        refused: Some(now.enforced),
        spoken: Some(spoke(now)),
        rules: rules.collect(),
    }
}
