//! Judges the lines of a corpus, one JSON object each; it never reads files.

use super::StatementView;
use super::session::{Played, RuleView, play};
use crate::{Approvals, Dialect, EvalError, Given, Login, Moment, Policy};
use serde::{Deserialize, Serialize};

/// Judges one JSON line of a corpus and answers with one JSON line.
///
/// In: `{"id", "sql", "user"?, "database"?, "application"?, "tenant"?, "change_intent"?, "approved_by"?, "at_us"?, "params"?}`, where
/// `sql` is a text or a list of texts, which are the messages of one session, and `at_us` microseconds since 1970.
/// Out: `{"id", "verdict", "enforced", "rules", "facts"}`; the
/// verdict is `deny` when any message is denied, whether or not the mode would carry it out.
///
/// # Errors
/// When the dialect is unknown or the line is not of the expected shape.
pub fn eval_line(policy: &Policy, dialect: &str, line: &str) -> Result<String, EvalError> {
    let line = Line::parse(dialect, line)?;
    let played = line.play(policy);
    let answer = Answer {
        id: line.id,
        verdict: played.verdict.as_str(),
        enforced: played.enforced,
        rules: played.rules,
        facts: FactsView { statements: played.statements },
    };
    Ok(serde_json::to_string(&answer)?)
}

/// One line of a corpus.
#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(skip)]
    dialect: Dialect,
    pub(super) id: serde_json::Value,
    sql: Sql,
    #[serde(default)]
    user: String,
    #[serde(default)]
    database: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    change_intent: Option<String>,
    #[serde(default)]
    approved_by: Option<String>,
    #[serde(default)]
    at_us: Option<u64>,
}

impl Line {
    /// Reads a line.
    pub(super) fn parse(dialect: &str, line: &str) -> Result<Self, EvalError> {
        let dialect = dialect.parse()?;
        Ok(Self { dialect, ..serde_json::from_str(line)? })
    }

    /// Plays it past a policy.
    pub(super) fn play(&self, policy: &Policy) -> Played {
        let login = Login {
            user: &self.user,
            database: &self.database,
            application: &self.application,
            tenant: self.tenant.as_deref(),
        };
        let change_intent = self.change_intent.as_deref();
        let given = given(self.approved_by.as_deref());
        let approvals = approvals(given.as_ref());
        let moment = Moment { now_us: self.at_us, change_intent, approvals, ..Moment::default() };
        play(policy, &policy.caller(&login), self.dialect, self.sql.messages(), &moment)
    }
}

/// One message, or those of a session.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Sql {
    One(String),
    Session(Vec<String>),
}

impl Sql {
    pub(super) fn messages(&self) -> &[String] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Session(messages) => messages,
        }
    }
}

/// An approval that a line or case tells of.
pub(super) fn given(approver: Option<&str>) -> Option<Given> {
    approver.map(|approver| Given { id: Box::default(), approver: approver.into() })
}

/// What is known where it is the only one; nobody has a digest here.
pub(super) fn approvals(given: Option<&Given>) -> Approvals<'_> {
    given.map_or(Approvals::Unknown, |given| Approvals::Of {
        digest: "DIGEST",
        given: std::slice::from_ref(given),
    })
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
        assert_eq!(
            error("oracle", "{}"),
            "unknown dialect `oracle`; allowed: postgres, snowflake, databricks, bigquery"
        );
        assert!(error("postgres", r#"{"id":1}"#).contains("missing field `sql`"));
    }
}
