//! Commits: what each checkpoint says, written before it is signed. They never stand for what is only acknowledged.
//!
//! Commit number n is written only where no object of that number exists, so that of two recorders on one log at most one
//! goes on. A recorder that fell behind would write a number that was deleted long ago; therefore the newest commits are
//! always kept, and whoever finds a higher number than its own stops. Deleting all but the newest 16 is hence safe.

use super::store::Store;
use crate::Error;
use crate::log::Tip;
use crate::log::standing::Head;
use clyra_seal::merkle::Tree;
use clyra_seal::{Hash, hex, unhex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a checkpoint says and what a restart needs to go on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) tree: Tree,
    pub(crate) heads: BTreeMap<String, Head>,
}

impl Commit {
    pub(crate) fn of(tip: &Tip) -> Self {
        Self { tree: tip.tree.clone(), heads: tip.heads.clone() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Writes this as commit `number`. An equal one that is there already counts as ours: it says the same.
    pub(crate) fn win(&self, store: &Store, origin: &str, number: u64) -> Result<(), Error> {
        let created = store.create(&key(number), self.to_bytes()?.into())?;
        let equal = || Ok::<_, Error>(Self::load(store, number)?.as_ref() == Some(self));
        if !created && !equal()? {
            return Err(Error::Forked { origin: origin.into(), number });
        }
        match numbers(store)?.last() {
            Some(newest) if *newest > number => Err(Error::Forked { origin: origin.into(), number: *newest }),
            _ => Ok(()),
        }
    }

    pub(crate) fn load(store: &Store, number: u64) -> Result<Option<Self>, Error> {
        let Some(bytes) = store.get(&key(number))? else { return Ok(None) };
        let wire: Wire = serde_json::from_slice(&bytes)
            .map_err(|fault| Error::mismatch(format!("`{}` is unreadable: {fault}", key(number))))?;
        let commit = wire.read().ok_or_else(|| Error::mismatch(format!("`{}` is malformed", key(number))))?;
        Ok(Some(commit))
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let gateways = self.heads.iter().map(|(gateway, head)| {
            let Head { epoch, seq, digest, index, ended } = *head;
            (gateway.clone(), WireHead { digest: hex(&digest), ended, epoch, index, seq })
        });
        let wire = Wire {
            edge: self.tree.edge().iter().map(|hash| hex(hash)).collect(),
            gateways: gateways.collect(),
            root: hex(&self.root()),
            size: self.size(),
        };
        serde_json::to_vec(&wire).map_err(|fault| Error::mismatch(fault.to_string()))
    }
}

/// Numbers of the commits that exist, ascending.
pub(crate) fn numbers(store: &Store) -> Result<Vec<u64>, Error> {
    let keys = store.list("commit")?;
    keys.iter()
        .map(|key| {
            let number = key.strip_prefix("commit/").and_then(|number| number.parse().ok());
            number.ok_or_else(|| Error::mismatch(format!("`{key}` is no commit")))
        })
        .collect()
}

/// Deletes all but the newest commits.
pub(crate) fn prune(store: &Store) -> Result<(), Error> {
    let numbers = numbers(store)?;
    for number in numbers.iter().rev().skip(KEPT) {
        store.delete(&key(*number))?;
    }
    Ok(())
}

pub(crate) fn key(number: u64) -> String {
    format!("commit/{number:020}")
}

const KEPT: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    edge: Vec<String>,
    gateways: BTreeMap<String, WireHead>,
    root: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHead {
    digest: String,
    ended: bool,
    epoch: u64,
    index: u64,
    seq: u64,
}

impl Wire {
    fn read(self) -> Option<Commit> {
        let edge = self.edge.iter().map(|hash| unhex(hash)).collect::<Option<Vec<_>>>()?;
        let tree = Tree::from_edge(self.size, edge).ok()?;
        let heads = self.gateways.into_iter().map(|(gateway, head)| {
            let WireHead { digest, ended, epoch, index, seq } = head;
            Some((gateway, Head { epoch, seq, digest: unhex(&digest)?, index, ended }))
        });
        let heads = heads.collect::<Option<_>>()?;
        (hex(&tree.root()) == self.root).then_some(Commit { tree, heads })
    }
}
