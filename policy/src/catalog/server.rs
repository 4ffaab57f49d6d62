//! Makes a snapshot of the server's answer: bodies are read for what they touch, and left behind; it never asks.

use super::{FORMAT, Function, Operator, Relation, Snapshot, Type};
use crate::{CatalogError, Facts, facts::dotted, known};
use clyra_spec::Verb;
use serde::Deserialize;
use std::collections::BTreeSet;

pub(super) fn snapshot(answer: &str) -> Result<Snapshot, CatalogError> {
    let answer: Answer = serde_json::from_str(answer)?;
    let names: BTreeSet<String> = answer.relations.iter().map(|one| one.name.to_lowercase()).collect();
    Ok(Snapshot {
        format: FORMAT,
        database: answer.database.into(),
        server_version: answer.server_version.into(),
        functions: answer.functions.into_iter().map(|one| one.read(&names)).collect(),
        relations: answer.relations.into_iter().map(RawRelation::read).collect(),
        operators: answer.operators.into_iter().map(RawOperator::read).collect(),
        types: answer.types.into_iter().map(RawType::read).collect(),
    })
}

#[derive(Deserialize)]
struct Answer {
    database: String,
    server_version: String,
    relations: Vec<RawRelation>,
    functions: Vec<RawFunction>,
    operators: Vec<RawOperator>,
    types: Vec<RawType>,
}

/// Schema and name.
type Pair = (String, String);

#[derive(Deserialize)]
struct RawRelation {
    schema: String,
    name: String,
    kind: String,
    owner: String,
    row_security: bool,
    row_security_forced: bool,
    columns: Vec<String>,
    parents: Vec<Pair>,
    rule_relations: Vec<(String, String, String)>,
    rule_functions: Vec<(String, String, String)>,
    triggers: Vec<Pair>,
}

impl RawRelation {
    fn read(self) -> Relation {
        let of = |all: &[(String, String, String)], select: bool| -> Vec<Box<str>> {
            let chosen = all.iter().filter(|(event, ..)| (event == ON_SELECT) == select);
            chosen.map(|(_, schema, name)| dotted(schema, name)).collect()
        };
        let triggers = self.triggers.iter().map(|(schema, name)| dotted(schema, name));
        let mut on_write_calls = of(&self.rule_functions, false);
        on_write_calls.extend(triggers);
        Relation {
            name: dotted(&self.schema, &self.name),
            kind: kind(&self.kind).into(),
            owner: self.owner.into(),
            row_security: self.row_security,
            row_security_forced: self.row_security_forced,
            columns: self.columns.into_iter().map(Into::into).collect(),
            parents: self.parents.iter().map(|(schema, name)| dotted(schema, name)).collect(),
            reads: of(&self.rule_relations, true),
            calls: of(&self.rule_functions, true),
            on_write_touches: of(&self.rule_relations, false),
            on_write_calls,
        }
    }
}

fn kind(letter: &str) -> &'static str {
    match letter {
        "r" => "table",
        "p" => "partitioned",
        "v" => "view",
        "m" => "materialized",
        "f" => "foreign",
        "S" => "sequence",
        _ => "other",
    }
}

#[derive(Deserialize)]
struct RawFunction {
    schema: String,
    name: String,
    volatility: String,
    security_definer: bool,
    gives_rows: bool,
    language: String,
    extension: bool,
    #[serde(default)]
    search_path: Option<String>,
    row_argument: Option<Pair>,
    body: Option<String>,
    steps: Vec<Pair>,
}

impl RawFunction {
    fn read(self, relations: &BTreeSet<String>) -> Function {
        let mut function = Function {
            name: dotted(&self.schema, &self.name),
            volatility: match self.volatility.as_str() {
                "i" => "immutable",
                "s" => "stable",
                _ => "volatile",
            }
            .into(),
            security_definer: self.security_definer,
            gives_rows: self.gives_rows,
            extension: self.extension,
            search_path: self.search_path.map(Into::into),
            row_argument: self.row_argument.map(|(schema, name)| dotted(&schema, &name)),
            verbs: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            calls: self.steps.iter().map(|(schema, name)| dotted(schema, name)).collect(),
            unread: false,
            language: self.language.into(),
        };
        match (&*function.language, self.body) {
            ("sql", Some(body)) => of_sql(&mut function, &body),
            ("plpgsql", Some(body)) => of_words(&mut function, &body, relations),
            // The steps of an aggregate are functions of their own; code of an extension is the operator's choice.
            _ => function.unread = self.steps.is_empty() && !self.extension,
        }
        function
    }
}

/// A body in SQL is read like a message.
fn of_sql(function: &mut Function, body: &str) {
    let trimmed = body.trim();
    let text = if let Some(rest) = trimmed.strip_prefix("BEGIN ATOMIC") {
        rest.trim_end().strip_suffix("END").unwrap_or(rest).to_owned()
    } else if let Some(rest) = trimmed.strip_prefix("RETURN ") {
        format!("SELECT {rest}")
    } else {
        trimmed.to_owned()
    };
    let facts = Facts::of_postgres(text.as_bytes());
    function.unread = facts.problem.is_some();
    let (mut verbs, mut reads, mut writes, mut calls) = (BTreeSet::new(), set(), set(), set());
    for statement in &facts.statements {
        verbs.extend(Verb::ALL.into_iter().filter(|verb| statement.verbs.contains(*verb)));
        reads.extend(statement.reads.iter().cloned());
        writes.extend(statement.writes.iter().cloned());
        calls.extend(statement.functions.iter().cloned());
        if !statement.settings.is_empty() {
            calls.insert(SETS.into());
        }
        function.unread |= statement.is_opaque() || statement.has_tag("names_truncated");
        // Operators and casts of users call functions that are not named.
        function.unread |=
            statement.details.operators.first().is_some() || statement.details.types.first().is_some();
    }
    function.verbs = verbs.into_iter().map(|verb| verb.as_str().into()).collect();
    function.reads = reads.into_iter().collect();
    function.writes = writes.into_iter().collect();
    function.calls = calls.into_iter().collect();
}

fn set() -> BTreeSet<Box<str>> {
    BTreeSet::new()
}

/// A body in PL/pgSQL is taken word by word: whatever it might name, it counts as touching.
fn of_words(function: &mut Function, body: &str, relations: &BTreeSet<String>) {
    let (mut verbs, mut touched, mut calls) = (BTreeSet::new(), set(), set());
    let mut rest = body;
    while let Some(start) = rest.find(is_letter) {
        let before = body.get(..body.len() - rest.len() + start).unwrap_or_default().trim_end();
        let from = rest.get(start..).unwrap_or_default();
        let end = from.find(|letter| !is_letter(letter)).unwrap_or(from.len());
        let word = from.get(..end).unwrap_or_default().to_lowercase();
        rest = from.get(end..).unwrap_or_default();
        match word.as_str() {
            "execute" => function.unread = true,
            "insert" | "update" | "delete" | "merge" | "truncate" | "create" | "drop" | "alter" | "grant"
            | "copy" | "call" | "lock" | "notify" => _ = verbs.insert(word.clone()),
            // However a body changes a setting, its names may lead elsewhere from there on.
            "set" | "reset" if begins_statement(before) => _ = calls.insert(SETS.into()),
            _ => {}
        }
        if relations.contains(&word) {
            touched.insert(word.as_str().into());
        }
        if rest.trim_start().starts_with('(') || known::is_dangerous(&word) {
            calls.insert(word.into());
        }
    }
    function.verbs =
        verbs.into_iter().map(|word| if word == "copy" { "server".into() } else { word.into() }).collect();
    function.writes = if function.verbs.is_empty() { Vec::new() } else { touched.iter().cloned().collect() };
    function.reads = touched.into_iter().collect();
    function.calls = calls.into_iter().filter(|name| !NO_CALLS.contains(&&**name)).collect();
}

/// Whether a statement begins behind this text.
fn begins_statement(before: &str) -> bool {
    let last = before.rsplit(|letter| !is_letter(letter)).next().unwrap_or_default();
    before.is_empty()
        || before.ends_with(';')
        || ["begin", "then", "else", "loop"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

#[derive(Deserialize)]
struct RawOperator {
    schema: String,
    name: String,
    function: Pair,
}

impl RawOperator {
    fn read(self) -> Operator {
        let function = dotted(&self.function.0, &self.function.1);
        Operator { name: format!("{}.{}", self.schema, self.name).into(), function }
    }
}

#[derive(Deserialize)]
struct RawType {
    schema: String,
    name: String,
    functions: Vec<Pair>,
}

impl RawType {
    fn read(self) -> Type {
        let functions = self.functions.iter().map(|(schema, name)| dotted(schema, name)).collect();
        Type { name: dotted(&self.schema, &self.name), functions }
    }
}

/// The function that stands for every change of a setting in a body.
const SETS: &str = "set_config";
/// The event of a view's own rule.
const ON_SELECT: &str = "1";
/// Words of SQL that stand before a bracket without being functions.
const NO_CALLS: [&str; 24] = [
    "and",
    "any",
    "as",
    "check",
    "conflict",
    "distinct",
    "else",
    "elsif",
    "exists",
    "filter",
    "if",
    "in",
    "into",
    "not",
    "on",
    "or",
    "over",
    "partition",
    "return",
    "some",
    "then",
    "using",
    "values",
    "when",
];
