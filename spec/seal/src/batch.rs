//! A gateway's signed header over a batch of entries. Whether the batch fits the stream is for others to say.

use crate::sign::dsse::{self, Envelope};
use crate::sign::key::{SigningKey, VerifyingKey};
use crate::{Error, Hash, canonical, hex, unhex};
use clyra_spec::limits::{BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, WHOLE_NUMBER_MAX};
use clyra_spec::media::BATCH_PAYLOAD_TYPE;
use clyra_spec::{BatchHeader, Dsse, DsseSignature};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// What a header claims about its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The gateway's id: the name of its key.
    pub gateway: String,
    /// Start of the gateway process, milliseconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// Seq of the first entry; with no entries, the seq that would come next.
    pub first_seq: u64,
    /// Number of entries; none only where `last`.
    pub count: u64,
    /// RFC 6962 root over the entries.
    pub root: Hash,
    /// SHA-256 of this gateway's previous header entry; zeros in its very first.
    pub previous: Hash,
    /// The epoch ends cleanly with this batch.
    pub last: bool,
}

impl Claims {
    /// Seq of the last entry; one less than `first_seq` when there is none.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(self.count).saturating_sub(1)
    }
}

/// Digest by which the next header points at this one.
pub fn digest(header: &[u8]) -> Hash {
    Sha256::digest(header).into()
}

/// The `batch` entry for these claims.
///
/// # Errors
/// When the claims are out of bounds, or `gateway` is not the key's name.
pub fn seal(key: &SigningKey, claims: &Claims, at: &str, id: &str) -> Result<Vec<u8>, Error> {
    check(claims, key.name())?;
    let payload = canonical::to_vec(&json!({
        "count": claims.count,
        "epoch": claims.epoch,
        "final": claims.last,
        "first_seq": claims.first_seq,
        "gateway": claims.gateway,
        "previous": hex(&claims.previous),
        "root": hex(&claims.root),
    }))?;
    let envelope = dsse::sign(BATCH_PAYLOAD_TYPE, &payload, key);
    let header = BatchHeader {
        at,
        dsse: Dsse {
            payload: &envelope.payload,
            payload_type: &envelope.payload_type,
            signatures: [DsseSignature { keyid: &envelope.keyid, sig: &envelope.sig }],
        },
        id,
        kind: "batch",
        maker: key.id(),
        v: 1,
    };
    serde_json::to_vec(&header).map_err(|fault| Error::malformed("batch header", fault.to_string()))
}

/// Claims of a `batch` entry, once its form and its signature by `key` are in order.
///
/// # Errors
/// When the bytes are not exactly a header, the signature does not verify, or the claims are out of bounds.
pub fn open(header: &[u8], key: &VerifyingKey) -> Result<Claims, Error> {
    let bad = |why: &str| Error::malformed("batch header", why);
    if header.len() > ENTRY_BYTES_MAX {
        return Err(bad("longer than an entry may be"));
    }
    let value = canonical::from_slice("batch header", header)?;
    let fields = exactly(&value, &["at", "dsse", "id", "kind", "maker", "v"]).map_err(|why| bad(&why))?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != "batch" || fields.get("v").and_then(Value::as_u64) != Some(1) {
        return Err(bad("kind must be `batch` and v 1"));
    }
    if text("at").is_empty() || text("id").is_empty() {
        return Err(bad("at and id must be text"));
    }
    let envelope = Envelope::from_value(fields.get("dsse").unwrap_or(&Value::Null))?;
    if text("maker") != envelope.keyid {
        return Err(bad("maker and keyid must be equal"));
    }
    let payload = envelope.open(BATCH_PAYLOAD_TYPE, key)?;
    let claims = read_claims(&canonical::from_slice("batch claims", &payload)?)?;
    check(&claims, key.name())?;
    Ok(claims)
}

/// What a header says, unchecked: only for bytes that [`open`] let pass before.
///
/// # Errors
/// When the bytes are not a header.
pub fn claimed(header: &[u8]) -> Result<Claims, Error> {
    let value: Value = serde_json::from_slice(header)
        .map_err(|fault| Error::malformed("batch header", fault.to_string()))?;
    let envelope = Envelope::from_value(value.get("dsse").unwrap_or(&Value::Null))?;
    read_claims(&canonical::from_slice("batch claims", &envelope.payload()?)?)
}

fn read_claims(value: &Value) -> Result<Claims, Error> {
    let bad = |why: String| Error::malformed("batch claims", why);
    let names = ["count", "epoch", "final", "first_seq", "gateway", "previous", "root"];
    let fields = exactly(value, &names).map_err(bad)?;
    let read = || {
        let number = |name: &str| fields.get(name)?.as_u64();
        let hash = |name: &str| unhex(fields.get(name)?.as_str()?);
        Some(Claims {
            gateway: fields.get("gateway")?.as_str()?.into(),
            epoch: number("epoch")?,
            first_seq: number("first_seq")?,
            count: number("count")?,
            root: hash("root")?,
            previous: hash("previous")?,
            last: fields.get("final")?.as_bool()?,
        })
    };
    read().ok_or_else(|| bad("a field has the wrong type".into()))
}

fn check(claims: &Claims, key_name: &str) -> Result<(), Error> {
    let bad = |why: String| Err(Error::malformed("batch claims", why));
    if claims.gateway != key_name {
        return bad(format!(
            "gateway `{}` must be the name of its key, `{key_name}`",
            claims.gateway.escape_debug()
        ));
    }
    if claims.count > BATCH_ENTRIES_MAX as u64 {
        return Err(Error::TooLarge {
            what: "batch",
            found: claims.count,
            allowed: BATCH_ENTRIES_MAX as u64,
        });
    }
    if claims.count == 0 && !claims.last {
        return bad("count 0 is allowed only in the final batch of an epoch".into());
    }
    let within = |number: u64| (1..=WHOLE_NUMBER_MAX).contains(&number);
    if !within(claims.epoch) || !within(claims.first_seq) || claims.last_seq() > WHOLE_NUMBER_MAX {
        return bad(format!("epoch and seq must lie within 1 and {WHOLE_NUMBER_MAX}"));
    }
    Ok(())
}

/// The fields of an object that has these and no others.
fn exactly<'v>(value: &'v Value, names: &[&str]) -> Result<&'v Map<String, Value>, String> {
    match value.as_object() {
        Some(fields)
            if fields.len() == names.len() && names.iter().all(|name| fields.contains_key(*name)) =>
        {
            Ok(fields)
        }
        _ => Err(format!("expected an object with exactly the fields {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            gateway: "gw-1".into(),
            epoch: 1_795_000_000_000,
            first_seq: 5,
            count: 3,
            root: [1; 32],
            previous: [2; 32],
            last: false,
        }
    }

    const AT: &str = "2026-11-22T10:00:00.000000Z";
    const ID: &str = "01936a5e-0000-7000-8000-000000000001";

    #[test]
    fn a_header_opens_as_it_was_sealed_and_any_other_byte_is_refused() {
        let key = SigningKey::from_seed("gw-1", &[1; 32]).unwrap();
        let header = seal(&key, &claims(), AT, ID).unwrap();
        assert_eq!(canonical::to_vec(&serde_json::from_slice(&header).unwrap()).unwrap(), header);
        assert_eq!(open(&header, &key.verifying()).unwrap(), claims());
        assert_eq!(claimed(&header).unwrap(), claims());
        assert_eq!(claims().last_seq(), 7);
        // `at` and `id` stand outside the signature; the chain of header digests guards them.
        let dsse = header.windows(6).position(|at| at == b"\"dsse\"").unwrap();
        let end = header.windows(4).position(|at| at == b"\"id\"").unwrap();
        for place in dsse..end {
            let mut bad = header.clone();
            bad[place] ^= 1;
            assert!(open(&bad, &key.verifying()).is_err(), "byte {place}");
        }
    }

    #[test]
    fn claims_out_of_bounds_are_refused() {
        let key = SigningKey::from_seed("gw-1", &[1; 32]).unwrap();
        let sealed = |change: fn(&mut Claims)| {
            let mut changed = claims();
            change(&mut changed);
            seal(&key, &changed, AT, ID)
        };
        assert!(sealed(|c| c.gateway = "gw-2".into()).is_err());
        assert!(sealed(|c| c.count = 0).is_err());
        assert!(sealed(|c| (c.count, c.last) = (0, true)).is_ok());
        assert!(sealed(|c| c.count = 4_097).is_err());
        assert!(sealed(|c| c.first_seq = 0).is_err());
        assert!(sealed(|c| c.epoch = 0).is_err());
        assert!(sealed(|c| c.first_seq = WHOLE_NUMBER_MAX).is_err());
        let other = SigningKey::from_seed("gw-1", &[2; 32]).unwrap();
        let header = seal(&key, &claims(), AT, ID).unwrap();
        assert!(open(&header, &other.verifying()).is_err());
    }
}
