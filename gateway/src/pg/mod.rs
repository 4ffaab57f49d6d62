//! The PostgreSQL door: listens, spreads connections over the worker threads, and drains at the end. It decides nothing.
//!
//! Each worker is one thread with its own single-threaded runtime: a session lives and dies on one thread, and no
//! message ever hops to another.

pub(crate) mod cancel;
mod login;
mod reach;

pub(crate) use login::Opened;

use crate::{Error, Settings, gate::Gate, login::Throttle, pool::Pool, secure::Secure, settings::Upstream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{net::SocketAddr, sync::Arc, thread::JoinHandle};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{JoinSet, LocalSet},
};

/// The door, open.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    shutdown: watch::Sender<bool>,
    acceptor: tokio::task::JoinHandle<()>,
    workers: Vec<JoinHandle<()>>,
    /// Told when a worker ends, wanted or not.
    fallen: Arc<Notify>,
}

/// What every session of the door shares.
#[derive(Clone, Debug)]
pub(crate) struct House {
    pub(crate) gate: Arc<Gate>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) secure: Arc<Secure>,
    pub(crate) limits: Limits,
    /// Who has failed to log in of late.
    pub(crate) throttle: Arc<Throttle>,
    /// Where connections to the server are shared.
    pub(crate) pool: Option<Arc<Pool>>,
    /// One for each client that may be in.
    pub(crate) seats: Arc<Semaphore>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Bounds of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most clients at once.
    pub clients_max: usize,
    /// How long a client may take to say what it wants, and again to log in.
    pub login_max: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients_max: 10_000, login_max: std::time::Duration::from_secs(60) }
    }
}

/// A client's place; free again when dropped.
pub(crate) type Seat = OwnedSemaphorePermit;

/// A connection that was accepted, and its place among them.
type Arrived = (std::net::TcpStream, OwnedSemaphorePermit);

impl Door {
    pub(crate) async fn open(
        settings: &Settings,
        gate: Arc<Gate>,
        secure: Arc<Secure>,
        runtime: &Handle,
    ) -> Result<Self, Error> {
        raise_file_limit();
        let listen = |source| Error::Listen { addr: settings.listen, purpose: "PostgreSQL clients", source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let (shutdown, watch) = watch::channel(false);
        let upstream = Arc::new(settings.upstream.clone());
        let pool = settings.pool.map(|pool| {
            let (upstream, secure) = (Arc::clone(&upstream), Arc::clone(&secure));
            Arc::new(Pool::new(pool, upstream, secure, gate.metrics.of_pools()))
        });
        let limits = settings.limits;
        let places = Arc::new(Semaphore::new(
            limits.clients_max.saturating_add(PLACES_MORE).min(Semaphore::MAX_PERMITS),
        ));
        let seats = Arc::new(Semaphore::new(limits.clients_max.min(Semaphore::MAX_PERMITS)));
        let house = House {
            gate,
            upstream,
            secure: Arc::clone(&secure),
            limits,
            pool,
            throttle: Arc::new(Throttle::new()),
            seats,
            shutdown: watch,
        };
        let fallen = Arc::new(Notify::new());
        let mut queues = Vec::new();
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let (queue, arrivals) = mpsc::channel(ARRIVALS_MAX);
            queues.push(queue);
            let house = house.clone();
            let last = Last(Arc::clone(&fallen));
            let worker = std::thread::Builder::new()
                .name(format!("clyra-pg-{number}"))
                .spawn(move || {
                    let _last = last;
                    work(&house, arrivals);
                })
                .map_err(|_| Error::Stopped("worker thread"))?;
            workers.push(worker);
        }
        if let Some(pool) = &house.pool {
            runtime.spawn(Arc::clone(pool).swept(house.shutdown.clone()));
        }
        runtime.spawn(secure.watched(house.shutdown.clone()));
        let acceptor = runtime.spawn(accept(listener, queues, places, house.shutdown.clone()));
        Ok(Self { addr, shutdown, acceptor, workers, fallen })
    }

    /// Returns when a worker ends; until the door is closed that is a fault.
    pub(crate) async fn fallen(&self) {
        self.fallen.notified().await;
    }

    /// Takes no more clients, ends idle sessions at once and busy ones when they become idle or the grace is over.
    pub(crate) async fn close(self) {
        let _ = self.shutdown.send(true);
        let _ = self.acceptor.await;
        let joined = tokio::task::spawn_blocking(move || {
            for worker in self.workers {
                let _ = worker.join();
            }
        });
        let _ = joined.await;
    }
}

/// Takes as many files as the system allows: each client needs two, and soft limits are often 1,024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where the system says no, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Says that its thread has ended, also when it panicked.
struct Last(Arc<Notify>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn accept(
    listener: TcpListener,
    queues: Vec<mpsc::Sender<Arrived>>,
    places: Arc<Semaphore>,
    mut shutdown: watch::Receiver<bool>,
) {
    for queue in queues.iter().cycle() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|down| *down) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                // Beyond all bounds nobody can be answered any more; the kernel closes it.
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                if let Ok(stream) = stream.into_std() {
                    let _ = queue.send((stream, place)).await;
                }
            }
            // Out of file descriptors, or a client that left at once: breathe, then go on.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

fn work(house: &House, mut arrivals: mpsc::Receiver<Arrived>) {
    let Ok(runtime) = Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()
    else {
        return;
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let mut sessions = JoinSet::new();
        let mut shutdown = house.shutdown.clone();
        loop {
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some((stream, place)) => {
                        let house = house.clone();
                        sessions.spawn_local(async move {
                            let _place = place;
                            login::welcome(house, stream).await;
                        });
                    }
                    None => break,
                },
                Some(_) = sessions.join_next() => {}
                _ = shutdown.wait_for(|down| *down) => break,
            }
        }
        let drained = async { while sessions.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, drained).await;
    });
}

/// Connections beyond the clients' seats: those that cancel, and those that are told that all seats are taken.
const PLACES_MORE: usize = 512;
/// Connections that wait for one worker before the kernel's own queue takes over.
const ARRIVALS_MAX: usize = 256;
/// Polls of tasks before the sockets are looked at again.
const EVENT_INTERVAL: u32 = 31;
/// How long busy sessions may go on after the door is closed.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);
