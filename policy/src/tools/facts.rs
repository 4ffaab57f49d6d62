//! Tells what statements do, one JSON object a line, without any policy; it never judges and never reads files.

use crate::{Catalog, Dialect, EvalError, Facts, Filter, Setting, SettingValue, StatementFacts};
use clyra_spec::Verb;
use serde::{Deserialize, Serialize};

/// What one message does.
#[derive(Clone, Debug, Serialize)]
pub struct FactsView {
    /// The id of the line that it stood in; `null` for a text.
    pub id: serde_json::Value,
    /// Why it was not understood.
    pub problem: Option<ProblemView>,
    /// Its statements, in order.
    pub statements: Vec<StatementDetail>,
}

/// Why a message was not understood.
#[derive(Clone, Debug, Serialize)]
pub struct ProblemView {
    /// What is wrong with it.
    pub message: String,
    /// Where, in characters from 1.
    pub position: Option<u32>,
    /// No server would read it: it is no SQL.
    pub syntax: bool,
}

/// What one statement does, in full.
#[derive(Clone, Debug, Serialize)]
pub struct StatementDetail {
    /// The strongest verb.
    pub verb: &'static str,
    /// Every verb, weakest first.
    pub verbs: Vec<&'static str>,
    /// Tables read.
    pub reads: Box<[Box<str>]>,
    /// Tables written.
    pub writes: Box<[Box<str>]>,
    /// Functions called.
    pub functions: Box<[Box<str>]>,
    /// Columns named, with the alias or table that stands before them.
    pub columns: Vec<Box<str>>,
    /// Operators that are not the server's own.
    pub operators: Vec<Box<str>>,
    /// Types that are not the server's own.
    pub types: Vec<Box<str>>,
    /// What stands out.
    pub tags: Box<[Box<str>]>,
    /// Tables whose existing rows are changed: verb, table, and `none`, `everything` or `rows`.
    pub targets: Vec<(&'static str, Box<str>, &'static str)>,
    /// Settings that are changed, each with its words where the statement tells them.
    pub settings: Vec<SettingView>,
    /// The statement that it prepares, runs by name, or forgets.
    pub prepared: Vec<Box<str>>,
    /// What it names that the catalog does not have, or cannot tell the meaning of.
    pub unknown: Option<Box<str>>,
    /// The character of the message at which it begins, from 1.
    pub position: u32,
}

/// A setting, and the words that it is changed to.
pub type SettingView = (Box<str>, Option<Box<[Box<str>]>>);

/// The facts of one text; `catalog` widens them by what the names stand for.
pub fn facts(dialect: Dialect, catalog: Option<&Catalog>, sql: &str) -> FactsView {
    view(serde_json::Value::Null, dialect, catalog, sql, "")
}

/// Reads one line `{"id", "sql", "user"?}` and answers with one line: the facts of `sql`. `user` names the schema that
/// comes first on the usual search path.
///
/// # Errors
/// When the line is not of that shape.
pub fn facts_line(dialect: Dialect, catalog: Option<&Catalog>, line: &str) -> Result<String, EvalError> {
    let line: Line = serde_json::from_str(line)?;
    Ok(serde_json::to_string(&view(line.id, dialect, catalog, &line.sql, &line.user))?)
}

#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    sql: String,
    #[serde(default)]
    user: String,
}

fn view(
    id: serde_json::Value,
    dialect: Dialect,
    catalog: Option<&Catalog>,
    sql: &str,
    user: &str,
) -> FactsView {
    let facts = Facts::of(dialect, sql.as_bytes());
    let facts = catalog.map_or(facts.clone(), |catalog| catalog.widen_usual(&facts, user, true));
    let problem = facts.problem.map(|problem| ProblemView {
        message: problem.message,
        position: problem.position,
        syntax: problem.syntax,
    });
    FactsView { id, problem, statements: facts.statements.iter().map(StatementDetail::of).collect() }
}

impl StatementDetail {
    fn of(statement: &StatementFacts) -> Self {
        let details = &statement.details;
        let list = |names: &crate::detail::Names| names.iter().map(Into::into).collect();
        let verbs = Verb::ALL.into_iter().filter(|verb| statement.verbs.contains(*verb));
        let prepared = [&statement.prepares, &statement.executes].into_iter().flatten().cloned();
        let forgotten = statement.deallocates.iter().map(|name| name.clone().unwrap_or_else(|| "*".into()));
        Self {
            verb: statement.verb.as_str(),
            verbs: verbs.map(Verb::as_str).collect(),
            reads: statement.reads.clone(),
            writes: statement.writes.clone(),
            functions: statement.functions.clone(),
            columns: list(&details.columns),
            operators: list(&details.operators),
            types: list(&details.types),
            tags: statement.tags.clone(),
            targets: statement
                .targets
                .iter()
                .map(|target| (target.verb.as_str(), target.table.clone(), chosen(target.filter)))
                .collect(),
            settings: statement.settings.iter().map(setting).collect(),
            prepared: prepared.chain(forgotten).collect(),
            unknown: details.unknown.clone(),
            position: statement.position,
        }
    }
}

fn chosen(filter: Filter) -> &'static str {
    match filter {
        Filter::None => "none",
        Filter::Everything => "everything",
        Filter::Rows => "rows",
    }
}

fn setting(setting: &Setting) -> SettingView {
    match setting {
        Setting::Named { name, value: SettingValue::Words(words) } => (name.clone(), Some(words.clone())),
        Setting::Named { name, .. } => (name.clone(), None),
        Setting::All => ("*".into(), None),
        Setting::Unknown => ("?".into(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::facts_line;
    use crate::Dialect;

    #[test]
    fn a_line_is_answered_by_a_line() {
        let line = r#"{"id":1,"sql":"update a.t x set v = f(x.w) where id = 1; set role r"}"#;
        let answer: serde_json::Value =
            serde_json::from_str(&facts_line(Dialect::Postgres, None, line).unwrap()).unwrap();
        let [update, set] = answer["statements"].as_array().unwrap().as_slice() else { panic!("{answer}") };
        assert_eq!(update["verbs"], serde_json::json!(["update"]));
        assert_eq!(update["writes"][0], "a.t");
        assert_eq!(update["targets"][0], serde_json::json!(["update", "a.t", "rows"]));
        assert_eq!(set["settings"][0][0], "role");
        assert!(answer["problem"].is_null());
        assert!(facts_line(Dialect::Postgres, None, "{}").is_err());
    }
}
