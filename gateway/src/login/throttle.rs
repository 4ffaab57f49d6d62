//! Slows down whoever fails to log in again and again, by peer address and user. It never looks at who exists, and what it
//! knows is bounded: under a flood of addresses the oldest are forgotten.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// Failures of late.
#[derive(Debug)]
pub(crate) struct Throttle(quick_cache::sync::Cache<(IpAddr, Box<str>), Failures>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(KEYS_MAX))
    }

    /// How long this peer must wait before it may try again as this user, or as anybody.
    pub(crate) fn wait(&self, peer: IpAddr, user: &str, now: Instant) -> Option<Duration> {
        let wait = |user: &str, free: u32| {
            let failures = self.0.get(&(peer, user.into()))?;
            let over = failures.count.checked_sub(free)?;
            let pause = Duration::from_secs(1 << over.min(PAUSE_DOUBLINGS));
            pause.checked_sub(now.saturating_duration_since(failures.last)).filter(|left| !left.is_zero())
        };
        wait(user, FREE_AS_USER).max(wait(ANYBODY, FREE_AS_ANYBODY))
    }

    /// A login has failed.
    pub(crate) fn failed(&self, peer: IpAddr, user: &str, now: Instant) {
        for user in [user, ANYBODY] {
            let key = (peer, user.into());
            let before = self
                .0
                .get(&key)
                .filter(|before| now.saturating_duration_since(before.last) < FORGOTTEN_AFTER);
            let count = before.map_or(0, |before| before.count).saturating_add(1);
            self.0.insert(key, Failures { count, last: now });
        }
    }

    /// A login has been proved: its failures were slips.
    pub(crate) fn proved(&self, peer: IpAddr, user: &str) {
        self.0.remove(&(peer, user.into()));
    }
}

/// Stands for all users of a peer; a user's name is never empty.
const ANYBODY: &str = "";
/// Failures without a pause.
const FREE_AS_USER: u32 = 5;
const FREE_AS_ANYBODY: u32 = 50;
/// Pauses grow from 1 s to 64 s.
const PAUSE_DOUBLINGS: u32 = 6;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
const KEYS_MAX: usize = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let throttle = Throttle::new();
        let (peer, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let start = Instant::now();
        for _ in 0..4 {
            throttle.failed(peer, "ann", start);
        }
        assert_eq!(throttle.wait(peer, "ann", start), None);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 64] {
            throttle.failed(peer, "ann", start);
            assert_eq!(throttle.wait(peer, "ann", start), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(throttle.wait(peer, "ann", start + Duration::from_secs(64)), None);
        assert_eq!(throttle.wait(other, "ann", start), None);
        assert_eq!(throttle.wait(peer, "bob", start), None);
        throttle.proved(peer, "ann");
        assert_eq!(throttle.wait(peer, "ann", start), None);
        for number in 0..50 {
            throttle.failed(other, &format!("u{number}"), start);
        }
        assert!(throttle.wait(other, "bob", start).is_some(), "whoever tries many users waits for each");
        for number in 0..100_000_u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), "ann", start);
        }
        assert!(throttle.0.len() <= KEYS_MAX);
    }
}
