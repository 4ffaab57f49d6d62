//! What the log holds of each gateway, and whether a batch is the next one. It never looks into an entry.

use crate::intake::check::refusal;
use clyra_proto::evidence::Refusal;
use clyra_seal::Hash;
use clyra_seal::batch::Claims;
use std::collections::{BTreeMap, VecDeque};

/// The last batch held of one gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    /// Last seq of that epoch.
    pub(crate) seq: u64,
    /// Digest of the header entry.
    pub(crate) digest: Hash,
    /// Index of the header in the log.
    pub(crate) index: u64,
    /// The epoch ended cleanly.
    pub(crate) ended: bool,
}

/// Every gateway's last batch, and the digests of some batches before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    gateways: BTreeMap<String, Held>,
}

#[derive(Clone, Debug)]
struct Held {
    head: Head,
    /// Digest and index of the last headers, newest last: a batch that comes again is known by its digest.
    recent: VecDeque<(Hash, u64)>,
}

/// What is to become of a batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Judgement {
    /// It is the next one.
    Take,
    /// It is held already; its header has this index.
    Again(u64),
    /// It does not fit.
    Refuse(Refusal),
}

impl Standing {
    pub(crate) fn from_heads(heads: &BTreeMap<String, Head>) -> Self {
        let held = |head: &Head| Held { head: *head, recent: [(head.digest, head.index)].into() };
        Self { gateways: heads.iter().map(|(gateway, head)| (gateway.clone(), held(head))).collect() }
    }

    pub(crate) fn judge(&self, claims: &Claims, digest: &Hash) -> Judgement {
        let gap = |detail: String| Judgement::Refuse(refusal("gap", detail));
        let fork = |detail: String| Judgement::Refuse(refusal("fork", detail));
        let at = |epoch: u64, seq: u64| format!("epoch {epoch} seq {seq}");
        let found = at(claims.epoch, claims.first_seq);
        let Some(held) = self.gateways.get(&claims.gateway) else {
            return if claims.first_seq == 1 && claims.previous == [0; 32] {
                Judgement::Take
            } else {
                gap(format!(
                    "nothing is held of `{}`, so its first batch is due, not {found}",
                    claims.gateway
                ))
            };
        };
        if let Some((_, index)) = held.recent.iter().rev().find(|(known, _)| known == digest) {
            return Judgement::Again(*index);
        }
        let head = &held.head;
        if claims.epoch < head.epoch {
            return fork(format!("{} is held, {found} is of an older epoch", at(head.epoch, head.seq)));
        }
        if claims.epoch == head.epoch {
            let next = head.seq + 1;
            if head.ended {
                return fork(format!("epoch {} has ended with seq {}", head.epoch, head.seq));
            }
            if claims.first_seq < next {
                return fork(format!("{} is held with other bytes than {found}", at(head.epoch, head.seq)));
            }
            if claims.first_seq > next {
                return gap(format!("{} is due, not {found}", at(head.epoch, next)));
            }
        } else if claims.first_seq != 1 {
            return gap(format!("a new epoch starts with seq 1, not {found}"));
        }
        if claims.previous != head.digest {
            return fork(format!("{found} does not follow the header that is held"));
        }
        Judgement::Take
    }

    /// Takes a batch that was judged to be the next one.
    pub(crate) fn take(&mut self, claims: &Claims, digest: Hash, index: u64) -> Head {
        let head = Head { epoch: claims.epoch, seq: claims.last_seq(), digest, index, ended: claims.last };
        let held = self
            .gateways
            .entry(claims.gateway.clone())
            .or_insert_with(|| Held { head, recent: VecDeque::with_capacity(RECENT_MAX) });
        held.head = head;
        if held.recent.len() == RECENT_MAX {
            held.recent.pop_front();
        }
        held.recent.push_back((digest, index));
        head
    }
}

/// A gateway has far fewer batches under way than this; an older one that comes again is refused as a fork, since
/// nobody can tell any more that it is the same.
const RECENT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(epoch: u64, first_seq: u64, count: u64, previous: u8) -> Claims {
        let gateway = "gw".into();
        Claims { gateway, epoch, first_seq, count, root: [0; 32], previous: [previous; 32], last: false }
    }

    fn reason(standing: &Standing, claims: &Claims, digest: u8) -> String {
        match standing.judge(claims, &[digest; 32]) {
            Judgement::Take => "take".into(),
            Judgement::Again(index) => format!("again {index}"),
            Judgement::Refuse(refusal) => refusal.reason,
        }
    }

    #[test]
    fn only_the_next_batch_is_taken() {
        let mut standing = Standing::default();
        assert_eq!(reason(&standing, &claims(5, 2, 1, 0), 1), "gap");
        assert_eq!(reason(&standing, &claims(5, 1, 1, 9), 1), "gap");
        assert_eq!(reason(&standing, &claims(5, 1, 3, 0), 1), "take");
        standing.take(&claims(5, 1, 3, 0), [1; 32], 0);
        for (next, digest, expected) in [
            (claims(5, 1, 3, 0), 1, "again 0"),
            (claims(5, 1, 3, 0), 2, "fork"),
            (claims(5, 3, 5, 1), 2, "fork"),
            (claims(5, 5, 1, 1), 2, "gap"),
            (claims(5, 4, 1, 7), 2, "fork"),
            (claims(4, 1, 1, 1), 2, "fork"),
            (claims(6, 2, 1, 1), 2, "gap"),
            (claims(6, 1, 1, 0), 2, "fork"),
            (claims(6, 1, 1, 1), 2, "take"),
            (claims(5, 4, 1, 1), 2, "take"),
        ] {
            assert_eq!(reason(&standing, &next, digest), expected, "{next:?}");
        }
        let end = Claims { count: 0, last: true, ..claims(5, 4, 0, 1) };
        assert_eq!(standing.take(&end, [2; 32], 4).seq, 3);
        assert_eq!(reason(&standing, &claims(5, 4, 1, 2), 3), "fork");
        assert_eq!(reason(&standing, &claims(6, 1, 1, 2), 3), "take");
        assert_eq!(reason(&standing, &end, 2), "again 4");
    }
}
