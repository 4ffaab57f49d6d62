//! Counts refusals for rules that raise the kill switch by themselves. It never raises it.

use clyra_policy::Breaker;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// When rules have refused, of late.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<Key, VecDeque<u64>>>);

/// A rule, and for whom it counts.
type Key = (Box<str>, Box<str>);

impl Breakers {
    /// Notes a refusal of `rule` for `whom`; true when there were too many.
    pub(crate) fn note(&self, rule: &str, whom: &str, breaker: Breaker, now_us: u64) -> bool {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = now_us.saturating_sub(breaker.window_us);
        let mut key: Key = (rule.into(), whom.into());
        if times.len() >= KEYS_MAX && !times.contains_key(&key) {
            times.retain(|_, list| list.back().is_some_and(|at| *at > now_us.saturating_sub(DAY_US)));
            if times.len() >= KEYS_MAX {
                // Whoever comes in crowds shares one count: it is too early rather than never.
                key.1 = "".into();
            }
        }
        let list = times.entry(key.clone()).or_default();
        while list.front().is_some_and(|at| *at <= old) {
            list.pop_front();
        }
        list.push_back(now_us);
        let broken = list.len() as u64 >= breaker.count;
        if broken {
            times.remove(&key);
        }
        broken
    }
}

/// Rules times callers of which refusals are remembered.
const KEYS_MAX: usize = 10_000;
const DAY_US: u64 = 86_400_000_000;
