//! What one sharer of a cap has used: an even flow, or a window that slides. Time is an argument; nothing is stored.
//!
//! A window holds spells: what was used within a 128th of it is one spell, which leaves with its last moment. So no
//! window of that length, wherever it begins, ever holds more than the budget, and what was used frees at most a 128th
//! of the window late.

use clyra_policy::Limit;
use std::collections::VecDeque;

/// What was used, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meter {
    spells: VecDeque<Spell>,
    /// Units of all spells.
    total: u64,
    /// For a flow: when the bucket is full again, nanoseconds.
    full_at_ns: u128,
    /// The latest moment seen; time does not run back.
    latest_us: u64,
}

/// Units used within a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spell {
    pub(super) first_us: u64,
    pub(super) last_us: u64,
    pub(super) units: u64,
}

impl Meter {
    /// Units that may be used now.
    pub(super) fn room(&mut self, limit: Limit, now_us: u64) -> u64 {
        let now_us = self.pass_time(limit, now_us);
        match limit {
            Limit::Budget { amount, .. } => amount.saturating_sub(self.total),
            Limit::Rate { burst, .. } => {
                let (each, now) = (each_ns(limit), u128::from(now_us) * 1_000);
                let owed = self.full_at_ns.saturating_sub(now);
                let room = (u128::from(burst) * each).saturating_sub(owed) / each;
                u64::try_from(room).unwrap_or(u64::MAX)
            }
        }
    }

    /// Uses units, all of them or none.
    pub(super) fn take(&mut self, limit: Limit, now_us: u64, units: u64) -> bool {
        let fits = units <= self.room(limit, now_us);
        if fits {
            self.add(limit, self.latest_us, units);
        }
        fits
    }

    /// Counts units as used, whether or not there is room.
    pub(super) fn add(&mut self, limit: Limit, at_us: u64, units: u64) {
        if units == 0 {
            return;
        }
        match limit {
            Limit::Rate { .. } => {
                let now = u128::from(at_us) * 1_000;
                self.full_at_ns = self.full_at_ns.max(now) + u128::from(units) * each_ns(limit);
            }
            Limit::Budget { window_us, .. } => {
                self.total = self.total.saturating_add(units);
                match self.spells.back_mut() {
                    Some(last) if at_us < last.first_us.saturating_add(window_us / SPELLS) => {
                        last.units = last.units.saturating_add(units);
                        last.last_us = last.last_us.max(at_us);
                    }
                    _ => self.spells.push_back(Spell { first_us: at_us, last_us: at_us, units }),
                }
            }
        }
    }

    /// Gives back units that were used at `at_us` and turned out not to be.
    pub(super) fn give_back(&mut self, limit: Limit, at_us: u64, units: u64) {
        if let Limit::Rate { .. } = limit {
            self.full_at_ns = self.full_at_ns.saturating_sub(u128::from(units) * each_ns(limit));
            return;
        }
        // What has left its window is not there to be given back.
        let spell = self.spells.iter_mut().rev().find(|spell| spell.first_us <= at_us);
        if let Some(spell) = spell.filter(|spell| at_us <= spell.last_us) {
            let back = units.min(spell.units);
            spell.units -= back;
            self.total -= back;
        }
    }

    /// When so many units will fit; `None` where they never will.
    pub(super) fn frees_at_us(&self, limit: Limit, units: u64) -> Option<u64> {
        match limit {
            Limit::Rate { burst, .. } => {
                let each = each_ns(limit);
                let spare = u128::from(burst.checked_sub(units)?) * each;
                u64::try_from(self.full_at_ns.saturating_sub(spare).div_ceil(1_000)).ok()
            }
            Limit::Budget { amount, window_us } => {
                let mut left = self.total.saturating_sub(amount.checked_sub(units)?);
                for spell in &self.spells {
                    if left <= spell.units {
                        return Some(spell.last_us.saturating_add(window_us));
                    }
                    left -= spell.units;
                }
                None
            }
        }
    }

    /// Units used within the window.
    pub(super) fn used(&self) -> u64 {
        self.total
    }

    /// Nothing is used that still counts.
    pub(super) fn is_free(&mut self, limit: Limit, now_us: u64) -> bool {
        let now_us = self.pass_time(limit, now_us);
        self.total == 0 && self.full_at_ns <= u128::from(now_us) * 1_000
    }

    /// The spells that still count, oldest first.
    pub(super) fn spells(&self) -> impl Iterator<Item = Spell> {
        self.spells.iter().copied()
    }

    fn pass_time(&mut self, limit: Limit, now_us: u64) -> u64 {
        self.latest_us = self.latest_us.max(now_us);
        if let Limit::Budget { window_us, .. } = limit {
            while let Some(oldest) = self.spells.front() {
                if oldest.last_us.saturating_add(window_us) > self.latest_us {
                    break;
                }
                self.total = self.total.saturating_sub(oldest.units);
                self.spells.pop_front();
            }
        }
        self.latest_us
    }
}

/// Nanoseconds in which a flow lets one unit through.
fn each_ns(limit: Limit) -> u128 {
    match limit {
        Limit::Rate { amount, period_us, .. } => {
            (u128::from(period_us) * 1_000 / u128::from(amount.max(1))).max(1)
        }
        Limit::Budget { .. } => 1,
    }
}

/// A window is told apart in so many parts.
const SPELLS: u64 = 128;
