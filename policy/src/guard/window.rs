//! Guards about when, why and with whose consent: hours for changes, freezes, a claimed reason, approvals. Time is an argument.

use super::{Finding, loud};
use crate::policy::{Approvals, Given, Moment};
use crate::{Caller, StatementFacts, Verbs};

/// When changes may be made.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Verbs that it is about.
    pub(crate) verbs: Verbs,
    /// Days of the week, Monday first.
    pub(crate) days: [bool; 7],
    /// Minutes of the day, from and until; over midnight where the second is smaller.
    pub(crate) minutes: (u16, u16),
    /// Minutes by which the clock of the rule is before UTC.
    pub(crate) offset_minutes: i32,
    /// Times in which nothing may be changed, in microseconds since 1970 UTC.
    pub(crate) freezes: Box<[(i64, i64)]>,
}

/// A change at a time at which none may be made.
pub(super) fn change_window(
    window: &Window,
    statement: &StatementFacts,
    moment: &Moment<'_>,
) -> Option<Finding> {
    let verb = changed(window.verbs, statement)?;
    let now = moment.now_us.and_then(|now| i64::try_from(now).ok());
    let (reason, when) = match now {
        None => ("outside_window", "at a time that is not known"),
        Some(now) if window.freezes.iter().any(|(from, until)| (*from..*until).contains(&now)) => {
            ("frozen", "during a freeze")
        }
        Some(now) if !window.is_open(now) => ("outside_window", "outside the hours for changes"),
        Some(_) => return None,
    };
    Some(Finding {
        reason,
        what: format!("{verb} {when}"),
        hint: format!("change data {}", window.told()),
        position: Some(statement.position),
    })
}

/// A change without a reason that the session claims.
pub(super) fn require_intent(
    verbs: Verbs,
    statement: &StatementFacts,
    moment: &Moment<'_>,
) -> Option<Finding> {
    let verb = changed(verbs, statement)?;
    if moment.change_intent.is_some_and(|intent| !intent.trim().is_empty()) {
        return None;
    }
    Some(Finding {
        reason: "intent_missing",
        what: format!("{verb} without a change intent"),
        hint: "say why: put the command under `clyra run --intent`, or set `clyra.change_intent` at login"
            .to_owned(),
        position: Some(statement.position),
    })
}

/// Whose consent a change needs.
#[derive(Clone, Debug)]
pub(crate) struct Consent {
    /// Verbs that it is about.
    pub(crate) verbs: Verbs,
    /// Names of those who may give it.
    pub(crate) approvers: Box<[Box<str>]>,
}

impl Consent {
    /// The first approval that counts for this caller: nobody approves what is their own.
    pub(crate) fn given<'m>(&self, caller: &Caller, moment: &Moment<'m>) -> Option<&'m Given> {
        let Approvals::Of { given, .. } = moment.approvals else { return None };
        given.iter().find(|one| self.may(&one.approver) && !is_actor(&one.approver, caller))
    }

    /// Whether the rule is about this statement.
    pub(crate) fn is_about(&self, statement: &StatementFacts) -> bool {
        changed(self.verbs, statement).is_some()
    }

    fn may(&self, approver: &str) -> bool {
        self.approvers.iter().any(|one| **one == *approver)
    }
}

/// A change that nobody else answers for. `indirect` says that it stands in another message than the one at hand.
pub(super) fn require_approval(
    consent: &Consent,
    statement: &StatementFacts,
    caller: &Caller,
    moment: &Moment<'_>,
    indirect: bool,
) -> Option<Finding> {
    let verb = changed(consent.verbs, statement)?;
    let finding = |reason, what: &str, hint: String| {
        let position = Some(statement.position);
        Some(Finding { reason, what: format!("{verb} {what}"), hint, position })
    };
    let digest = match moment.approvals {
        _ if indirect || statement.prepares.is_some() => None,
        Approvals::Unbound => None,
        Approvals::Unknown => Some(None),
        Approvals::Of { digest, .. } => Some(Some(digest)),
    };
    let Some(digest) = digest else {
        let hint =
            "send the statement itself, with its values in its text: only what stands there can be approved";
        return finding("approval_unbound", "that no approval can be bound to", hint.to_owned());
    };
    if consent.given(caller, moment).is_some() {
        return None;
    }
    let names = consent.approvers.join(", ");
    let hint = match digest {
        Some(digest) => {
            format!(
                "ask {names} for `clyra approve --digest {digest} --reason TEXT --key FILE`, then send it again"
            )
        }
        None => format!("ask {names} for an approval"),
    };
    let own = matches!(moment.approvals, Approvals::Of { given, .. } if given.iter().any(|one| consent.may(&one.approver)));
    if own {
        return finding("approval_own", "approved only by who sends it", hint);
    }
    finding("approval_missing", "without an approval", hint)
}

fn is_actor(name: &str, caller: &Caller) -> bool {
    [&caller.actor, &caller.user].into_iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// The strongest verb that the rule is about; code that cannot be read may hold any.
fn changed(verbs: Verbs, statement: &StatementFacts) -> Option<String> {
    let verb = verbs.strongest_shared(statement.verbs);
    verb.or(statement.is_opaque().then_some(statement.verb)).map(|verb| loud(verb.as_str()))
}

impl Window {
    fn is_open(&self, now_us: i64) -> bool {
        let minutes = now_us.div_euclid(60_000_000) + i64::from(self.offset_minutes);
        let (day, minute) = (minutes.div_euclid(DAY), minutes.rem_euclid(DAY));
        let (from, until) = (i64::from(self.minutes.0), i64::from(self.minutes.1));
        // A night belongs to the day on which it begins.
        let (inside, began) = if from < until {
            ((from..until).contains(&minute), day)
        } else if minute >= from {
            (true, day)
        } else {
            (minute < until, day - 1)
        };
        inside && self.is_day(began)
    }

    fn is_day(&self, day: i64) -> bool {
        // The first day of 1970 was a Thursday.
        let place = usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0);
        self.days.get(place).copied().unwrap_or(false)
    }

    fn told(&self) -> String {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let days: Vec<&str> =
            DAYS.iter().zip(self.days).filter(|(_, open)| *open).map(|(day, _)| *day).collect();
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (self.offset_minutes.abs() / 60, self.offset_minutes.abs() % 60);
        let (from, until) = (clock(self.minutes.0), clock(self.minutes.1));
        format!(
            "{} from {from} until {until} ({sign}{hours:02}:{minutes:02}), and in no freeze",
            days.join(", ")
        )
    }
}

/// Minutes of a day.
const DAY: i64 = 1_440;

/// Days as a policy writes them, Monday first.
pub(crate) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
