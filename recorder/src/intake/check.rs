//! Whether a batch is what its header says. Whether it fits the stream is the log's question, not ours.

use clyra_proto::evidence::{Batch, Refusal};
use clyra_seal::batch::{self, Claims};
use clyra_seal::key::VerifyingKey;
use clyra_seal::{Error as SealError, Hash, merkle};
use clyra_spec::limits::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX};

/// A batch whose entries are those that its header signs for.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) batch: Batch,
    pub(crate) claims: Claims,
    /// Digest by which the next header points at this one.
    pub(crate) digest: Hash,
    /// Leaf hashes: the header's, then the entries'.
    pub(crate) leaves: Vec<Hash>,
}

/// Checks a batch against its header and the key of its gateway.
pub(crate) fn check(batch: Batch, key: &VerifyingKey) -> Result<Checked, Refusal> {
    bounds(&batch)?;
    let claims = batch::open(&batch.header, key).map_err(|fault| match fault {
        SealError::BadSignature { .. } => refusal("bad_signature", fault.to_string()),
        SealError::TooLarge { .. } => refusal("too_large", fault.to_string()),
        _ => refusal("malformed", fault.to_string()),
    })?;
    if claims.count != batch.entries.len() as u64 {
        let found = batch.entries.len();
        return Err(refusal(
            "malformed",
            format!("header counts {}, batch holds {found} entries", claims.count),
        ));
    }
    let mut leaves = Vec::with_capacity(batch.entries.len() + 1);
    leaves.push(merkle::leaf_hash(&batch.header));
    leaves.extend(batch.entries.iter().map(|entry| merkle::leaf_hash(entry)));
    let root = leaves.split_first().map(|(_, covered)| merkle::root(covered));
    if root != Some(claims.root) {
        return Err(refusal("bad_root", "the entries are not those that the header signs for".into()));
    }
    let digest = batch::digest(&batch.header);
    Ok(Checked { batch, claims, digest, leaves })
}

fn bounds(batch: &Batch) -> Result<(), Refusal> {
    if batch.entries.len() > BATCH_ENTRIES_MAX {
        let found = batch.entries.len();
        return Err(refusal(
            "too_large",
            format!("{found} entries, at most {BATCH_ENTRIES_MAX} are allowed"),
        ));
    }
    let mut total = batch.header.len();
    for (place, entry) in batch.entries.iter().enumerate() {
        if entry.len() > ENTRY_BYTES_MAX {
            let found = entry.len();
            return Err(refusal(
                "too_large",
                format!("entry {place} has {found} bytes, allowed {ENTRY_BYTES_MAX}"),
            ));
        }
        if !looks_like_an_object(entry) {
            return Err(refusal("malformed", format!("entry {place} is not one JSON object on one line")));
        }
        total += entry.len();
    }
    if total > BATCH_BYTES_MAX {
        return Err(refusal("too_large", format!("{total} bytes, at most {BATCH_BYTES_MAX} are allowed")));
    }
    Ok(())
}

/// Enough to keep an entry on its own line of a bundle; what it says is for the verifier to judge.
fn looks_like_an_object(entry: &[u8]) -> bool {
    entry.starts_with(b"{")
        && entry.ends_with(b"}")
        // Without an early end this takes 16 bytes at a time.
        && entry.iter().fold(true, |clean, byte| clean & (*byte >= b' '))
        && std::str::from_utf8(entry).is_ok()
}

pub(crate) fn refusal(reason: &str, detail: String) -> Refusal {
    Refusal { reason: reason.into(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Gateway, receipts};
    use bytes::Bytes;

    #[test]
    fn a_batch_is_taken_only_as_its_gateway_signed_it() {
        let mut gateway = Gateway::new("gw-1", 1);
        let key = gateway.key.verifying();
        let good = gateway.batch(receipts("r", 3));
        let checked = check(good.clone(), &key).unwrap();
        assert_eq!((checked.claims.count, checked.leaves.len()), (3, 4));
        let refused = |change: &dyn Fn(&mut Batch)| {
            let mut bad = good.clone();
            change(&mut bad);
            check(bad, &key).unwrap_err().reason
        };
        assert_eq!(refused(&|bad| bad.entries.truncate(2)), "malformed");
        assert_eq!(refused(&|bad| bad.entries.swap(0, 1)), "bad_root");
        assert_eq!(refused(&|bad| bad.entries[0] = Bytes::from_static(b"{\n}")), "malformed");
        assert_eq!(refused(&|bad| bad.entries[0] = Bytes::from_static(b"")), "malformed");
        assert_eq!(refused(&|bad| bad.entries[0] = Bytes::from_static(b"{\xff}")), "malformed");
        assert_eq!(refused(&|bad| bad.entries[0] = vec![b'x'; 65_536].into()), "too_large");
        assert_eq!(refused(&|bad| bad.entries = vec![bad.entries[0].clone(); 4_097]), "too_large");
        let big = Bytes::from([&b"{"[..], &vec![b'x'; 65_000], b"}"].concat());
        assert_eq!(refused(&|bad| bad.entries = vec![big.clone(); 200]), "too_large");
        assert_eq!(refused(&|bad| bad.header = Bytes::from_static(b"{}")), "malformed");
        // Another first digit of the signature: still base64, still canonical.
        let mut forged = good.header.to_vec();
        let at = forged.windows(7).position(|window| window == b"\"sig\":\"").unwrap() + 7;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(refused(&|bad| bad.header = forged.clone().into()), "bad_signature");
        let other = Gateway::new("gw-1", 2).key.verifying();
        assert_eq!(check(good.clone(), &other).unwrap_err().reason, "malformed");
    }
}
