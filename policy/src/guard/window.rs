//! Guards about when and why: hours in which changes may be made, freezes, and a claimed reason. Time is an argument.

use super::{Finding, loud};
use crate::policy::Moment;
use crate::{StatementFacts, Verbs};

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
