//! Tries a policy on the cases of a file: statements and what must become of them; it never reads files.

use super::eval::{Sql, approvals, given};
use super::session::{Played, play};
use crate::{Dialect, Login, Moment, Policy, PolicyError, Proof};
use clyra_spec::Verdict;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, sync::Arc};

/// What became of a file of cases.
#[derive(Clone, Debug, Serialize)]
pub struct CasesReport {
    /// Number of cases.
    pub cases: usize,
    /// Those that did not come out as expected.
    pub failures: Vec<CaseFailure>,
}

/// A case that did not come out as expected.
#[derive(Clone, Debug, Serialize)]
pub struct CaseFailure {
    /// Line of the case in its file, from 1.
    pub line: usize,
    /// Its name, or its statement.
    pub name: String,
    /// What the file says.
    pub expected: String,
    /// What the policy says.
    pub found: String,
}

/// Tries `policy` on the cases in `yaml`; `file` is what messages call it.
///
/// A case is `{name?, sql, user?, database?, application?, tenant?, cert_san?, cert_cn?, claims?, change_intent?, approved_by?, at?,
/// expect: allow|deny, rule?, reason?}`, where `sql` is a text or the list of a session's messages. The verdict counts, whether or not the mode would carry it out.
///
/// # Errors
/// The first fault of the file, with its place.
pub fn cases(policy: &Policy, yaml: &str, file: &str) -> Result<CasesReport, PolicyError> {
    let cases: Cases = serde_saphyr::from_str(yaml).map_err(|error| {
        let place = error.location();
        let number = |part: Option<u64>| part.and_then(|one| usize::try_from(one).ok()).unwrap_or(0);
        let line = number(place.map(|place| place.line()));
        let column = number(place.map(|place| place.column()));
        let text = error.without_snippet().to_string();
        let text = text.lines().next().unwrap_or_default();
        let text = text.split_once(" at line ").map_or(text, |(before, _)| before);
        PolicyError::new(file, yaml, line, column, format!("not a file of cases: {text}"))
    })?;
    let failures = cases.cases.iter().filter_map(|case| failure(policy, case)).collect();
    Ok(CasesReport { cases: cases.cases.len(), failures })
}

fn failure(policy: &Policy, case: &Spanned<Case>) -> Option<CaseFailure> {
    let line = usize::try_from(case.referenced.line()).unwrap_or(0);
    let case = &case.value;
    let login = Login {
        user: case.user.as_deref().unwrap_or("app"),
        database: case.database.as_deref().unwrap_or("shop"),
        application: case.application.as_deref().unwrap_or_default(),
        tenant: case.tenant.as_deref(),
    };
    let given = given(case.approved_by.as_deref());
    let moment = Moment {
        now_us: case.at.as_deref().and_then(time_us),
        change_intent: case.change_intent.as_deref(),
        approvals: approvals(given.as_ref()),
        ..Moment::default()
    };
    let played = play(
        policy,
        &policy.caller_with(&login, &Arc::new(case.proof())),
        Dialect::Postgres,
        case.sql.messages(),
        &moment,
    );
    if case.fits(&played) {
        return None;
    }
    let name = case.name.clone().unwrap_or_else(|| case.sql.messages().join("; "));
    Some(CaseFailure { line, name, expected: case.expected(), found: found(&played) })
}

fn time_us(text: &str) -> Option<u64> {
    let time = text.parse::<jiff::Timestamp>().ok()?;
    u64::try_from(time.as_microsecond()).ok()
}

fn found(played: &Played) -> String {
    let rules: Vec<_> = played.rules.iter().map(|rule| format!("{}: {}", rule.id, rule.reason)).collect();
    match (played.verdict, rules.is_empty()) {
        (Verdict::Allow, _) => "allow".to_owned(),
        (_, true) => "deny".to_owned(),
        (_, false) => format!("deny by {}", rules.join(", ")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    cases: Vec<Spanned<Case>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    name: Option<String>,
    sql: Sql,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    application: Option<String>,
    #[serde(default)]
    tenant: Option<String>,
    #[serde(default)]
    cert_san: Option<String>,
    #[serde(default)]
    cert_cn: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    change_intent: Option<String>,
    #[serde(default)]
    approved_by: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    at: Option<String>,
    expect: Expect,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Allow,
    Deny,
}

impl Case {
    fn proof(&self) -> Proof {
        let claims = self.claims.iter().map(|(name, value)| (name.clone(), vec![value.clone()]));
        Proof {
            common_name: self.cert_cn.clone(),
            uris: self.cert_san.iter().cloned().collect(),
            claims: claims.collect(),
        }
    }

    fn fits(&self, played: &Played) -> bool {
        let spoke = || {
            played.rules.iter().any(|rule| {
                self.rule.as_deref().is_none_or(|id| id == &*rule.id)
                    && self.reason.as_deref().is_none_or(|reason| reason == rule.reason)
            })
        };
        match self.expect {
            Expect::Allow => played.verdict == Verdict::Allow,
            Expect::Deny => played.verdict != Verdict::Allow && spoke(),
        }
    }

    fn expected(&self) -> String {
        if self.expect == Expect::Allow {
            return "allow".to_owned();
        }
        match (&self.rule, &self.reason) {
            (None, None) => "deny".to_owned(),
            (Some(rule), None) => format!("deny by {rule}"),
            (None, Some(reason)) => format!("deny for {reason}"),
            (Some(rule), Some(reason)) => format!("deny by {rule}: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cases;
    use crate::Policy;

    #[test]
    fn a_case_that_comes_out_otherwise_is_told() {
        let yaml = "cases:
  - sql: DROP TABLE a
    expect: deny
    rule: no-drop
    reason: verb_denied
  - name: two
    sql: [PREPARE p AS SELECT 1, EXECUTE p]
    expect: allow
  - name: the wrong rule
    sql: DROP TABLE a
    expect: deny
    rule: where
  - sql: SELECT 1
    user: ann
    expect: deny
";
        let report = cases(&Policy::starter(), yaml, "c.yaml").unwrap();
        assert_eq!((report.cases, report.failures.len()), (4, 2));
        let failure = &report.failures[0];
        assert_eq!((failure.line, &*failure.name), (9, "the wrong rule"));
        assert_eq!(failure.found, "deny by no-drop: verb_denied");
        assert_eq!(report.failures[1].name, "SELECT 1");
    }

    #[test]
    fn a_bad_file_has_its_place() {
        let fault = |yaml| cases(&Policy::starter(), yaml, "c.yaml").unwrap_err().to_string();
        let text = fault("cases:\n  - sql: SELECT 1\n    expect: maybe\n");
        assert!(text.starts_with("c.yaml:3:"), "{text}");
        assert!(fault("cases:\n  - sql: SELECT 1\n    expct: deny\n").contains("expct"), "{text}");
    }
}
