//! The log over HTTP, for reading only: C2SP tlog-tiles paths, and one entry with its proofs by its id. It never changes
//! anything, and shows nothing that is not published.

use crate::Error;
use crate::cut::Cutter;
use crate::shelf::Published;
use crate::shelf::publisher::Newest;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use clyra_seal::bundle::{Item, Place};
use clyra_seal::{Hash, canonical, hex};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task;

/// What every answer is made from.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) cutter: Arc<Cutter>,
    pub(crate) newest: Newest,
    /// Readers at the disk at a time; the others wait, so that they cannot crowd out the gateways.
    pub(crate) turns: Arc<Semaphore>,
}

impl Reading {
    pub(crate) fn new(cutter: Arc<Cutter>, newest: Newest) -> Self {
        Self { cutter, newest, turns: Arc::new(Semaphore::new(READERS_MAX)) }
    }
}

/// Answers until the recorder stops.
pub(crate) async fn serve(
    listener: TcpListener,
    reading: Reading,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*place}", get(tile))
        .route("/entry/{id}", get(entry))
        .with_state(reading);
    let stop = async move {
        // A recorder that is dropped stops as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn checkpoint(State(reading): State<Reading>) -> Response {
    match reading.newest.look() {
        Some(published) => answer("text/plain; charset=utf-8", CHANGING, published.note.into_bytes()),
        None => nothing("the log is empty"),
    }
}

async fn tile(State(reading): State<Reading>, Path(place): Path<String>) -> Response {
    if !is_tile(&place) {
        return nothing("no such tile");
    }
    let store = reading.cutter.store.clone();
    let read = waiting(&reading, move || store.get(&format!("tile/{place}"))).await;
    match read {
        Ok(Some(bytes)) => answer("application/octet-stream", FOR_EVER, bytes.into()),
        Ok(None) => nothing("no such tile at the newest checkpoint"),
        Err(error) => fault(&error),
    }
}

async fn entry(State(reading): State<Reading>, Path(id): Path<String>) -> Response {
    let Some(published) = reading.newest.look() else { return nothing("the log is empty") };
    let cutter = Arc::clone(&reading.cutter);
    let read = waiting(&reading, move || {
        let items = cutter.entry(&id, &published)?;
        items.map(|items| document(&items, &id, &published)).transpose()
    });
    match read.await {
        Ok(Some(bytes)) => answer("application/json", CHANGING, bytes),
        Ok(None) => nothing("no entry of this id at the newest checkpoint"),
        Err(error) => fault(&error),
    }
}

/// Does what waits for the disk on a thread that may wait.
async fn waiting<T: Send + 'static>(
    reading: &Reading,
    read: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let turn = Arc::clone(&reading.turns).acquire_owned().await;
    let done = task::spawn_blocking(move || {
        let _turn = turn;
        read()
    });
    done.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?
}

/// Entry, header and proofs as one canonical JSON object (spec/log.md).
fn document(items: &[Item], id: &str, published: &Published) -> Result<Vec<u8>, Error> {
    let text = |item: &Item| String::from_utf8_lossy(&item.entry).into_owned();
    let names = |item: &&Item| text(item).contains(&format!("\"id\":\"{id}\""));
    let item = items.iter().rfind(names).ok_or_else(|| Error::mismatch("the entry went away"))?;
    let mut told = json!({
        "checkpoint": published.note,
        "entry": text(item),
        "index": item.index,
        "path": path(&item.path),
    });
    if let (Place::Covered { batch, path: within }, Some(fields)) = (&item.place, told.as_object_mut()) {
        fields.insert("batch".into(), (*batch).into());
        fields.insert("batch_path".into(), path(within));
        let header = items.iter().find(|other| other.index == *batch);
        fields.insert("header".into(), header.map(text).unwrap_or_default().into());
    }
    Ok(canonical::to_vec(&told)?)
}

fn path(path: &[Hash]) -> Value {
    path.iter().map(|hash| hex(hash)).collect()
}

/// Whether this is `<L>/<N>` or `<L>/<N>.p/<W>` as the page spells it, and hence no way out of the folder.
fn is_tile(place: &str) -> bool {
    let Some((level, rest)) = place.split_once('/') else { return false };
    let (number, width) =
        rest.split_once(".p/").map_or((rest, None), |(number, width)| (number, Some(width)));
    let small = |text: &str, most: u16| {
        let number = text.parse::<u16>().ok().filter(|number| *number <= most);
        number.is_some_and(|number| number.to_string() == text)
    };
    let three = |text: &str| text.len() == 3 && text.bytes().all(|digit| digit.is_ascii_digit());
    let mut groups = number.rsplit('/');
    (level == "entries" || small(level, 63))
        && width.is_none_or(|width| width != "0" && small(width, 255))
        && groups.next().is_some_and(three)
        && groups.all(|group| group.strip_prefix('x').is_some_and(three))
        && number.len() <= NUMBER_BYTES_MAX
}

fn answer(kind: &'static str, keep: &'static str, body: Vec<u8>) -> Response {
    let headers: [(HeaderName, &'static str); 2] = [(CONTENT_TYPE, kind), (CACHE_CONTROL, keep)];
    (headers, body).into_response()
}

fn nothing(why: &'static str) -> Response {
    (StatusCode::NOT_FOUND, format!("{why}\n")).into_response()
}

fn fault(error: &Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

/// A tile of a given name never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const CHANGING: &str = "no-cache";
const READERS_MAX: usize = 16;
/// Enough for any 64-bit tile number.
const NUMBER_BYTES_MAX: usize = 34;

#[cfg(test)]
mod tests {
    use super::is_tile;

    #[test]
    fn only_the_page_s_spelling_is_a_tile() {
        for good in ["0/000", "63/x001/x234/067", "entries/005.p/7", "1/000.p/255"] {
            assert!(is_tile(good), "{good}");
        }
        for bad in [
            "",
            "0",
            "0/",
            "0/00",
            "00/000",
            "64/000",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/001/x234",
            "0/../../log.key",
            "entries/x00/000",
            "other/000",
            "0/000/",
            "0/000.p/1.p/1",
        ] {
            assert!(!is_tile(bad), "{bad}");
        }
    }
}
