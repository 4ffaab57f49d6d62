//! Judges the lines of a corpus, one JSON object each; it never reads files.

use super::StatementView;
use crate::{EvalError, Facts, Login, Policy};
use clyra_spec::{KillLevel, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Judges one JSON line of a corpus and answers with one JSON line.
///
/// In: `{"id", "sql", "user"?, "database"?, "application"?, "tenant"?, "params"?}`, where `sql` is a text or a list
/// of texts, which are the messages of one session. Out: `{"id", "verdict", "enforced", "rules", "facts"}`; the
/// verdict is `deny` when any message is denied, whether or not the mode would carry it out.
///
/// # Errors
/// When the dialect is unknown or the line is not of the expected shape.
pub fn eval_line(policy: &Policy, dialect: &str, line: &str) -> Result<String, EvalError> {
    if dialect != "postgres" {
        return Err(EvalError::Dialect(dialect.to_owned()));
    }
    let line: Line = serde_json::from_str(line)?;
    let caller = policy.caller(&Login {
        user: &line.user,
        database: &line.database,
        application: &line.application,
        tenant: line.tenant.as_deref(),
    });
    let mut answer = Answer {
        id: line.id,
        verdict: Verdict::Allow.as_str(),
        enforced: false,
        rules: Vec::new(),
        facts: FactsView { statements: Vec::new() },
    };
    let mut session = Session::default();
    for message in line.sql.messages() {
        let facts = Arc::new(Facts::of_postgres(message.as_bytes()));
        let decision = policy.decide(&caller, &facts, KillLevel::Observe, &|name| session.prepared(name));
        answer.facts.statements.extend(facts.statements.iter().map(StatementView::of));
        if decision.verdict != Verdict::Allow {
            answer.verdict = Verdict::Deny.as_str();
        }
        for rule in decision.rules.iter() {
            if !answer.rules.iter().any(|known| known.id == rule.id) {
                answer.rules.push(RuleView { id: rule.id.clone(), reason: rule.reason });
            }
        }
        // A refused message leaves nothing behind in the session.
        if decision.refusal.is_some() {
            answer.enforced = true;
        } else {
            session.after(&facts);
        }
    }
    Ok(serde_json::to_string(&answer)?)
}

/// The prepared statements of a session that is only played through.
#[derive(Default)]
struct Session {
    prepared: BTreeMap<Box<str>, Arc<Facts>>,
}

impl Session {
    fn prepared(&self, name: &str) -> Option<Arc<Facts>> {
        self.prepared.get(name).map(Arc::clone)
    }

    fn after(&mut self, facts: &Arc<Facts>) {
        for statement in &facts.statements {
            match &statement.deallocates {
                Some(Some(name)) => _ = self.prepared.remove(name),
                Some(None) => self.prepared.clear(),
                None => {}
            }
            if let Some(name) = &statement.prepares {
                self.prepared.insert(name.clone(), Arc::clone(facts));
            }
        }
    }
}

#[derive(Deserialize)]
struct Line {
    id: serde_json::Value,
    sql: Sql,
    #[serde(default)]
    user: String,
    #[serde(default)]
    database: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    tenant: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sql {
    One(String),
    Session(Vec<String>),
}

impl Sql {
    fn messages(&self) -> &[String] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Session(messages) => messages,
        }
    }
}

#[derive(Serialize)]
struct Answer {
    id: serde_json::Value,
    verdict: &'static str,
    enforced: bool,
    rules: Vec<RuleView>,
    facts: FactsView,
}

#[derive(Serialize)]
struct RuleView {
    id: Box<str>,
    reason: &'static str,
}

#[derive(Serialize)]
struct FactsView {
    statements: Vec<StatementView>,
}

#[cfg(test)]
mod tests {
    use super::eval_line;
    use crate::Policy;

    fn eval(line: &str) -> serde_json::Value {
        serde_json::from_str(&eval_line(&Policy::starter(), "postgres", line).unwrap()).unwrap()
    }

    #[test]
    fn one_message() {
        let answer =
            eval_line(&Policy::starter(), "postgres", r#"{"id":[7],"sql":"DROP TABLE a.b"}"#).unwrap();
        assert_eq!(
            answer,
            r#"{"id":[7],"verdict":"deny","enforced":false,"rules":[{"id":"no-drop","reason":"verb_denied"}],"facts":{"statements":[{"verb":"drop","reads":[],"writes":["a.b"],"functions":[],"tags":[]}]}}"#
        );
    }

    #[test]
    fn a_session_remembers_what_it_prepared() {
        let unknown = eval(r#"{"id":1,"sql":["EXECUTE p"]}"#);
        assert_eq!(unknown["rules"][0]["reason"], "unknown_prepared");
        let known = eval(r#"{"id":1,"sql":["PREPARE p AS SELECT 1","EXECUTE p"],"user":"ann","params":[1]}"#);
        assert_eq!(known["verdict"], "allow");
        let gone = eval(r#"{"id":1,"sql":["PREPARE p AS SELECT 1","DEALLOCATE p","EXECUTE p"]}"#);
        assert_eq!(gone["verdict"], "deny");
    }

    #[test]
    fn bad_lines_are_named() {
        let error = |dialect, line| eval_line(&Policy::starter(), dialect, line).unwrap_err().to_string();
        assert_eq!(error("oracle", "{}"), "unknown dialect `oracle`; allowed: postgres");
        assert!(error("postgres", r#"{"id":1}"#).contains("missing field `sql`"));
    }
}
