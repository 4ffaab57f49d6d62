//! The recorder as a whole: opens its data, listens, stops in order. It never starts on data that another one uses.

use crate::Error;
use crate::cut::Cutter;
use crate::http::{self, Reading};
use crate::index::Index;
use crate::intake::Intake;
use crate::intake::makers::Makers;
use crate::log::{self, Log};
use crate::shelf::Shelf;
use crate::shelf::publisher::Publisher;
use crate::shelf::store::Store;
use crate::witness::{self, Attendant};
use clyra_proto::evidence::recorder_server::RecorderServer;
use clyra_seal::key::{SigningKey, VerifyingKey};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::{task, time};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// What a recorder needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen for gateways and for those who want bundles; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to show the log over HTTP, for reading only; nowhere when absent.
    pub log_http: Option<SocketAddr>,
    /// Folder of keys, log and lock; made on first use.
    pub data: PathBuf,
    /// Trusted gateways as vkeys, beside those in the file `makers` of the data folder (one per line).
    pub makers: Vec<String>,
}

/// A recorder at work.
#[derive(Debug)]
pub struct Recorder {
    addr: SocketAddr,
    log_http: Option<SocketAddr>,
    log_key: VerifyingKey,
    bundle_key: VerifyingKey,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<Option<String>>,
    server: task::JoinHandle<Result<(), tonic::transport::Error>>,
    reading: Option<task::JoinHandle<std::io::Result<()>>>,
    attendant: task::JoinHandle<()>,
    writer: JoinHandle<()>,
    publisher: JoinHandle<Result<(), Error>>,
    _lock: Arc<File>,
}

impl Recorder {
    /// Opens the data folder, recovers what a crash left, and listens.
    ///
    /// # Errors
    /// When the folder is in use, damaged or cannot be written, a trusted key is malformed, or the address is taken.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        Self::start_with(settings, SEGMENT_BYTES).await
    }

    pub(crate) async fn start_with(settings: Settings, segment_bytes: u64) -> Result<Self, Error> {
        let (addr, listener) = listen(settings.listen).await?;
        let shown = match settings.log_http {
            Some(addr) => Some(listen(addr).await?),
            None => None,
        };
        let (runtime, witness_file) = (Handle::current(), settings.data.join("witnesses"));
        witness::read(&witness_file)?;
        let opened = task::spawn_blocking(move || Opened::open(&settings, segment_bytes, runtime));
        let opened = opened.await.map_err(|fault| Error::Stopped { why: fault.to_string() })??;
        let Opened { lock, log_key, bundle_key, makers, store, shelf, log, index } = opened;
        let (stop, stopping) = watch::channel(false);
        let (fail, failed) = watch::channel(None);
        let tip = log.tip();
        let (cosign, cosigned) = watch::channel(None);
        let shelf = shelf.cosigned(cosigned.clone());
        let (publisher, publishing) =
            Publisher::start(shelf, Arc::clone(&tip), fail.clone(), Arc::clone(&lock))?;
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let held = Arc::clone(&lock);
        let writer = thread::Builder::new().name("clyra-write".into()).spawn(move || {
            log::write(log, waiting, &fail);
            drop(held);
        });
        let writer = writer.map_err(Error::file("start a thread for", Path::new("the writer")))?;
        let (log_key, bundle) = (log_key.verifying(), bundle_key.verifying());
        let cutter = Arc::new(Cutter {
            store,
            makers: Arc::clone(&makers),
            log_key: log_key.clone(),
            bundle_key,
            index,
            one: Mutex::new(()),
        });
        let (newest, store, file) = (publisher.shown(), cutter.store.clone(), witness_file.clone());
        let attendant =
            tokio::spawn(Attendant { newest, store, file, tell: cosign }.attend(stopping.clone()));
        let log_http = shown.as_ref().map(|(addr, _)| *addr);
        let reading = shown.map(|(_, listener)| {
            let reading = Reading::new(Arc::clone(&cutter), publisher.shown());
            tokio::spawn(http::serve(listener, reading, stopping.clone()))
        });
        let intake = Intake {
            makers,
            jobs,
            tip,
            publisher,
            cutter,
            cosigned,
            witness_file,
            log_key: log_key.clone(),
            stop: stopping.clone(),
        };
        let server = tokio::spawn(serve(listener, intake, stopping));
        Ok(Self {
            addr,
            log_http,
            log_key,
            bundle_key: bundle,
            stop,
            failed,
            server,
            reading,
            attendant,
            writer,
            publisher: publishing,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it shows the log over HTTP.
    pub fn log_http(&self) -> Option<SocketAddr> {
        self.log_http
    }

    /// The key that signs checkpoints, as a vkey.
    pub fn log_key(&self) -> String {
        self.log_key.to_string()
    }

    /// The key that signs bundles, as a vkey.
    pub fn bundle_key(&self) -> String {
        self.bundle_key.to_string()
    }

    /// Waits until the recorder can no longer do its work: a write or sync failed, or another recorder forked the log. It
    /// refuses all batches from then on; the process should stop.
    pub async fn failed(&self) -> Error {
        let mut failed = self.failed.clone();
        let why = match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "its threads have ended".into(),
        };
        Error::Stopped { why }
    }

    /// Ends all streams, publishes what is durable and lets go of the data.
    ///
    /// # Errors
    /// When the last publication fails, or the recorder had failed before. All that was acknowledged is durable even then.
    pub async fn stop(self) -> Result<(), Error> {
        self.stop.send_replace(true);
        let ended = |fault: task::JoinError| Error::Stopped { why: fault.to_string() };
        let mut server = self.server;
        match time::timeout(FAREWELL, &mut server).await {
            Ok(served) => served.map_err(ended)??,
            // Somebody who does not take its bundle must not keep the log open.
            Err(_) => server.abort(),
        }
        if let Some(mut reading) = self.reading {
            // A reader that stays must not keep the log open either.
            if time::timeout(READERS_FAREWELL, &mut reading).await.is_err() {
                reading.abort();
            }
        }
        self.attendant.abort();
        let (writer, publisher) = (self.writer, self.publisher);
        let panicked = |_| Error::Stopped { why: "a thread panicked".into() };
        let joined = task::spawn_blocking(move || {
            writer.join().map_err(panicked)?;
            publisher.join().map_err(panicked)?
        });
        joined.await.map_err(ended)??;
        match &*self.failed.borrow() {
            Some(why) => Err(Error::Stopped { why: why.clone() }),
            None => Ok(()),
        }
    }
}

async fn listen(wanted: SocketAddr) -> Result<(SocketAddr, TcpListener), Error> {
    let fault = |source| Error::Listen { addr: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(fault)?;
    Ok((listener.local_addr().map_err(fault)?, listener))
}

async fn serve(
    listener: TcpListener,
    intake: Intake,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let service = RecorderServer::new(intake).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let stop = async move {
        // A recorder that is dropped stops as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
}

/// All that stands on disk, opened in order.
struct Opened {
    lock: Arc<File>,
    log_key: Arc<SigningKey>,
    bundle_key: SigningKey,
    makers: Arc<Makers>,
    store: Store,
    shelf: Shelf,
    log: Log,
    index: Index,
}

impl Opened {
    fn open(settings: &Settings, segment_bytes: u64, runtime: Handle) -> Result<Self, Error> {
        let data = &settings.data;
        fs::create_dir_all(data).map_err(Error::file("make", data))?;
        let lock = Arc::new(lock(data)?);
        let makers = Arc::new(Makers::new(&settings.makers, data.join("makers"))?);
        let log_key = Arc::new(SigningKey::load_or_generate(&data.join("log.key"), "clyra-log")?);
        let bundle_key = SigningKey::load_or_generate(&data.join("bundle.key"), "clyra-recorder")?;
        let store = Store::open(&data.join("log"), runtime)?;
        let wal = data.join("wal");
        let (shelf, base) = Shelf::open(store.clone(), Arc::clone(&log_key), wal.clone(), segment_bytes)?;
        let log = Log::open(&wal, &base, shelf.won(), segment_bytes)?;
        let index = Index::open(&index_path(data))?;
        Ok(Self { lock, log_key, bundle_key, makers, store, shelf, log, index })
    }
}

/// The index of this data folder.
pub(crate) fn index_path(data: &Path) -> PathBuf {
    data.join("index.redb")
}

/// Takes the data folder for this process alone.
pub(crate) fn lock(data: &Path) -> Result<File, Error> {
    let path = data.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Error::file("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse { path }),
        Err(error) => Err(Error::file("lock", &path)(error.into())),
    }
}

/// How long open calls may take to end when the recorder stops.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long readers may take to end when the recorder stops.
const READERS_FAREWELL: Duration = Duration::from_secs(2);
/// How often a silent gateway is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Bytes of a segment of the write-ahead log.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Batches that may wait for the writer.
const JOBS_MAX: usize = 256;
/// Largest message: a batch at its bounds, with room for its framing.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const WINDOW_BYTES: u32 = 4 << 20;
