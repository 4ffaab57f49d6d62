//! Walks a whole log on disk (spec page `log.md`): every entry, every tile, every batch; it writes and repairs nothing.

pub(crate) mod tiles;

use self::tiles::{Tiles, WIDTH};
use crate::check::{Batch, follows, open, wide};
use crate::error::{Doubt, Finding, Flaw, flaw};
use crate::read::entry::{self, Entry, Kind};
use crate::read::note;
use crate::read::tree::{self, Edge, Hash};
use crate::{Error, Report, StreamSummary, Summary, Trust};
use clyra_spec::Phase;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The checks of a whole log, in order, with what each one proves.
pub const LOG_CHECKS: [(&str, &str); 7] = [
    ("checkpoint-signature", "the log whose key stands in the trust file signed its size and root"),
    (
        "entries-canonical",
        "every entry is the one canonical spelling of a known kind, with the fields of that kind",
    ),
    ("tiles", "every tile up to that size is there and holds the hashes of what lies below it"),
    ("root", "all entries together lead to the root that the log signed"),
    ("batch-signature", "a gateway whose key stands in the trust file signed every batch"),
    ("batch-membership", "every entry is the one that its gateway signed for"),
    ("stream-order", "every stream is there from its first entry on, without hole, fork or repetition"),
];

/// Checks the log in this folder up to its checkpoint.
///
/// # Errors
/// When there is no checkpoint to be read. What is wrong with the log is never an error but stands in the report.
pub fn verify_log(dir: &Path, trust: &Trust) -> Result<Report, Error> {
    let path = dir.join("checkpoint");
    let bytes = fs::read(&path).map_err(|source| Error::Unreadable { path, source })?;
    let mut report = Report::default();
    let signed = note::parse(&bytes).and_then(|note| {
        let by = note.verify(trust)?;
        Ok((note.checkpoint, by))
    });
    let [checkpoint_signature, rest @ ..] = LOG_CHECKS.map(|(name, _)| name);
    let (checkpoint, by) = match signed {
        Ok(signed) => signed,
        Err(flaw) => {
            report.note(checkpoint_signature, Err(flaw.into()));
            for name in rest {
                report.note(name, Err(Doubt::Unable("not reached: no size to walk to".to_owned())));
            }
            return Ok(report);
        }
    };
    report.note(checkpoint_signature, Ok(format!("signed by log `{by}` at size {}", checkpoint.size)));
    let mut walk = Walk::new(trust);
    let tiles = walk.tiles(&Tiles::of(dir), checkpoint.size);
    let walked = format!("{} entries", walk.size);
    let root = match &tiles {
        Ok(()) if walk.edge.root() == checkpoint.root => Ok("the entries lead to the signed root".to_owned()),
        Ok(()) => Err(Doubt::Fail("the entries do not lead to the signed root".to_owned())),
        Err(_) => Err(Doubt::Unable("not reached: the tiles are not whole".to_owned())),
    };
    walk.end();
    let faults = walk.faults;
    let finding = |fault: Option<Doubt>, holds: &str| fault.map_or(Ok(format!("{walked}, {holds}")), Err);
    let findings: [Finding; 6] = [
        finding(faults.canonical, "each canonical and of a known kind"),
        finding(tiles.err(), "every tile holds what lies below it"),
        root,
        finding(faults.signature, "every batch signed by a trusted gateway"),
        finding(faults.membership, "each the one that its gateway signed for"),
        finding(faults.order, "every stream whole from its first entry on"),
    ];
    for (name, finding) in rest.into_iter().zip(findings) {
        report.note(name, finding);
    }
    report.summary = Some(Summary {
        counts: walk.counts,
        verdicts: walk.verdicts,
        streams: walk.streams,
        policies: walk.policies.into_iter().map(String::from).collect(),
        log_origin: checkpoint.origin,
        log_size: checkpoint.size,
        ..Summary::default()
    });
    Ok(report)
}

/// How far the walk has come.
struct Walk<'t> {
    trust: &'t Trust,
    size: u64,
    edge: Edge,
    /// Hashes of level `8 * place` that do not fill a tile yet.
    levels: Vec<Vec<Hash>>,
    /// The batch that the next entry must belong to, while entries of it are due.
    current: Option<Current>,
    /// The last batch of each gateway.
    last: BTreeMap<Box<str>, Batch>,
    counts: BTreeMap<String, u64>,
    verdicts: BTreeMap<String, u64>,
    policies: BTreeSet<Box<str>>,
    /// One for each gateway and epoch, in the order of the log.
    streams: Vec<StreamSummary>,
    faults: Faults,
}

/// A batch while its entries go by.
struct Current {
    batch: Batch,
    seen: u64,
    edge: Edge,
}

/// The first fault of each kind.
#[derive(Default)]
struct Faults {
    canonical: Option<Doubt>,
    signature: Option<Doubt>,
    membership: Option<Doubt>,
    order: Option<Doubt>,
}

impl<'t> Walk<'t> {
    fn new(trust: &'t Trust) -> Self {
        Self {
            trust,
            size: 0,
            edge: Edge::default(),
            levels: Vec::new(),
            current: None,
            last: BTreeMap::new(),
            counts: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            policies: BTreeSet::new(),
            streams: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// Reads all tiles up to this size and compares each with what lies below it.
    fn tiles(&mut self, tiles: &Tiles, size: u64) -> Result<(), Doubt> {
        while self.size < size {
            let tile = self.size / WIDTH;
            let width = (size - self.size).min(WIDTH);
            let hashes = tiles.hashes(0, tile, width)?;
            let entries = tiles.entries(tile, width)?;
            for (bytes, hash) in entries.iter().zip(&hashes) {
                let leaf = tree::leaf(bytes);
                if leaf != *hash {
                    return Err(Doubt::Fail(format!(
                        "entry {} has another leaf hash than its tile says",
                        self.size
                    )));
                }
                self.entry(bytes, leaf);
                self.edge.add(leaf);
                self.size += 1;
            }
            if width == WIDTH {
                self.full(tiles, 1, tree_of(&hashes), tile)?;
            }
        }
        for (level, pending) in self.levels.iter().enumerate().skip(1) {
            if !pending.is_empty() {
                let filled = size.checked_shr(8 * u32::try_from(level).unwrap_or(u32::MAX)).unwrap_or(0);
                must_be(tiles, level, filled / WIDTH, pending)?;
            }
        }
        Ok(())
    }

    /// A tile below is full: its root goes one level up, and on when that level's tile is full as well.
    fn full(&mut self, tiles: &Tiles, level: usize, root: Hash, below: u64) -> Result<(), Doubt> {
        let (mut level, mut root, mut number) = (level, root, below);
        loop {
            while self.levels.len() <= level {
                self.levels.push(Vec::new());
            }
            let Some(pending) = self.levels.get_mut(level) else { return Ok(()) };
            pending.push(root);
            if wide(pending.len()) < WIDTH {
                return Ok(());
            }
            let hashes = std::mem::take(pending);
            number /= WIDTH;
            must_be(tiles, level, number, &hashes)?;
            root = tree_of(&hashes);
            level += 1;
        }
    }

    fn entry(&mut self, bytes: &[u8], leaf: Hash) {
        let index = self.size;
        let told = |flaw: Flaw| Doubt::Fail(flaw.at(format_args!("entry at index {index}")).0);
        let entry = match entry::read(bytes) {
            Ok(entry) => entry,
            Err(flaw) => {
                self.faults.canonical.get_or_insert(told(flaw));
                return;
            }
        };
        self.count(&entry);
        match &entry.kind {
            Kind::Batch(envelope) => {
                if let Err(flaw) = self.close() {
                    self.faults.order.get_or_insert(told(flaw));
                }
                match open(&entry, envelope, bytes, self.trust) {
                    Ok(batch) => {
                        if let Err(flaw) = self.follow(&batch) {
                            self.faults.order.get_or_insert(told(flaw));
                        }
                        self.last.insert(batch.gateway.clone(), batch.clone());
                        self.current = Some(Current { batch, seen: 0, edge: Edge::default() });
                    }
                    Err(flaw) => {
                        self.faults.signature.get_or_insert(told(flaw));
                    }
                }
            }
            _ => {
                if let Err(flaw) = self.member(&entry, leaf) {
                    self.faults.membership.get_or_insert(told(flaw));
                }
            }
        }
    }

    fn count(&mut self, entry: &Entry) {
        *self.counts.entry(entry.kind.as_str().to_owned()).or_default() += 1;
        match &entry.kind {
            Kind::Receipt(receipt) => {
                self.policies.insert(receipt.policy.clone());
                if receipt.phase != Phase::Outcome {
                    *self.verdicts.entry(receipt.verdict.as_str().to_owned()).or_default() += 1;
                }
            }
            Kind::Policy { digest } => drop(self.policies.insert(digest.clone())),
            _ => {}
        }
        let Some(stream) = &entry.stream else { return };
        // The stream that spoke last is the one most likely to go on.
        let held = self.streams.iter_mut().rev();
        let mut same = held.filter(|seen| seen.epoch == stream.epoch && *seen.gateway == *stream.gateway);
        let receipts = u64::from(entry.receipt().is_some());
        match same.next() {
            Some(seen) => {
                seen.last_seq = stream.seq;
                seen.receipts += receipts;
            }
            None => self.streams.push(StreamSummary {
                gateway: String::from(&*stream.gateway),
                epoch: stream.epoch,
                first_seq: stream.seq,
                last_seq: stream.seq,
                receipts,
            }),
        }
    }

    /// Whether this batch may come after its gateway's last one.
    fn follow(&self, batch: &Batch) -> Result<(), Flaw> {
        let (previous, fits) = match self.last.get(&batch.gateway) {
            None => ([0; 32], batch.first_seq == 1),
            Some(before) => {
                let fits = match follows(before, batch) {
                    Some(adjacent) => adjacent || (batch.epoch > before.epoch && batch.first_seq == 1),
                    None => false,
                };
                (before.digest, fits)
            }
        };
        if !fits {
            return flaw("its epoch and seq do not follow the batch before it");
        }
        if previous != batch.previous {
            return flaw("it does not name the batch before it");
        }
        Ok(())
    }

    /// Whether this entry is the next one of the current batch.
    fn member(&mut self, entry: &Entry, leaf: Hash) -> Result<(), Flaw> {
        let Some(current) = &mut self.current else { return flaw("no batch covers it") };
        let due = current.batch.first_seq.saturating_add(current.seen);
        let fits = entry.stream.as_ref().is_some_and(|stream| {
            stream.gateway == current.batch.gateway
                && stream.epoch == current.batch.epoch
                && stream.seq == due
        });
        if !fits || entry.maker != current.batch.maker || current.seen >= current.batch.count {
            return flaw("its gateway, epoch, seq or maker is not that of its place in the batch");
        }
        current.seen += 1;
        current.edge.add(leaf);
        if current.seen == current.batch.count && current.edge.root() != current.batch.root {
            return flaw("its batch does not lead to the root that the gateway signed");
        }
        Ok(())
    }

    /// Leaves the current batch, which must be whole.
    fn close(&mut self) -> Result<(), Flaw> {
        match self.current.take() {
            Some(current) if current.seen < current.batch.count => flaw("the batch before it is not whole"),
            _ => Ok(()),
        }
    }

    fn end(&mut self) {
        if self.close().is_err() {
            let cut = Doubt::Unable("the last batch is not whole at this size".to_owned());
            self.faults.order.get_or_insert(cut);
        }
    }
}

fn must_be(tiles: &Tiles, level: usize, number: u64, hashes: &[Hash]) -> Result<(), Doubt> {
    if tiles.hashes(level, number, wide(hashes.len()))? == hashes {
        return Ok(());
    }
    Err(Doubt::Fail(format!("tile {number} of level {level} does not hold the roots of the tiles below it")))
}

fn tree_of(hashes: &[Hash]) -> Hash {
    let mut edge = Edge::default();
    hashes.iter().for_each(|hash| edge.add(*hash));
    edge.root()
}
