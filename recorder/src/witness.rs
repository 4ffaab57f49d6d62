//! Asks witnesses (C2SP tlog-witness) to sign what the log shows, beside everything else: nothing waits for a witness but a
//! bundle, and that for a few seconds only. It never takes a witness's word for anything but its own signature.

use crate::Error;
use crate::cut::paths::Paths;
use crate::shelf::Published;
use crate::shelf::publisher::Newest;
use crate::shelf::store::Store;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clyra_seal::cosign::WitnessKey;
use futures_util::future::join_all;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::{task, time};

/// A witness and where it listens.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    pub(crate) key: WitnessKey,
    /// `host:port`.
    host: String,
    /// What stands before `/add-checkpoint`.
    prefix: String,
}

/// The witnesses in this file: a vkey and `http://host:port` on each line.
pub(crate) fn read(file: &Path) -> Result<Vec<Witness>, Error> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        read => read.map_err(Error::file("read", file))?,
    };
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let fault =
                |why: String| Error::Witness { origin: format!("{} line {number}", file.display()), why };
            let (vkey, url) = line.split_once(' ').ok_or_else(|| fault("expected `VKEY URL`".into()))?;
            let place = url.trim().strip_prefix("http://").filter(|place| place.contains(':'));
            let place =
                place.ok_or_else(|| fault(format!("`{url}` is not of the form `http://host:port`")))?;
            let (host, prefix) = place.split_once('/').unwrap_or((place, ""));
            let prefix =
                if prefix.is_empty() { String::new() } else { format!("/{}", prefix.trim_end_matches('/')) };
            let key = WitnessKey::parse(vkey).map_err(|error| fault(error.to_string()))?;
            Ok(Witness { key, host: host.into(), prefix })
        })
        .collect()
}

/// What is known of one witness between two rounds.
#[derive(Debug, Default)]
struct Memory {
    /// Size that it saw last, as far as we know.
    size: u64,
    /// Why it did not sign last time.
    fault: Option<String>,
    failures: u32,
    again: Option<Instant>,
}

/// One line of the file of states.
#[derive(PartialEq, Eq, Serialize)]
struct State {
    fault: Option<String>,
    size: u64,
    witness: String,
}

/// Everything that a round needs.
pub(crate) struct Attendant {
    pub(crate) newest: Newest,
    pub(crate) store: Store,
    /// The file of witnesses.
    pub(crate) file: PathBuf,
    /// Newest checkpoint with the cosignatures that it has.
    pub(crate) tell: watch::Sender<Option<Published>>,
}

impl Attendant {
    /// Asks once a second, where there is something new, until the recorder stops.
    pub(crate) async fn attend(self, mut stopping: watch::Receiver<bool>) {
        let mut memories: BTreeMap<String, Memory> = BTreeMap::new();
        let mut states = Vec::new();
        let mut ticks = time::interval(EVERY);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            let (read, published) = match (read(&self.file), self.newest.look()) {
                (Ok(read), Some(published)) if !read.is_empty() => (read, published),
                _ => continue,
            };
            tokio::select! {
                () = self.round(&read, &published, &mut memories) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
            let now = memories.iter().map(|(witness, memory)| State {
                fault: memory.fault.clone(),
                size: memory.size,
                witness: witness.clone(),
            });
            let now: Vec<State> = now.collect();
            if now != states {
                // Only told, never read: a full disk has its own alarm.
                let _told = serde_json::to_vec_pretty(&now)
                    .map(|text| fs::write(self.file.with_extension("state"), text));
                states = now;
            }
        }
    }

    /// Asks every witness that has not signed this size yet and is not left in peace for a while.
    async fn round(&self, list: &[Witness], published: &Published, memories: &mut BTreeMap<String, Memory>) {
        let bare = bare(&published.note);
        let held = self.tell.borrow().clone().filter(|held| held.size == published.size);
        let mut note = held.map_or_else(|| published.note.clone(), |held| held.note);
        let signed = |witness: &&Witness| note.lines().any(|line| witness.key.signed(&bare, line));
        let due: Vec<&Witness> = list
            .iter()
            .filter(|witness| !signed(witness))
            .filter(|witness| {
                let again = memories.get(witness.key.name()).and_then(|memory| memory.again);
                again.is_none_or(|again| again <= Instant::now())
            })
            .collect();
        let asked = due.iter().map(|witness| {
            let old = memories.get(witness.key.name()).map_or(0, |memory| memory.size);
            time::timeout(PATIENCE, self.ask(witness, old, &bare, published.size))
        });
        let answers = join_all(asked).await;
        for (witness, answer) in due.iter().zip(answers) {
            let memory = memories.entry(witness.key.name().to_owned()).or_default();
            match answer.unwrap_or_else(|_| Err("it did not answer in time".into())) {
                Ok(line) => {
                    note.push_str(&line);
                    *memory = Memory { size: published.size, ..Memory::default() };
                }
                Err(fault) => {
                    memory.failures = (memory.failures + 1).min(6);
                    memory.again = Some(Instant::now() + EVERY * (1 << memory.failures));
                    memory.fault = Some(fault);
                }
            }
        }
        let (size, root) = (published.size, published.root);
        self.tell.send_replace(Some(Published { size, root, note }));
    }

    /// The cosignature line of one witness, or why there is none.
    async fn ask(&self, witness: &Witness, old: u64, note: &str, size: u64) -> Result<String, String> {
        let mut old = old.min(size);
        for _ in 0..2 {
            let store = self.store.clone();
            let path = task::spawn_blocking(move || Paths::new(&store, size).consistency(old));
            let path = path.await.map_err(|fault| fault.to_string())?.map_err(|fault| fault.to_string())?;
            let hashes: String = path.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
            let (status, said) = post(witness, &format!("old {old}\n{hashes}\n{note}"))
                .await
                .map_err(|fault| format!("cannot ask `{}`: {fault}", witness.host))?;
            match status {
                200 => {
                    let line = said.lines().find(|line| witness.key.signed(note, line));
                    return line
                        .map(|line| format!("{line}\n"))
                        .ok_or_else(|| "its answer holds no signature of its key".into());
                }
                409 => match said.trim().parse::<u64>() {
                    Ok(seen) if seen > size => {
                        return Err(format!(
                            "it has seen size {seen} of this log, which has {size}: the log was set back or forked"
                        ));
                    }
                    Ok(seen) if seen != old => old = seen,
                    _ => return Err(format!("it has seen another root of size {old}: the log was forked")),
                },
                422 => {
                    return Err(format!(
                        "this log does not go on from the size {old} that it has seen: it was forked"
                    ));
                }
                other => return Err(format!("status {other}: {}", said.trim().escape_debug())),
            }
        }
        Err("it says another size each time".into())
    }
}

/// The note with the log's own signature alone, which is the first.
fn bare(note: &str) -> String {
    let end = note.find("\n\n").and_then(|end| Some(end + 2 + note.get(end + 2..)?.find('\n')? + 1));
    end.and_then(|end| note.get(..end)).unwrap_or(note).to_owned()
}

/// One request over a connection of its own; status and body.
async fn post(witness: &Witness, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(&witness.host).await?;
    let head = format!(
        "POST {}/add-checkpoint HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        witness.prefix,
        witness.host,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut said = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut said).await?;
    let said = String::from_utf8_lossy(&said);
    let (head, body) = said.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(ErrorKind::InvalidData)?, body.to_owned()))
}

/// The newest checkpoint of at least this size with cosignatures, where one comes in time.
pub(crate) async fn cosigned(
    mut told: watch::Receiver<Option<Published>>,
    file: &Path,
    published: Published,
) -> Published {
    if !read(file).is_ok_and(|list| !list.is_empty()) {
        return published;
    }
    let enough = told.wait_for(|held| held.as_ref().is_some_and(|held| held.size >= published.size));
    match time::timeout(PATIENCE, enough).await {
        Ok(Ok(held)) => held.clone().unwrap_or(published),
        _ => published,
    }
}

const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 64 << 10;
