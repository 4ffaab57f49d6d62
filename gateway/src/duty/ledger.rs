//! Who has used how much of which cap, over all sessions of this gateway. It decides nothing; time is an argument.
//!
//! Everything goes through this one type, so that a store that gateways share can take its place. Budgets are written
//! ahead in slices of a 32nd: a slice is in the journal before a unit of it is used. After a crash a whole slice counts
//! as used, so that crash and restart never make more than the budget; at most a slice for each sharer is denied early.
//! Even flows begin anew with a process: at most one burst more.

use super::{
    journal::{Journal, Record, used_at},
    meter::Meter,
};
use crate::Error;
use clyra_policy::{Cap, Limit};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Keyed fingerprint of a rule and of who shares its cap.
pub(super) type Key = u128;

type Accounts = HashMap<Key, Account>;

/// The accounts of all sharers.
#[derive(Debug)]
pub(super) struct Ledger {
    /// Locked one at a time, and never while the journal's lock is held.
    shards: Box<[Mutex<Accounts>]>,
    /// Stands in where there is no such shard.
    spare: Mutex<Accounts>,
    /// Locked while a shard's lock may be held; whoever holds it takes no other.
    journal: Mutex<Journal>,
    /// The journal is being written anew.
    turning: AtomicBool,
}

/// What one sharer has used of one cap.
#[derive(Debug)]
struct Account {
    limit: Limit,
    meter: Meter,
    /// Units written ahead in the journal and not used.
    covered: u64,
    /// Nothing of it is kept: it only looks on.
    shadow: bool,
}

/// Why units are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The cap is spent.
    Spent {
        /// Units used within the window.
        used: u64,
        /// When so many will fit, microseconds since 1970 UTC; `None` for never.
        frees_at_us: Option<u64>,
    },
    /// The journal cannot be written, so that nothing may be used.
    NotKept,
    /// There are more sharers than are remembered.
    Crowded,
}

impl Ledger {
    /// The ledger as the journal left it.
    pub(super) fn open(path: PathBuf, now_us: u64) -> Result<Self, Error> {
        let (journal, records) = Journal::open(path)?;
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let ledger = Self {
            shards,
            spare: Mutex::default(),
            journal: Mutex::new(journal),
            turning: AtomicBool::new(false),
        };
        for (record, at_us) in used_at(&records, now_us) {
            if at_us.saturating_add(record.window_us) <= now_us {
                continue;
            }
            let limit = Limit::Budget { amount: u64::MAX, window_us: record.window_us };
            let mut shard = ledger.shard(record.key);
            let account = shard.entry(record.key).or_insert_with(|| Account::new(limit, false));
            account.meter.add(limit, at_us, record.units);
        }
        let anew = ledger.write_anew().and_then(|()| ledger.journal().clear());
        anew.map_err(|source| Error::Data { path: ledger.journal().path().to_owned(), source })?;
        Ok(ledger)
    }

    /// Units of the cap that are to be had now.
    pub(super) fn room(&self, key: Key, cap: &Cap, now_us: u64) -> u64 {
        let mut shard = self.shard(key);
        match shard.get_mut(&key) {
            Some(account) => account.under(cap.limit).room(cap.limit, now_us),
            None => Meter::default().room(cap.limit, now_us),
        }
    }

    /// Takes units, all of them or none.
    pub(super) fn take(
        &self,
        key: Key,
        cap: &Cap,
        shadow: bool,
        now_us: u64,
        units: u64,
    ) -> Result<(), Over> {
        let mut shard = self.shard(key);
        if !shard.contains_key(&key) {
            if shard.len() >= SHARERS_MAX / SHARDS {
                shard.retain(|_, account| !account.meter.is_free(account.limit, now_us));
                if shard.len() >= SHARERS_MAX / SHARDS {
                    return Err(Over::Crowded);
                }
            }
            shard.insert(key, Account::new(cap.limit, shadow));
        }
        let Some(account) = shard.get_mut(&key) else { return Err(Over::Crowded) };
        let meter = account.under(cap.limit);
        if units > meter.room(cap.limit, now_us) {
            return Err(Over::Spent { used: meter.used(), frees_at_us: meter.frees_at_us(cap.limit, units) });
        }
        if !self.covers(key, account, now_us, units) {
            return Err(Over::NotKept);
        }
        account.meter.take(cap.limit, now_us, units);
        Ok(())
    }

    /// Gives back units that were taken at `at_us` and not used.
    pub(super) fn give_back(&self, key: Key, cap: &Cap, at_us: u64, units: u64) {
        if let Some(account) = self.shard(key).get_mut(&key) {
            // In the journal they stay: a slice is used once, and then the next one is written.
            account.meter.give_back(cap.limit, at_us, units);
        }
    }

    /// Puts the journal on the disk, and writes it anew when it is long; to be called every few seconds.
    pub(super) fn upkeep(&self) {
        let mut journal = self.journal();
        // What cannot be kept shows at the next slice, which is then refused.
        let _ = journal.settle();
        if journal.is_long() && !self.turning.swap(true, Ordering::AcqRel) {
            let turned = journal.turn();
            drop(journal);
            if turned.is_ok() {
                let _ = self.write_anew();
            }
            self.turning.store(false, Ordering::Release);
        }
    }

    /// Writes down what was used, to the unit. For the end: what is taken later is not in it.
    pub(super) fn close(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values_mut().for_each(|account| account.covered = 0);
        }
        if self.journal().turn().is_ok() {
            let _ = self.write_anew();
        }
    }

    /// Whether the units may be used as far as the journal goes; writes the next slice where it must.
    fn covers(&self, key: Key, account: &mut Account, now_us: u64, units: u64) -> bool {
        let Limit::Budget { amount, window_us } = account.limit else { return true };
        if account.shadow {
            return true;
        }
        if account.covered < units {
            let slice = (amount / SLICES).max(units - account.covered);
            let record = Record { key, at_us: now_us, units: slice, window_us };
            if self.journal().write(record).is_err() {
                return false;
            }
            account.covered += slice;
        }
        account.covered -= units;
        true
    }

    /// Replaces everything before the journal's last turn by what the accounts hold.
    fn write_anew(&self) -> std::io::Result<()> {
        let mut records = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, account) in shard.iter().filter(|(_, account)| !account.shadow) {
                let Limit::Budget { window_us, .. } = account.limit else { continue };
                let of = |at_us, units| Record { key: *key, at_us, units, window_us };
                let mut last_us = 0;
                for spell in account.meter.spells() {
                    // A record was used up when the next one of its key was written.
                    records.extend([of(spell.first_us, spell.units), of(spell.last_us, 0)]);
                    last_us = spell.last_us;
                }
                if account.covered > 0 {
                    records.push(of(last_us, account.covered));
                }
            }
        }
        let path = self.journal().path().to_owned();
        Journal::replace(&path, &records)
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Accounts> {
        let place = usize::try_from(key % SHARDS as u128).unwrap_or(0);
        self.shards.get(place).unwrap_or(&self.spare).lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn new(limit: Limit, shadow: bool) -> Self {
        Self { limit, meter: Meter::default(), covered: 0, shadow }
    }

    /// The meter, under the limit that holds now: a policy may have changed it.
    fn under(&mut self, limit: Limit) -> &mut Meter {
        self.limit = limit;
        &mut self.meter
    }
}

const SHARDS: usize = 64;
/// Sharers that are remembered at once; beyond, those who have used nothing that still counts are forgotten.
const SHARERS_MAX: usize = 65_536;
/// A budget is written ahead in so many slices.
const SLICES: u64 = 32;
