//! Remembers the facts of texts seen before, by their exact bytes; it never takes one text for another.

use super::Facts;
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

/// Facts by text, shared between threads and bounded in entries and bytes.
#[derive(Debug)]
pub struct FactsMemo {
    cache: Cache<Box<[u8]>, Arc<Facts>, ByBytes>,
}

impl FactsMemo {
    /// A memo for about `entries` texts whose texts and facts take about `bytes`.
    pub fn new(entries: usize, bytes: usize) -> Self {
        let capacity = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self { cache: Cache::with_weighter(entries, capacity, ByBytes) }
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
struct ByBytes;

impl Weighter<Box<[u8]>, Arc<Facts>> for ByBytes {
    fn weight(&self, text: &Box<[u8]>, facts: &Arc<Facts>) -> u64 {
        let _ = facts;
        u64::try_from(text.len()).unwrap_or(u64::MAX).saturating_add(ENTRY_BYTES)
    }
}

const TEXT_BYTES_MAX: usize = 64 << 10;
const ENTRY_BYTES: u64 = 512;
