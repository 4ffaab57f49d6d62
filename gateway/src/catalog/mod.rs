//! What the databases behind the gate define, kept fresh beside the data path: one place for each database, with an
//! immutable snapshot behind one pointer. Judging only looks at it; asking the server is the keeper's.
//!
//! Known hole: a definition that is changed past the gateway is seen at the next look at the database, not before; and
//! one that a function changes by a text that nobody has read counts as such a change.

mod doubt;
mod keeper;
mod room;
mod server;
mod sight;

pub(crate) use doubt::Doubt;
pub(crate) use sight::{Lack, Sight, Stamp};

use crate::{
    secure::Secure,
    settings::{CatalogSettings, CatalogSource, Upstream},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use clyra_policy::{Catalog, Facts, Naming};
use quick_cache::{Weighter, sync::Cache};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};

/// The catalogs of one gateway.
#[derive(Debug)]
pub(crate) struct Catalogs {
    settings: Arc<CatalogSettings>,
    upstream: Arc<Upstream>,
    secure: Arc<Secure>,
    runtime: Handle,
    shutdown: watch::Sender<bool>,
    places: Mutex<BTreeMap<String, Arc<Place>>>,
}

/// What is known of one database.
pub(crate) struct Place {
    pub(crate) database: String,
    now: ArcSwapOption<Snapshot>,
    /// Changes that no snapshot holds yet; as good as always none.
    doubts: ArcSwap<Vec<Arc<Doubt>>>,
    /// Looks at the database that were begun.
    begun: AtomicU64,
    /// The last one that was brought to its end.
    ended: watch::Sender<u64>,
    wake: Notify,
    /// It is read from a server, which can be looked at when somebody waits.
    pub(crate) is_live: bool,
    failures: AtomicU64,
    /// Functions that nobody knows, and when they were last looked for; asked for only when one is called.
    missed: Mutex<BTreeMap<Box<str>, Instant>>,
    /// Why the last look failed, if it did.
    failed: ArcSwapOption<String>,
    age_max: Duration,
    /// Facts as they were widened before, by where the facts stand and how names were resolved.
    wide: Cache<(usize, u128), Widened, ByBytes>,
}

/// How the catalog of one database stands.
#[derive(Clone, Debug)]
pub(crate) struct CatalogStand {
    pub(crate) database: String,
    pub(crate) number: u64,
    /// Rules about names are judged by it.
    pub(crate) is_held: bool,
    /// Since when it is not known any more whether it holds; `None` before it was ever read.
    pub(crate) age: Option<Duration>,
    pub(crate) failures: u64,
    /// Why the last look failed, if it did.
    pub(crate) failure: String,
    /// Changes that it does not hold yet.
    pub(crate) pending: usize,
}

/// A snapshot in use.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) catalog: Arc<Catalog>,
    /// It differs from all others that this process has had.
    pub(crate) number: u64,
    /// When it was last known to hold.
    pub(crate) held_at: Instant,
    /// What the server's digest was.
    digest: Box<str>,
}

/// The facts that were widened, which keep their address theirs, and what came of it.
#[derive(Clone)]
struct Widened(Arc<Facts>, Arc<Facts>);

impl Catalogs {
    pub(crate) fn new(
        settings: CatalogSettings,
        upstream: Upstream,
        secure: Arc<Secure>,
        runtime: Handle,
    ) -> Self {
        let (shutdown, _) = watch::channel(false);
        let (settings, upstream) = (Arc::new(settings), Arc::new(upstream));
        Self { settings, upstream, secure, runtime, shutdown, places: Mutex::default() }
    }

    /// The place of a database; from its first use on it is kept fresh.
    pub(crate) fn place(&self, database: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(database) {
            return Arc::clone(place);
        }
        let is_live = !matches!(self.settings.source, CatalogSource::File(_));
        let place = Arc::new(Place::new(database, self.settings.age_max, is_live));
        places.insert(database.to_owned(), Arc::clone(&place));
        let keeper = keeper::Keeper {
            place: Arc::clone(&place),
            settings: Arc::clone(&self.settings),
            upstream: Arc::clone(&self.upstream),
            secure: Arc::clone(&self.secure),
        };
        self.runtime.spawn(keeper.keep(self.shutdown.subscribe()));
        place
    }

    /// How the places stand, for people.
    pub(crate) fn stands(&self) -> Vec<CatalogStand> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.values().map(|place| place.stand()).collect()
    }

    /// Looks at no database any more.
    pub(crate) fn close(&self) {
        let _ = self.shutdown.send(true);
    }
}

impl Place {
    fn new(database: &str, age_max: Duration, is_live: bool) -> Self {
        Self {
            database: database.to_owned(),
            now: ArcSwapOption::empty(),
            doubts: ArcSwap::default(),
            begun: AtomicU64::new(0),
            ended: watch::channel(0).0,
            wake: Notify::new(),
            is_live,
            failures: AtomicU64::new(0),
            missed: Mutex::default(),
            failed: ArcSwapOption::empty(),
            age_max,
            wide: Cache::with_weighter(WIDE_MAX, WIDE_BYTES_MAX, ByBytes),
        }
    }

    /// The snapshot, unless it is too old to be judged by.
    pub(crate) fn snapshot(&self, now: Instant) -> Option<Arc<Snapshot>> {
        self.now.load_full().filter(|one| now.saturating_duration_since(one.held_at) <= self.age_max)
    }

    /// The facts with everything that they stand for.
    pub(crate) fn wide(&self, facts: &Arc<Facts>, naming: &Naming) -> Arc<Facts> {
        let key = (Arc::as_ptr(facts) as usize, naming.key());
        if let Some(Widened(_, wide)) = self.wide.get(&key) {
            return wide;
        }
        let wide = Arc::new(naming.widen(facts));
        self.wide.insert(key, Widened(Arc::clone(facts), Arc::clone(&wide)));
        wide
    }

    /// Has the database looked at, from now on, and waits for the end of it; false when it does not come in time.
    pub(crate) async fn look(&self, deadline: Instant) -> bool {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        self.wake.notify_one();
        let looked = ended.wait_for(|number| *number >= wanted);
        tokio::time::timeout_at(deadline.into(), looked).await.is_ok_and(|looked| looked.is_ok())
    }

    /// Whether a function that nobody knows is worth a look: not when it was looked for a moment ago.
    pub(crate) fn is_missed(&self, name: &str, now: Instant) -> bool {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.get(name).is_some_and(|at| now.saturating_duration_since(*at) < MISSED_EVERY) {
            return false;
        }
        if missed.len() >= MISSED_MAX {
            missed.clear();
        }
        missed.insert(name.into(), now);
        true
    }

    /// The last look at the database did not fail, so that another one may tell more.
    pub(crate) fn answers(&self) -> bool {
        self.failed.load().is_none()
    }

    /// Something was changed that somebody may have to know soon.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn stand(&self) -> CatalogStand {
        let now = self.now.load();
        let age = now.as_ref().map(|one| one.held_at.elapsed());
        let failed = self.failed.load_full();
        CatalogStand {
            database: self.database.clone(),
            number: now.as_ref().map_or(0, |one| one.number),
            is_held: age.is_some_and(|age| age <= self.age_max),
            age,
            failures: self.failures.load(Ordering::Relaxed),
            failure: failed.map_or_else(String::new, |why| String::clone(&why)),
            pending: self.doubts.load().len(),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("database", &self.database).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(usize, u128), Widened> for ByBytes {
    fn weight(&self, _: &(usize, u128), Widened(facts, wide): &Widened) -> u64 {
        u64::try_from(facts.bytes() + wide.bytes()).unwrap_or(u64::MAX).max(1)
    }
}

/// How often, at most, a database is looked at for a function that nobody knows, and for how many of them.
const MISSED_EVERY: Duration = Duration::from_secs(1);
const MISSED_MAX: usize = 1_000;
/// Facts that are remembered as widened, for each database.
const WIDE_MAX: usize = 20_000;
const WIDE_BYTES_MAX: u64 = 32 << 20;
