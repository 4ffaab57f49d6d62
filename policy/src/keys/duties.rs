//! Reads the guards that are settled at run time: bounds of rows and cost, velocity caps and keys; it never counts.

use crate::duty::{Cap, Charge, Limit, Once, Per, Unit};
use crate::file::fields::{Fault, Fields, number, text, word};
use crate::file::yaml::{Spot, Yaml};
use crate::guard::Guard;
use clyra_spec::limits::WHOLE_NUMBER_MAX;
use std::ops::RangeInclusive;

/// Reads the value of one of these keys.
pub(super) fn charge(key: &str, value: &Spot<Yaml>) -> Result<Guard, Fault> {
    match key {
        "max_rows_written" => number(value, WHOLE_NUMBER_MAX).map(Charge::RowsWritten),
        "max_rows_returned" => number(value, WHOLE_NUMBER_MAX).map(Charge::RowsReturned),
        "max_cost" => cost(value),
        "idempotency" => once(value),
        _ => velocity(value),
    }
    .map(Guard::Charge)
}

/// A number, or `{max, unexplained?}`.
fn cost(value: &Spot<Yaml>) -> Result<Charge, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return number(value, WHOLE_NUMBER_MAX).map(|max| Charge::Cost { max, unexplained: false });
    }
    let fields = Fields::new(value, &["max", "unexplained"])?;
    let words = [("allow", true), ("deny", false)];
    let unexplained = fields.optional("unexplained", |value| word(value, "answer", &words))?.unwrap_or(false);
    Ok(Charge::Cost { max: fields.required("max", |value| number(value, WHOLE_NUMBER_MAX))?, unexplained })
}

/// `required`, `optional`, or `{key, ttl?, in_flight_wait?}`.
fn once(value: &Spot<Yaml>) -> Result<Charge, Fault> {
    let words = [("required", true), ("optional", false)];
    let plain = |required| Once { required, ttl_us: TTL_US, wait_us: WAIT_US };
    if !matches!(value.value, Yaml::Map(_)) {
        return word(value, "answer", &words).map(|required| Charge::Once(plain(required).into()));
    }
    let fields = Fields::new(value, &["key", "ttl", "in_flight_wait"])?;
    let required = fields.required("key", |value| word(value, "answer", &words))?;
    let allowed = "like `24h`, in m, h or d, from 1h to 30d";
    let ttl = fields.optional("ttl", |value| lasting(value, TTL_US_MIN..=TTL_US_MAX, allowed))?;
    let allowed = "like `50ms` or `2s`, at most 60s";
    let wait = fields.optional("in_flight_wait", |value| lasting(value, 0..=WAIT_US_MAX, allowed))?;
    let (ttl_us, wait_us) = (ttl.unwrap_or(TTL_US), wait.unwrap_or(WAIT_US));
    Ok(Charge::Once(Once { required, ttl_us, wait_us }.into()))
}

/// `{per, of, rate}` or `{per, of, budget}`.
fn velocity(value: &Spot<Yaml>) -> Result<Charge, Fault> {
    let fields = Fields::new(value, &["per", "of", "rate", "budget"])?;
    let limit = match (fields.get("rate"), fields.get("budget")) {
        (Some(value), None) => rate(value)?,
        (None, Some(value)) => budget(value)?,
        (None, None) => {
            return Err(Fault::at(value, "a velocity without a limit; give one of: rate, budget"));
        }
        (Some(_), Some(second)) => {
            return Err(Fault::at(second, "a `budget` beside a `rate`; give each a rule"));
        }
    };
    let per = fields.required("per", |value| word(value, "sharer", &Per::ALL))?;
    let of = fields.required("of", |value| word(value, "unit", &Unit::ALL))?;
    Ok(Charge::Velocity(Cap { per, of, limit }.into()))
}

/// Like `100/s` or `100/s burst 200`; without a burst, as much as in one period.
fn rate(value: &Spot<Yaml>) -> Result<Limit, Fault> {
    let told = text(value)?;
    let read = || {
        let (flow, burst) = match told.split_once(" burst ") {
            Some((flow, burst)) => (flow, Some(amount(burst.trim())?)),
            None => (told, None),
        };
        let (most, period) = flow.split_once('/')?;
        let most = amount(most.trim())?;
        let period_us = span(&format!("1{}", period.trim()))?;
        let burst = burst.unwrap_or(most);
        (most <= RATE_MAX && burst <= RATE_MAX).then_some(Limit::Rate { amount: most, period_us, burst })
    };
    let allowed = "like `100/s` or `100/s burst 200`, per s, m or h, at most 1000000";
    read().ok_or_else(|| Fault::at(value, format!("`{told}` is no rate; allowed: {allowed}")))
}

/// Like `10000 per 1h`.
fn budget(value: &Spot<Yaml>) -> Result<Limit, Fault> {
    let told = text(value)?;
    let read = || {
        let (most, window) = told.split_once(" per ")?;
        let window_us = span(window.trim()).filter(|us| *us <= WINDOW_US_MAX)?;
        Some(Limit::Budget { amount: amount(most.trim())?, window_us })
    };
    let allowed = "like `10000 per 1h`, in s, m, h or d, at most 31d";
    read().ok_or_else(|| Fault::at(value, format!("`{told}` is no budget; allowed: {allowed}")))
}

/// A time within bounds, microseconds.
fn lasting(value: &Spot<Yaml>, within: RangeInclusive<u64>, allowed: &str) -> Result<u64, Fault> {
    let told = text(value)?;
    let us = match told.strip_suffix("ms") {
        Some(digits) => amount(digits).and_then(|ms| ms.checked_mul(1_000)),
        None => span(told),
    };
    us.filter(|us| within.contains(us))
        .ok_or_else(|| Fault::at(value, format!("`{told}` is no time for it; allowed: {allowed}")))
}

fn amount(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|most| plain && (1..=WHOLE_NUMBER_MAX).contains(most))
}

/// Microseconds of a number with a unit.
pub(super) fn span(told: &str) -> Option<u64> {
    let seconds = match told.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let (digits, _) = told.split_at_checked(told.len() - 1)?;
    amount(digits)?.checked_mul(seconds * 1_000_000)
}

/// A faster flow than any that would be noticed.
const RATE_MAX: u64 = 1_000_000;
/// The longest window: what is spent in it is remembered as long.
const WINDOW_US_MAX: u64 = 31 * 86_400_000_000;
/// How long a key is remembered: where nothing is said, at least, and at most.
const TTL_US: u64 = 86_400_000_000;
const TTL_US_MIN: u64 = 3_600_000_000;
const TTL_US_MAX: u64 = 30 * TTL_US;
/// How long the same change waits for the first: where nothing is said, and at most.
const WAIT_US: u64 = 50_000;
const WAIT_US_MAX: u64 = 60_000_000;
