//! Carries durable batches to the recorder until it has acknowledged them; it never makes, changes or skips one.
//!
//! ```text
//! Hello ─▶ ◀─ Welcome(last held) │ batch ─▶ … at most 16 on the way … ◀─ ack │ away: wait, then Hello again
//! ```

use super::shelf::{Held, Parcel, Reader};
use super::{Error, State};
use clyra_proto::evidence::from_recorder::Says as Heard;
use clyra_proto::evidence::recorder_client::RecorderClient;
use clyra_proto::evidence::to_recorder::Says;
use clyra_proto::evidence::{Ack, FromRecorder, Hello, Refusal, ToRecorder, Welcome};
use clyra_seal::key::VerifyingKey;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// Goes to the recorder again and again, until the task is ended from outside.
pub(super) async fn run(state: Arc<State>, recorder: SocketAddr, key: VerifyingKey) {
    let mut pause = PAUSE_LEAST;
    loop {
        let mut progress = false;
        let end = trip(&state, recorder, &key, &mut progress).await;
        state.connected.store(false, Relaxed);
        if progress {
            pause = PAUSE_LEAST;
        }
        match end {
            End::Away => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MOST);
            }
            End::Refused { reason, detail } => {
                state.refusal.set(Some(format!("the recorder refuses this gateway: `{reason}`: {detail}")));
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// Why a trip ended.
enum End {
    /// The recorder is not there, or not well: try again soon.
    Away,
    /// It will not take this: somebody has to act.
    Refused { reason: String, detail: String },
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        let reason = if matches!(error, Error::Estranged { .. }) { "estranged" } else { "spool" };
        Self::Refused { reason: reason.to_owned(), detail: error.to_string() }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        match refusal.reason.as_str() {
            "closed" => Self::Away,
            _ => Self::Refused { reason: refusal.reason, detail: refusal.detail },
        }
    }
}

async fn trip(state: &Arc<State>, recorder: SocketAddr, key: &VerifyingKey, progress: &mut bool) -> End {
    let dialled = timeout(WELCOME_WAIT, dial(recorder, key)).await;
    let Ok(Some((to, mut from, welcome))) = dialled else { return End::Away };
    let welcome = match welcome {
        Heard::Welcome(welcome) => welcome,
        Heard::Refusal(refusal) => return refusal.into(),
        Heard::Ack(_) => return End::Away,
    };
    let Some(held) = held(&welcome) else { return End::Away };
    let (shelf, key) = (Arc::clone(&state.shelf), key.clone());
    let reader = match blocking(move || shelf.reader_after(&held, &key)).await {
        Ok(reader) => reader,
        Err(end) => return end,
    };
    state.shelf.ack(reader.total(&state.shelf));
    state.note_acked(held.epoch, held.seq);
    state.connected.store(true, Relaxed);
    *progress = true;
    carry(state, &to, &mut from, reader).await
}

/// Connects, says Hello and hears the first word of the recorder.
async fn dial(
    recorder: SocketAddr,
    key: &VerifyingKey,
) -> Option<(mpsc::Sender<ToRecorder>, Streaming<FromRecorder>, Heard)> {
    let channel = Endpoint::from_shared(format!("http://{recorder}"))
        .ok()?
        .tcp_nodelay(true)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .connect_timeout(CONNECT_WAIT)
        .connect()
        .await
        .ok()?;
    let mut client = RecorderClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (to, out) = mpsc::channel(WINDOW + 1);
    let hello = Hello { gateway: key.name().to_owned(), key: key.to_string() };
    to.send(ToRecorder { says: Some(Says::Hello(hello)) }).await.ok()?;
    let mut from = client.record(ReceiverStream::new(out)).await.ok()?.into_inner();
    let first = from.message().await.ok()??.says?;
    Some((to, from, first))
}

fn held(welcome: &Welcome) -> Option<Held> {
    let digest =
        if welcome.previous.is_empty() { [0; 32] } else { welcome.previous.as_ref().try_into().ok()? };
    Some(Held { epoch: welcome.epoch, seq: welcome.seq, digest })
}

/// Sends what is durable and hears the acks, until the stream ends.
async fn carry(
    state: &Arc<State>,
    to: &mpsc::Sender<ToRecorder>,
    from: &mut Streaming<FromRecorder>,
    mut reader: Reader,
) -> End {
    let mut more = state.shelf.listen();
    let mut window: VecDeque<Sent> = VecDeque::with_capacity(WINDOW);
    loop {
        more.borrow_and_update();
        let room = WINDOW - window.len();
        let mut drained = false;
        if room > 0 {
            let shelf = Arc::clone(&state.shelf);
            let read = blocking(move || read(reader, &shelf, room)).await;
            let parcels;
            (reader, parcels) = match read {
                Ok(read) => read,
                Err(end) => return end,
            };
            drained = parcels.is_empty();
            for parcel in parcels {
                window.push_back(Sent { end: (parcel.epoch, parcel.last_seq), total: parcel.total });
                if to.send(ToRecorder { says: Some(Says::Batch(parcel.batch)) }).await.is_err() {
                    return End::Away;
                }
            }
        }
        if window.is_empty() {
            // All that the recorder refused once, it holds now.
            state.refusal.set(None);
        }
        if room > 0 && !drained && window.len() < WINDOW {
            continue;
        }
        tokio::select! {
            heard = hear(from, !window.is_empty()) => match heard {
                Ok(ack) => match window.pop_front() {
                    Some(sent) if sent.end == (ack.epoch, ack.seq) => state.acked(&sent),
                    _ => return End::Away,
                },
                Err(end) => return end,
            },
            changed = more.changed(), if drained => if changed.is_err() { return End::Away },
        }
    }
}

impl State {
    fn acked(&self, sent: &Sent) {
        self.shelf.ack(sent.total);
        self.note_acked(sent.end.0, sent.end.1);
        self.refusal.set(None);
    }

    fn note_acked(&self, epoch: u64, seq: u64) {
        if epoch == self.epoch {
            self.acked.store(seq, Relaxed);
        }
    }
}

/// A batch on its way.
struct Sent {
    /// Epoch and last seq, as its ack will name them.
    end: (u64, u64),
    /// The shelf's total behind it.
    total: u64,
}

/// The next ack. A recorder that owes one and says nothing for long counts as away.
async fn hear(from: &mut Streaming<FromRecorder>, owes: bool) -> Result<Ack, End> {
    let heard = if owes {
        timeout(ACK_WAIT, from.message()).await.map_err(|_| End::Away)?
    } else {
        from.message().await
    };
    match heard.ok().flatten().and_then(|answer| answer.says) {
        Some(Heard::Ack(ack)) => Ok(ack),
        Some(Heard::Refusal(refusal)) => Err(refusal.into()),
        Some(Heard::Welcome(_)) | None => Err(End::Away),
    }
}

/// Reads up to `room` batches, and no more bytes than should lie in memory at once.
fn read(
    mut reader: Reader,
    shelf: &super::shelf::Shelf,
    room: usize,
) -> Result<(Reader, Vec<Parcel>), Error> {
    shelf.sweep(false);
    let start = reader.total(shelf);
    let mut parcels = Vec::new();
    while parcels.len() < room {
        let Some(parcel) = reader.next(shelf)? else { break };
        let enough = parcel.total.saturating_sub(start) >= READ_BYTES_MAX;
        parcels.push(parcel);
        if enough {
            break;
        }
    }
    Ok((reader, parcels))
}

/// Runs what may wait for the disk where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, End> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(End::from),
        Err(_) => Err(End::Away),
    }
}

const WINDOW: usize = 16;
const READ_BYTES_MAX: u64 = 8 << 20;
const MESSAGE_BYTES_MAX: usize = 16 << 20;
const HTTP2_WINDOW_BYTES: u32 = 16 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT_WAIT: Duration = Duration::from_secs(2);
const WELCOME_WAIT: Duration = Duration::from_secs(10);
const ACK_WAIT: Duration = Duration::from_secs(30);
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(2);
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
