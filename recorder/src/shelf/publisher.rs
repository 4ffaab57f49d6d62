//! The thread that publishes: at most once a second, when asked, and at the end. It never holds up the writer.

use super::{Published, Shelf};
use crate::Error;
use crate::log::SharedTip;
use std::fs::File;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How to reach the thread.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    ask: Sender<oneshot::Sender<Result<(), String>>>,
    newest: Newest,
}

/// The newest checkpoint, for those who only look.
#[derive(Clone, Debug)]
pub(crate) struct Newest(Arc<Mutex<Option<Published>>>);

impl Newest {
    /// The newest checkpoint; none while the log is empty.
    pub(crate) fn look(&self) -> Option<Published> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, shelf: &Shelf) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = shelf.published().cloned();
    }
}

impl Publisher {
    /// Starts the thread; it ends, after a last publication, when all handles are gone, and holds `lock` until then.
    pub(crate) fn start(
        shelf: Shelf,
        tip: SharedTip,
        failed: watch::Sender<Option<String>>,
        lock: Arc<File>,
    ) -> Result<(Self, JoinHandle<Result<(), Error>>), Error> {
        let (ask, asked) = channel();
        let newest = Newest(Arc::new(Mutex::new(shelf.published().cloned())));
        let shown = newest.clone();
        let thread = thread::Builder::new()
            .name("clyra-publish".into())
            .spawn(move || {
                let ended = live(shelf, &tip, &asked, &shown, &failed);
                drop(lock);
                ended
            })
            .map_err(Error::file("start a thread for", std::path::Path::new("the publisher")))?;
        Ok((Self { ask, newest }, thread))
    }

    /// The newest checkpoint.
    pub(crate) fn newest(&self) -> Option<Published> {
        self.newest.look()
    }

    /// The newest checkpoint for one who must not keep the publisher alive.
    pub(crate) fn shown(&self) -> Newest {
        self.newest.clone()
    }

    /// Publishes now all that is durable now.
    pub(crate) async fn publish(&self) -> Result<Option<Published>, Error> {
        let stopped = || Error::Stopped { why: "the publisher has ended".into() };
        let (tell, told) = oneshot::channel();
        self.ask.send(tell).map_err(|_| stopped())?;
        told.await.map_err(|_| stopped())?.map_err(|why| Error::Stopped { why })?;
        Ok(self.newest())
    }
}

fn live(
    mut shelf: Shelf,
    tip: &SharedTip,
    asked: &Receiver<oneshot::Sender<Result<(), String>>>,
    newest: &Newest,
    failed: &watch::Sender<Option<String>>,
) -> Result<(), Error> {
    let mut failures = 0;
    loop {
        let asker = match asked.recv_timeout(EVERY) {
            Ok(asker) => Some(asker),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let last = shelf.publish(tip);
                newest.show(&shelf);
                return last;
            }
        };
        let done = shelf.publish(tip).map_err(|error| (fatal(&error), error.to_string()));
        newest.show(&shelf);
        failures = if done.is_ok() { 0 } else { failures + 1 };
        if let Err((fatal, why)) = &done
            && (*fatal || failures >= FAILURES_MAX)
        {
            failed.send_replace(Some(why.clone()));
        }
        if let Some(asker) = asker {
            // Whoever asked may have gone.
            let _ = asker.send(done.map_err(|(_, why)| why));
        }
    }
}

/// A fork or a contradiction does not go away; a full disk may.
fn fatal(error: &Error) -> bool {
    matches!(error, Error::Forked { .. } | Error::Mismatch { .. } | Error::Damaged { .. })
}

const EVERY: Duration = Duration::from_secs(1);
/// Publications that may fail in a row before the recorder gives up.
const FAILURES_MAX: u32 = 10;
