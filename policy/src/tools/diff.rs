//! Compares what two policies make of the lines of a corpus; it never says which of them is right.

use super::eval::Line;
use super::session::{Played, RuleView};
use crate::{EvalError, Policy};
use clyra_spec::Verdict;
use serde::Serialize;

/// A line on which two policies differ.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The line's id.
    pub id: serde_json::Value,
    /// What the first policy says.
    pub before: Said,
    /// What the second policy says.
    pub after: Said,
}

/// What one policy says of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The verdict, whether or not it is carried out.
    pub verdict: Verdict,
    /// Whether it is carried out.
    pub enforced: bool,
    /// The rules that spoke.
    pub rules: Vec<RuleView>,
}

/// Judges one JSON line, of the form that [`super::eval_line`] reads, under both policies; nothing when they agree on
/// the verdict, on whether it is carried out, and on the rules and reasons.
///
/// # Errors
/// When the dialect is unknown or the line is not of the expected shape.
pub fn diff_line(
    before: &Policy,
    after: &Policy,
    dialect: &str,
    line: &str,
) -> Result<Option<Difference>, EvalError> {
    let line = Line::parse(dialect, line)?;
    let (before, after) = (Said::of(line.play(before)), Said::of(line.play(after)));
    Ok((before != after).then_some(Difference { id: line.id, before, after }))
}

impl Said {
    fn of(played: Played) -> Self {
        let mut rules = played.rules;
        rules.sort();
        Self { verdict: played.verdict, enforced: played.enforced, rules }
    }

    /// `allow`, or the verdict with what is carried out and the rules.
    pub fn in_words(&self) -> String {
        if self.verdict == Verdict::Allow {
            return "allow".to_owned();
        }
        let rules: Vec<_> = self.rules.iter().map(|rule| format!("{}: {}", rule.id, rule.reason)).collect();
        let carried = if self.enforced { "enforced" } else { "shadow" };
        format!("{} ({carried}) by {}", self.verdict.as_str(), rules.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::diff_line;
    use crate::Policy;
    use clyra_spec::Mode;

    #[test]
    fn only_what_differs_is_told() {
        let (shadow, enforce) = (Policy::starter(), Policy::starter().with_mode(Mode::Enforce));
        let diff = |line| diff_line(&shadow, &enforce, "postgres", line).unwrap();
        assert!(diff(r#"{"id":1,"sql":"SELECT 1"}"#).is_none());
        let found = diff(r#"{"id":2,"sql":"DROP TABLE a"}"#).unwrap();
        assert_eq!(found.before.in_words(), "deny (shadow) by no-drop: verb_denied");
        assert_eq!(found.after.in_words(), "deny (enforced) by no-drop: verb_denied");
        assert!(diff_line(&shadow, &enforce, "oracle", "{}").is_err());
    }
}
