//! Remembers the facts of texts that come again, by their exact bytes; it never takes one text for another.
//!
//! A text is remembered when it comes the second time: clients that write values into their texts would otherwise turn
//! the whole memo over without ever being answered from it.

use crate::Facts;
use quick_cache::{Weighter, sync::Cache};
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Facts by text, shared between threads and bounded in entries and bytes.
#[derive(Debug)]
pub struct FactsMemo {
    cache: Cache<Box<[u8]>, Arc<Facts>, ByBytes>,
    /// Hashes of texts seen once, each in the place that it names. A wrong one costs a parse, nothing else.
    seen: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl FactsMemo {
    /// A memo for at most `entries` texts whose texts and facts take at most about `bytes`.
    pub fn new(entries: usize, bytes: usize) -> Self {
        // The weight of an entry is never below its share, so that one bound holds both.
        let share = u64::try_from(bytes / entries.max(1)).unwrap_or(u64::MAX);
        let capacity = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            cache: Cache::with_weighter(entries, capacity, ByBytes { share }),
            seen: (0..SEEN_PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The facts of `sql`, remembered or new. Texts above 64 KiB are not remembered.
    pub fn of(&self, sql: &[u8]) -> Arc<Facts> {
        if sql.len() > TEXT_BYTES_MAX {
            return Arc::new(Facts::of_postgres(sql));
        }
        if let Some(known) = self.cache.get(sql) {
            return known;
        }
        let facts = Arc::new(Facts::of_postgres(sql));
        if self.comes_again(sql) {
            self.cache.insert(sql.into(), Arc::clone(&facts));
        }
        facts
    }

    fn comes_again(&self, sql: &[u8]) -> bool {
        let hash = self.hasher.hash_one(sql);
        let place = usize::try_from(hash % SEEN_PLACES).unwrap_or_default();
        self.seen.get(place).is_some_and(|seen| seen.swap(hash, Relaxed) == hash)
    }
}

#[derive(Clone, Debug)]
struct ByBytes {
    share: u64,
}

impl Weighter<Box<[u8]>, Arc<Facts>> for ByBytes {
    fn weight(&self, text: &Box<[u8]>, facts: &Arc<Facts>) -> u64 {
        let bytes = text.len() + facts.bytes();
        u64::try_from(bytes).unwrap_or(u64::MAX).max(self.share).max(1)
    }
}

const TEXT_BYTES_MAX: usize = 64 << 10;
const SEEN_PLACES: u64 = 16_384;

#[cfg(test)]
mod tests {
    use super::FactsMemo;
    use std::sync::Arc;

    #[test]
    fn equal_bytes_share_facts_and_others_do_not() {
        let memo = FactsMemo::new(100, 1 << 20);
        assert!(
            !Arc::ptr_eq(&memo.of(b"select 1"), &memo.of(b"select 1")),
            "remembered at its second coming"
        );
        let first = memo.of(b"select 1");
        assert!(Arc::ptr_eq(&first, &memo.of(b"select 1")));
        for other in ["select 2", "select  1", "SELECT 1", "select 1;", "select 1\0"] {
            assert!(!Arc::ptr_eq(&first, &memo.of(other.as_bytes())), "{other:?}");
        }
    }

    #[test]
    fn stays_within_its_bounds() {
        let memo = FactsMemo::new(10, 1 << 20);
        for number in 0..100 {
            memo.of(format!("select {number}").as_bytes());
        }
        assert_eq!(memo.cache.len(), 0, "what comes once is not remembered");
        for number in 0..100 {
            memo.of(format!("select {number}").as_bytes());
        }
        assert!((1..=10).contains(&memo.cache.len()));
        let long = format!("select '{}'", "x".repeat(70_000));
        assert!(!Arc::ptr_eq(&memo.of(long.as_bytes()), &memo.of(long.as_bytes())));
    }
}
