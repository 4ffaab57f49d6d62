//! Remembers the facts of texts seen before, by their exact bytes; it never takes one text for another.

use crate::Facts;
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

/// Facts by text, shared between threads and bounded in entries and bytes.
#[derive(Debug)]
pub struct FactsMemo {
    cache: Cache<Box<[u8]>, Arc<Facts>, ByBytes>,
}

impl FactsMemo {
    /// A memo for at most `entries` texts whose texts and facts take at most about `bytes`.
    pub fn new(entries: usize, bytes: usize) -> Self {
        // The weight of an entry is never below its share, so that one bound holds both.
        let share = u64::try_from(bytes / entries.max(1)).unwrap_or(u64::MAX);
        let capacity = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self { cache: Cache::with_weighter(entries, capacity, ByBytes { share }) }
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
        self.cache.insert(sql.into(), Arc::clone(&facts));
        facts
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

#[cfg(test)]
mod tests {
    use super::FactsMemo;
    use std::sync::Arc;

    #[test]
    fn equal_bytes_share_facts_and_others_do_not() {
        let memo = FactsMemo::new(100, 1 << 20);
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
        assert!(memo.cache.len() <= 10);
        let long = format!("select '{}'", "x".repeat(70_000));
        assert!(!Arc::ptr_eq(&memo.of(long.as_bytes()), &memo.of(long.as_bytes())));
    }
}
