//! Reads the hours and freezes of a `change_window`; it never reads a clock.

use crate::Verbs;
use crate::file::fields::{Fault, Fields, list_of, text, unknown};
use crate::file::rules::verbs;
use crate::file::yaml::{Spot, Yaml};
use crate::guard::{DAYS, Window};

/// Reads a window; what it does not say is open.
pub(super) fn window(value: &Spot<Yaml>) -> Result<Window, Fault> {
    let fields = Fields::new(value, &["verbs", "days", "hours", "offset", "freeze"])?;
    if fields.get("days").or(fields.get("hours")).or(fields.get("freeze")).is_none() {
        return Err(Fault::at(value, "a window without bounds; give at least one of: days, hours, freeze"));
    }
    Ok(Window {
        verbs: fields.optional("verbs", verbs)?.unwrap_or_else(changes),
        days: fields.optional("days", days)?.unwrap_or([true; 7]),
        minutes: fields.optional("hours", hours)?.unwrap_or((0, DAY)),
        offset_minutes: fields.optional("offset", offset)?.unwrap_or(0),
        freezes: fields.optional("freeze", |value| list_of(value, freeze))?.unwrap_or_default(),
    })
}

/// What changes data or structure.
pub(super) fn changes() -> Verbs {
    let mut changes = Verbs::default();
    ["writes", "ddl"].into_iter().filter_map(Verbs::of_word).for_each(|verbs| changes.extend(verbs));
    changes
}

fn days(value: &Spot<Yaml>) -> Result<[bool; 7], Fault> {
    let mut open = [false; 7];
    for place in list_of(value, |one| {
        let word = text(one)?;
        DAYS.iter().position(|day| *day == word).ok_or_else(|| Fault::at(one, unknown("day", word, &DAYS)))
    })? {
        open.iter_mut().skip(place).take(1).for_each(|day| *day = true);
    }
    Ok(open)
}

fn hours(value: &Spot<Yaml>) -> Result<(u16, u16), Fault> {
    let word = text(value)?;
    let read = || {
        let (from, until) = word.split_once('-')?;
        let (from, until) = (minutes(from.trim())?, minutes(until.trim())?);
        (from != until && from < DAY).then_some((from, until))
    };
    read().ok_or_else(|| Fault::at(value, format!("`{word}` are no hours; allowed: like `08:00-18:30`")))
}

fn offset(value: &Spot<Yaml>) -> Result<i32, Fault> {
    let word = text(value)?;
    let read = || {
        let (sign, clock) = match word.strip_prefix('-') {
            Some(clock) => (-1, clock),
            None => (1, word.strip_prefix('+')?),
        };
        minutes(clock).filter(|minutes| *minutes <= 14 * 60).map(|minutes| sign * i32::from(minutes))
    };
    read().ok_or_else(|| Fault::at(value, format!("`{word}` is no offset from UTC; allowed: like `+01:00`")))
}

/// `HH:MM` as minutes of the day; 24:00 is its end.
fn minutes(clock: &str) -> Option<u16> {
    let (hours, minutes) = clock.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u16>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|minutes| *minutes < 60)?);
    Some(hours * 60 + minutes).filter(|minutes| *minutes <= DAY)
}

fn freeze(value: &Spot<Yaml>) -> Result<(i64, i64), Fault> {
    let fields = Fields::new(value, &["from", "until"])?;
    let (from, until) = (fields.required("from", time)?, fields.required("until", time)?);
    if from >= until {
        return Err(Fault::at(value, "a freeze that ends before it begins"));
    }
    Ok((from, until))
}

fn time(value: &Spot<Yaml>) -> Result<i64, Fault> {
    let word = text(value)?;
    let time = word.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_microsecond);
    time.map_err(|_| {
        Fault::at(value, format!("`{word}` is no time; allowed: RFC 3339, like `2026-12-20T00:00:00Z`"))
    })
}

const DAY: u16 = 1_440;
