//! The log: one writer puts batches in order and makes them durable. It never acknowledges what a crash could lose.

pub(crate) mod frame;
pub(crate) mod standing;
pub(crate) mod wal;

use crate::Error;
use crate::intake::check::{Checked, refusal};
use clyra_proto::evidence::{Ack, FromRecorder, from_recorder::Says};
use clyra_seal::merkle::{self, Tree};
use clyra_seal::{Hash, batch};
use standing::{Head, Judgement, Standing};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use wal::Wal;

/// How the log stands: everything here is durable. Written by the writer after each group, read by everyone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tip {
    pub(crate) tree: Tree,
    pub(crate) heads: BTreeMap<String, Head>,
    /// The writer will soon need the next segment.
    pub(crate) wants_spare: bool,
}

/// The tip that all share.
pub(crate) type SharedTip = Arc<Mutex<Tip>>;

/// A look at the tip. The writer never panics while it holds the lock, so that a poisoned lock is as good as a sound one.
pub(crate) fn look(tip: &Mutex<Tip>) -> MutexGuard<'_, Tip> {
    tip.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log as its one writer sees it.
#[derive(Debug)]
pub(crate) struct Log {
    wal: Wal,
    tree: Tree,
    standing: Standing,
    tip: SharedTip,
}

impl Log {
    /// Opens the log behind what is published: `base`, then every frame from there on. Where a commit beyond the base
    /// exists (`won`: size and root), the frames must lead to it.
    pub(crate) fn open(
        folder: &Path,
        base: &Tip,
        won: Option<(u64, Hash)>,
        segment_bytes: u64,
    ) -> Result<Self, Error> {
        let mut tree = base.tree.clone();
        let mut standing = Standing::from_heads(&base.heads);
        let mut heads = base.heads.clone();
        let mut reached = won.is_none();
        let wal = if tree.size() == 0 && !wal::exists(folder)? {
            Wal::create(folder, 0, segment_bytes)?
        } else {
            Wal::open(folder, base.tree.size(), segment_bytes, |frame| {
                for batch in &frame.batches {
                    let claims = batch::claimed(&batch.header)?;
                    let head = standing.take(&claims, batch::digest(&batch.header), tree.size());
                    heads.insert(claims.gateway, head);
                    tree.append(merkle::leaf_hash(&batch.header));
                    batch.entries.iter().for_each(|entry| tree.append(merkle::leaf_hash(entry)));
                }
                if let Some((size, root)) = won
                    && size == tree.size()
                {
                    reached = root == tree.root();
                }
                Ok(())
            })?
        };
        if !reached {
            let size = won.map_or(0, |(size, _)| size);
            return Err(Error::mismatch(format!("the segments do not lead to the commit of size {size}")));
        }
        let tip = Tip { tree: tree.clone(), heads, wants_spare: wal.wants_spare() };
        Ok(Self { wal, tree, standing, tip: Arc::new(Mutex::new(tip)) })
    }

    pub(crate) fn tip(&self) -> SharedTip {
        Arc::clone(&self.tip)
    }

    /// Puts a group of batches in order and makes those that fit durable, all with one sync. The answers stand in the order of
    /// the group. After an error the log must not be used again.
    pub(crate) fn commit(&mut self, group: &[Checked]) -> Result<Vec<Says>, Error> {
        let first = self.tree.size();
        let mut index = first;
        let mut heads = Vec::new();
        let mut judgements = Vec::with_capacity(group.len());
        for checked in group {
            let judgement = self.standing.judge(&checked.claims, &checked.digest);
            if judgement == Judgement::Take {
                let head = self.standing.take(&checked.claims, checked.digest, index);
                heads.push((checked.claims.gateway.clone(), head));
                index += checked.leaves.len() as u64;
            }
            judgements.push(judgement);
        }
        let taken = || group.iter().zip(&judgements).filter(|(_, judgement)| **judgement == Judgement::Take);
        if index > first {
            let bytes = frame::encode(first, taken().map(|(checked, _)| &checked.batch))?;
            self.wal.append(first, &bytes)?;
        }
        let mut roots = Vec::with_capacity(group.len());
        for (checked, _) in taken() {
            let start = self.tree.size();
            checked.leaves.iter().for_each(|leaf| self.tree.append(*leaf));
            roots.push((start, self.tree.size(), self.tree.root()));
        }
        let mut tip = look(&self.tip);
        tip.tree.clone_from(&self.tree);
        tip.heads.extend(heads);
        tip.wants_spare = self.wal.wants_spare();
        drop(tip);
        let mut roots = roots.into_iter();
        let now = (self.tree.size(), self.tree.root());
        let answers = group.iter().zip(judgements).map(|(checked, judgement)| match judgement {
            Judgement::Refuse(refusal) => Says::Refusal(refusal),
            Judgement::Again(index) => ack(checked, index, now.0, &now.1),
            Judgement::Take => {
                let (start, size, root) = roots.next().unwrap_or((0, now.0, now.1));
                ack(checked, start, size, &root)
            }
        });
        Ok(answers.collect())
    }
}

fn ack(checked: &Checked, index: u64, tree_size: u64, root: &Hash) -> Says {
    let (epoch, seq) = (checked.claims.epoch, checked.claims.last_seq());
    Says::Ack(Ack { epoch, seq, index, tree_size, root: root.to_vec().into() })
}

/// A batch on its way to the writer, with the place where its answer goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) checked: Checked,
    pub(crate) reply: Reply,
}

/// One place in the answers of a stream, reserved before the batch is handed over: the writer never waits for a caller.
pub(crate) type Reply = mpsc::OwnedPermit<Result<FromRecorder, tonic::Status>>;

/// The writer's life: takes what waits, commits it as one group, answers. Ends when nobody can send any more. Once anything
/// has failed it refuses everything: after an error of its own the state of the disk is unknown, and after a fork found by
/// the publisher nothing more may be promised.
pub(crate) fn write(mut log: Log, mut jobs: mpsc::Receiver<Job>, failed: &watch::Sender<Option<String>>) {
    while let Some(job) = jobs.blocking_recv() {
        if failed.borrow().is_some() {
            close(job.reply);
            continue;
        }
        let mut bytes = job.checked.batch.header.len();
        let (mut group, mut replies) = (vec![job.checked], vec![job.reply]);
        while bytes < GROUP_BYTES
            && let Ok(job) = jobs.try_recv()
        {
            bytes += job.checked.batch.entries.iter().map(bytes::Bytes::len).sum::<usize>();
            group.push(job.checked);
            replies.push(job.reply);
        }
        match log.commit(&group) {
            Ok(answers) => {
                for (reply, says) in replies.into_iter().zip(answers) {
                    reply.send(Ok(FromRecorder { says: Some(says) }));
                }
            }
            Err(error) => {
                failed.send_replace(Some(error.to_string()));
                replies.into_iter().for_each(close);
            }
        }
    }
}

fn close(reply: Reply) {
    let says = Says::Refusal(refusal(
        "closed",
        "the log cannot be written; the recorder must be looked after".into(),
    ));
    reply.send(Ok(FromRecorder { says: Some(says) }));
}

/// A group ends once it holds this many bytes; the last batch may go beyond.
const GROUP_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests;
