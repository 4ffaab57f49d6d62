//! Keeps the snapshot of one database fresh: looks at it on a timer and when it is woken, cheaply at first, and reads all of
//! it when something has changed. What it cannot read, it leaves as it was, to grow old.

use super::{Place, Snapshot, server::Link};
use crate::{
    secure::Secure,
    settings::{CatalogSettings, CatalogSource, Upstream},
};
use clyra_policy::Catalog;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Who keeps one place.
pub(super) struct Keeper {
    pub(super) place: Arc<Place>,
    pub(super) settings: Arc<CatalogSettings>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) secure: Arc<Secure>,
}

impl Keeper {
    /// Looks again and again, until the gateway closes.
    pub(super) async fn keep(self, mut shutdown: watch::Receiver<bool>) {
        let mut link = None;
        loop {
            let looked = tokio::select! {
                looked = self.look(&mut link) => looked,
                _ = shutdown.wait_for(|down| *down) => return,
            };
            let pause = match looked {
                Ok(()) => self.settings.refresh,
                Err(why) => {
                    link = None;
                    self.place.failures.fetch_add(1, Ordering::Relaxed);
                    self.place.failed.store(Some(Arc::new(why)));
                    self.settings.refresh.min(RETRY_AFTER)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // After a failure nobody who waits makes it go faster.
                () = self.place.wake.notified(), if link.is_some() || !self.place.is_live => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
        }
    }

    async fn look(&self, link: &mut Option<Link>) -> Result<(), String> {
        let number = self.place.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let now = Instant::now();
        let known = self.place.now.load_full();
        let found = tokio::time::timeout(LOOK_MAX, self.find(link, known.as_deref())).await;
        let found =
            found.unwrap_or_else(|_| Err("the server does not tell its catalog in time".to_owned()))?;
        // A file that is the same as before says nothing of what has changed since.
        let seen = self.place.is_live || found.is_some();
        let snapshot = match (found, known) {
            (Some((catalog, digest)), _) => Snapshot {
                catalog: Arc::new(catalog),
                number: SNAPSHOTS.fetch_add(1, Ordering::SeqCst) + 1,
                held_at: now,
                digest,
            },
            (None, Some(known)) => Snapshot {
                catalog: Arc::clone(&known.catalog),
                number: known.number,
                held_at: now,
                digest: known.digest.clone(),
            },
            (None, None) => return Err("no catalog".to_owned()),
        };
        self.place.failed.store(None);
        self.place.now.store(Some(Arc::new(snapshot)));
        self.place.looked(number, seen);
        Ok(())
    }

    /// The catalog with its digest, unless it is the known one.
    async fn find(
        &self,
        link: &mut Option<Link>,
        known: Option<&Snapshot>,
    ) -> Result<Option<(Catalog, Box<str>)>, String> {
        if let CatalogSource::File(path) = &self.settings.source {
            return self.of_file(path, known);
        }
        let open = match link {
            Some(open) => open,
            None => link.insert(
                Link::open(&self.settings, &self.upstream, &self.secure, &self.place.database).await?,
            ),
        };
        let digest = open.ask(Catalog::DIGEST).await?;
        if known.is_some_and(|known| *known.digest == *digest) {
            return Ok(None);
        }
        // What changes between the two answers changes the digest once more.
        let answer = open.ask(Catalog::QUERY).await?;
        let read = tokio::task::spawn_blocking(move || Catalog::of_server(&answer)).await;
        let catalog =
            read.map_err(|_| "the catalog cannot be read".to_owned())?.map_err(|why| why.to_string())?;
        Ok(Some((catalog, digest.into())))
    }

    fn of_file(&self, path: &Path, known: Option<&Snapshot>) -> Result<Option<(Catalog, Box<str>)>, String> {
        let text = std::fs::read_to_string(path).map_err(|why| format!("`{}`: {why}", path.display()))?;
        let digest = blake3::hash(text.as_bytes()).to_hex();
        if known.is_some_and(|known| *known.digest == *digest.as_str()) {
            return Ok(None);
        }
        let catalog = Catalog::parse(&text).map_err(|why| format!("`{}`: {why}", path.display()))?;
        if catalog.database() != self.place.database {
            return Err(format!("`{}` is of the database `{}`", path.display(), catalog.database()));
        }
        Ok(Some((catalog, digest.as_str().into())))
    }
}

/// Snapshots of this process so far.
static SNAPSHOTS: AtomicU64 = AtomicU64::new(0);
/// How long one look may take.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How soon a server is tried again that did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);
