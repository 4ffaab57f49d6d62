//! What a receipt tells of a statement beside its verb and its names: marks among its tags, and the way back from them. No
//! mark holds a value of the statement.

use crate::detail::{Answer, Details, Names, Plan, Written};
use crate::guard::{is_core, locked};
use crate::{Setting, StatementFacts, Verbs};
use clyra_spec::Verb;

/// Its tags and marks, where it has marks.
pub(crate) fn marked(statement: &StatementFacts) -> Option<Box<[Box<str>]>> {
    let details = &statement.details;
    let mut marks: Vec<Box<str>> = Vec::new();
    let others =
        Verb::ALL.into_iter().filter(|verb| *verb != statement.verb && statement.verbs.contains(*verb));
    marks.extend(others.map(|verb| format!("{ALSO}{}", verb.as_str()).into()));
    match details.answer {
        Answer::Nothing => {}
        Answer::Open(_) => marks.push(OPEN_ANSWER.into()),
        Answer::AtMost { rows, scalar } => {
            let word = if scalar { AT_MOST_SCALAR } else { AT_MOST };
            marks.push(format!("{word}{}", exponent(rows)).into());
        }
    }
    let bare = statement.targets.iter().any(|target| !target.filter.restricts());
    let own = details.operators.first().or(details.types.first()).is_some();
    let words = [
        (bare && !statement.has_tag(NO_WHERE), NO_WHERE),
        (details.cross.is_some(), CROSS_JOIN),
        (own, OWN_OPERATOR),
        (details.keeps_code, KEPT_CODE),
        (statement.settings.iter().any(is_core), CORE_SETTING),
        (statement.settings.iter().any(locked) && !statement.settings.iter().all(is_reset), LOCKED_SETTING),
        (statement.settings.contains(&Setting::All), SESSION_RESET),
        (matches!(details.written, Written::Unseen(_)), UNCOUNTED_WRITE),
        (details.plan == Plan::Unseen, UNSEEN_PLAN),
    ];
    marks.extend(words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.into()));
    if details.message_bytes > 1_000 {
        marks.push(format!("{LENGTH}{}", exponent(u64::from(details.message_bytes))).into());
    }
    (!marks.is_empty()).then(|| statement.tags.iter().cloned().chain(marks).collect())
}

/// What marks tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The tags that are no marks.
    pub(super) tags: Vec<Box<str>>,
    pub(super) verbs: Verbs,
    pub(super) settings: Vec<Setting>,
    pub(super) details: Details,
    /// Fewest and most rows that the statement's own text may bound its answer to.
    pub(super) bound: Option<(u64, u64)>,
    /// Fewest and most bytes of the message.
    pub(super) length: (u64, u64),
    pub(super) own_operator: bool,
    pub(super) locked_setting: bool,
    pub(super) core_setting: bool,
    /// The receipt leaves names out.
    pub(super) cut: bool,
}

impl Told {
    /// Reads the tags of a receipt about a statement of this verb.
    pub(super) fn of(verb: Verb, tags: &[Box<str>]) -> Self {
        let mut told = Self { verbs: Verbs::only(verb), length: (0, 1_000), ..Self::default() };
        told.details.written = if counts(verb) { Written::Counted } else { Written::Nothing };
        told.details.plan = if plans(verb) { Plan::Whole } else { Plan::Nothing };
        for tag in tags {
            if !told.mark(tag) {
                told.tags.push(tag.clone());
            }
        }
        told
    }

    fn mark(&mut self, tag: &str) -> bool {
        let power = |word: &str| tag.strip_prefix(word).and_then(|digits| digits.parse::<u32>().ok());
        if let Some(verb) = tag.strip_prefix(ALSO).and_then(Verbs::of_word) {
            self.verbs.extend(verb);
        } else if let Some(exponent) = power(AT_MOST_SCALAR) {
            self.bounded(exponent, true);
        } else if let Some(exponent) = power(AT_MOST) {
            self.bounded(exponent, false);
        } else if let Some(exponent) = power(LENGTH) {
            self.length = span(exponent);
        } else {
            match tag {
                OPEN_ANSWER => self.details.answer = Answer::Open("has no LIMIT"),
                CROSS_JOIN => self.details.cross = Some("tables".into()),
                OWN_OPERATOR => self.own_operator = true,
                KEPT_CODE => self.details.keeps_code = true,
                CORE_SETTING => self.core_setting = true,
                LOCKED_SETTING => self.locked_setting = true,
                SESSION_RESET => self.settings.push(Setting::All),
                UNCOUNTED_WRITE => self.details.written = Written::Unseen("writes rows that are not counted"),
                UNSEEN_PLAN => self.details.plan = Plan::Unseen,
                "names_truncated" => self.cut = true,
                _ => return false,
            }
        }
        true
    }

    fn bounded(&mut self, exponent: u32, scalar: bool) {
        let (fewest, most) = span(exponent);
        self.bound = Some((fewest, most));
        self.details.answer = Answer::AtMost { rows: most, scalar };
    }

    /// Operators of users, whose names no receipt holds.
    pub(super) fn operators(&self) -> Names {
        let mut names = Names::default();
        if self.own_operator {
            names.add("of the user's own");
        }
        names
    }
}

/// Whether the server tells the rows that a statement of this verb writes.
fn counts(verb: Verb) -> bool {
    matches!(verb, Verb::Insert | Verb::CopyIn | Verb::Update | Verb::Merge | Verb::Delete)
}

/// Whether a statement of this verb has a plan; of `create` some have.
fn plans(verb: Verb) -> bool {
    matches!(verb, Verb::Select | Verb::Insert | Verb::Update | Verb::Merge | Verb::Delete | Verb::Create)
}

fn is_reset(setting: &Setting) -> bool {
    matches!(setting, Setting::All)
}

/// The power of ten that is just not below the number: 0 for 0 and 1, 1 up to 10, 2 up to 100.
fn exponent(number: u64) -> u32 {
    number.saturating_sub(1).checked_ilog10().map_or(0, |digits| digits + 1)
}

/// Fewest and most that have this exponent.
fn span(exponent: u32) -> (u64, u64) {
    let power = |at: u32| 10_u64.checked_pow(at).unwrap_or(u64::MAX);
    match exponent.checked_sub(1) {
        None => (0, 1),
        Some(below) => (power(below).saturating_add(1), power(exponent)),
    }
}

const ALSO: &str = "also_";
const NO_WHERE: &str = "no_where";
const OPEN_ANSWER: &str = "open_answer";
const AT_MOST: &str = "rows_e";
const AT_MOST_SCALAR: &str = "scalar_rows_e";
const LENGTH: &str = "bytes_e";
const CROSS_JOIN: &str = "cross_join";
const OWN_OPERATOR: &str = "own_operator";
const KEPT_CODE: &str = "kept_code";
const CORE_SETTING: &str = "core_setting";
const LOCKED_SETTING: &str = "locked_setting";
const SESSION_RESET: &str = "session_reset";
const UNCOUNTED_WRITE: &str = "uncounted_write";
const UNSEEN_PLAN: &str = "unseen_plan";

#[cfg(test)]
mod tests {
    use super::{exponent, span};

    #[test]
    fn a_number_lies_in_the_span_of_its_exponent() {
        for number in [0, 1, 2, 9, 10, 11, 99, 100, 101, 1_000, 65_536, 1_000_000, u64::MAX] {
            let (fewest, most) = span(exponent(number));
            assert!((fewest..=most).contains(&number), "{number}: {fewest} to {most}");
        }
        assert_eq!(span(exponent(1_000)), (101, 1_000));
        assert_eq!(span(exponent(1)), (0, 1));
    }
}
