//! Reads the guards that are settled at run time: bounds of rows and cost, and velocity caps; it never counts.

use crate::duty::{Cap, Charge, Limit, Per, Unit};
use crate::file::fields::{Fault, Fields, number, text, word};
use crate::file::yaml::{Spot, Yaml};
use crate::guard::Guard;
use clyra_spec::limits::WHOLE_NUMBER_MAX;

/// Reads the value of one of these keys.
pub(super) fn charge(key: &str, value: &Spot<Yaml>) -> Result<Guard, Fault> {
    match key {
        "max_rows_written" => number(value, WHOLE_NUMBER_MAX).map(Charge::RowsWritten),
        "max_rows_returned" => number(value, WHOLE_NUMBER_MAX).map(Charge::RowsReturned),
        "max_cost" => cost(value),
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
