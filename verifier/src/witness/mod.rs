//! A small witness (C2SP tlog-witness): it signs a checkpoint only when a known log signed it and it goes on from the last one
//! that this witness saw, and writes that down first. It never signs two roots of one size, and holds no entry of a log.

mod door;
mod key;

pub use door::Door;

use crate::Error;
use crate::error::{Flaw, flaw};
use crate::json::text;
use crate::read::note::{self, Checkpoint, cosigned};
use crate::read::tree::{self, Hash};
use crate::trust::{Key, Trust};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use key::Signer;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A witness of some logs, with a key and a memory in one folder.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    signer: Signer,
    logs: Vec<(String, Trust)>,
    _lock: File,
}

/// What a witness answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub media: &'static str,
    /// Cosignature lines, a size, or why not.
    pub body: String,
}

impl Witness {
    /// Opens the folder, with a new key on first use, for the logs with these vkeys.
    ///
    /// # Errors
    /// When the folder is in use or cannot be used, its key has another name, or a log's key is none.
    pub fn open(folder: &Path, name: &str, logs: &[String]) -> Result<Self, Error> {
        let unwritten = |source| Error::Unwritten { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(unwritten)?;
        let lock = File::create(folder.join("lock")).map_err(unwritten)?;
        lock.try_lock().map_err(|_| Error::Witness(format!("`{}` is in use", folder.display())))?;
        let read = |vkey: &String| {
            let key = Key::parse(vkey).map_err(|flaw| Error::Witness(flaw.0))?;
            Ok((key.name, format!("log {vkey}\nquorum none\n").parse()?))
        };
        let logs = logs.iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Self { folder: folder.to_owned(), signer: Signer::open(folder, name)?, logs, _lock: lock })
    }

    /// The key that cosigns, as it stands in trust files.
    pub fn vkey(&self) -> String {
        self.signer.vkey()
    }

    /// Answers the body of an `add-checkpoint` request at this time, in seconds since 1970.
    pub fn add_checkpoint(&mut self, body: &[u8], now: u64) -> Answer {
        let Ok((old, proof, note)) = request(body) else {
            return refuse(400, "expected `old SIZE`, hashes, a blank line, a checkpoint");
        };
        let Ok(read) = note::parse(note) else { return refuse(400, "the checkpoint cannot be read") };
        let shown = &read.checkpoint;
        let Some((_, trust)) = self.logs.iter().find(|(origin, _)| *origin == shown.origin) else {
            return refuse(404, "no log that is watched here");
        };
        if read.verify(trust).is_err() {
            return refuse(403, "the log's signature does not hold");
        }
        if old > shown.size {
            return refuse(400, "the old size is larger than the checkpoint's");
        }
        let seen = match self.seen(&shown.origin) {
            Ok(seen) => seen,
            Err(error) => return refuse(500, &error.to_string()),
        };
        if old != seen.0 || (old == shown.size && seen.1 != shown.root) {
            let (media, body) = ("text/x.tlog.size", format!("{}\n", seen.0));
            return Answer { status: 409, media, body };
        }
        if !tree::grew(seen, (shown.size, shown.root), &proof) {
            return refuse(422, "the proof does not lead from the last checkpoint to this one");
        }
        // Written down before it is signed: whatever happens next, nothing else of this size will be.
        if let Err(error) = self.see(shown) {
            return refuse(500, &error.to_string());
        }
        let body = self.signer.cosign(&cosigned(read.signed, now), now);
        Answer { status: 200, media: "text/plain; charset=utf-8", body }
    }

    /// Size and root of the last checkpoint of this log.
    fn seen(&self, origin: &str) -> Result<(u64, Hash), Error> {
        let path = self.path(origin);
        let text = match fs::read_to_string(&path) {
            Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok((0, tree::sha256(b""))),
            read => read.map_err(|source| Error::Unreadable { path: path.clone(), source })?,
        };
        let told = || -> Result<(u64, Hash), Flaw> {
            let mut lines = text.lines();
            let (Some(of), Some(size), Some(root), None) =
                (lines.next(), lines.next(), lines.next(), lines.next())
            else {
                return flaw("three lines are due");
            };
            if of != origin {
                return flaw("it is of another log");
            }
            Ok((text::whole(size)?, text::hex::<32>(root)?))
        };
        told().map_err(|flaw| Error::Witness(format!("`{}` is damaged: {}", path.display(), flaw.0)))
    }

    fn see(&self, shown: &Checkpoint) -> Result<(), Error> {
        let text = format!("{}\n{}\n{}\n", shown.origin, shown.size, text::to_hex(&shown.root));
        write(&self.folder, &self.path(&shown.origin), text.as_bytes())
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(format!("{}.seen", text::to_hex(&tree::sha256(origin.as_bytes()))))
    }
}

/// Old size, consistency path and note out of a request's body.
fn request(body: &[u8]) -> Result<(u64, Vec<Hash>, &[u8]), Flaw> {
    let end = body.windows(2).position(|pair| pair == b"\n\n");
    let (head, note) = end.and_then(|end| body.split_at_checked(end)).ok_or_else(|| Flaw(String::new()))?;
    let head = std::str::from_utf8(head).map_err(|_| Flaw(String::new()))?;
    let mut lines = head.split('\n');
    let Some(old) = lines.next().and_then(|line| line.strip_prefix("old ")) else { return flaw("") };
    let mut proof = Vec::new();
    for line in lines {
        let hash = text::base64(line)?;
        proof.push(Hash::try_from(hash.as_slice()).map_err(|_| Flaw(String::new()))?);
    }
    if proof.len() > PROOF_MAX {
        return flaw("");
    }
    Ok((text::whole(old)?, proof, note.get(2..).unwrap_or_default()))
}

fn refuse(status: u16, why: &str) -> Answer {
    Answer { status, media: "text/plain; charset=utf-8", body: format!("{why}\n") }
}

/// Replaces a file, whole or not at all; durable on return.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let unwritten = |source| Error::Unwritten { path: path.to_owned(), source };
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).map_err(unwritten)?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(unwritten)?;
    fs::rename(&draft, path).map_err(unwritten)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritten)
}

/// Most hashes of a consistency path.
const PROOF_MAX: usize = 63;

/// A cosignature line: `— name base64(key hash || time || signature)`.
fn line(name: &str, hash: [u8; 4], time: u64, signature: &[u8; 64]) -> String {
    let blob = [hash.as_slice(), &time.to_be_bytes(), signature].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(blob))
}
