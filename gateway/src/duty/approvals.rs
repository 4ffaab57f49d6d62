//! Approvals that stand at this gateway: signed by an approver, journalled before they count, used at most once. It
//! never decides what needs one; the judge does.
//!
//! The journal is a file of lines. A use is on disk before the message is sent on, so that a crash between the two costs
//! the approval and never lets a message run twice.

use crate::Error;
use clyra_policy::Given;
use clyra_seal::{canonical, dsse::Envelope, key::VerifyingKey};
use clyra_spec::{limits::LABEL_BYTES_MAX, media::APPROVAL_PAYLOAD_TYPE};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One approval, as the gateway keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    pub(crate) id: String,
    pub(crate) approver: String,
    /// Id of the key that signed.
    pub(crate) key: String,
    pub(crate) digest: String,
    pub(crate) reason: String,
    pub(crate) given_us: u64,
    pub(crate) expires_us: u64,
    pub(crate) state: State,
}

/// What has become of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It counts, until it expires.
    Given,
    /// A message has passed for it.
    Used,
    /// It was taken back.
    Revoked,
}

/// Why an approval is not taken, for the one who gives it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The envelope, or what it holds, is not as it must be.
    #[error("{0}")]
    Malformed(String),
    /// No such approval stands.
    #[error("approval `{0}` is not known, or does not count any more")]
    Unknown(String),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] Error),
}

/// All approvals of one gateway.
#[derive(Debug)]
pub(crate) struct Approvals {
    path: PathBuf,
    /// Taken only by callers whose rules ask for approvals, and by the admin service.
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    journal: Option<File>,
    by_id: BTreeMap<String, Approval>,
    by_digest: BTreeMap<String, Vec<String>>,
}

impl Approvals {
    /// The approvals as the journal left them; what is long expired is dropped. A journal that cannot be read keeps the
    /// gate shut: it is an error.
    pub(crate) fn open(path: PathBuf, now_us: u64) -> Result<Self, Error> {
        let fault = |source| Error::Data { path: path.clone(), source };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(fault(error)),
        };
        let mut book = Book { journal: None, by_id: BTreeMap::new(), by_digest: BTreeMap::new() };
        // What stands after the last line end was never acted on.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            let approval: Approval = serde_json::from_str(line)
                .map_err(|error| Error::Damaged { path: path.clone(), why: error.to_string() })?;
            book.keep(approval);
        }
        book.by_id.retain(|_, one| one.expires_us.saturating_add(KEPT_US) > now_us);
        book.rewrite(&path).map_err(fault)?;
        Ok(Self { path, book: Mutex::new(book) })
    }

    /// Those that count for a message with this digest, by an approver whose key still stands in the policy.
    pub(crate) fn standing(&self, digest: &str, approvers: &[Signer], now_us: u64) -> Vec<Given> {
        let book = self.lock();
        let ids = book.by_digest.get(digest).map(Vec::as_slice).unwrap_or_default();
        let standing = ids.iter().filter_map(|id| book.by_id.get(id)).filter(|one| {
            one.counts(now_us)
                && approvers.iter().any(|signer| *signer.name == *one.approver && signer.key.id() == one.key)
        });
        standing.map(|one| Given { id: (*one.id).into(), approver: (*one.approver).into() }).collect()
    }

    /// Uses approvals up, all or none; no when one of them does not count any more.
    pub(crate) fn use_up(&self, ids: &[Box<str>], now_us: u64) -> Result<bool, Error> {
        let mut book = self.lock();
        let found: Option<Vec<Approval>> =
            ids.iter().map(|id| book.by_id.get(&**id).filter(|one| one.counts(now_us)).cloned()).collect();
        let Some(mut found) = found else { return Ok(false) };
        found.iter_mut().for_each(|one| one.state = State::Used);
        self.write(&mut book, found)?;
        Ok(true)
    }

    /// Reads what an approver has signed, without taking it yet.
    pub(crate) fn read(&self, bytes: &[u8], signers: &[Signer], now_us: u64) -> Result<Approval, Refused> {
        let approval = signed(bytes, signers, now_us)?;
        let book = self.lock();
        if book.by_id.contains_key(&approval.id) {
            return Err(Refused::Malformed(format!("approval `{}` is known already", approval.id)));
        }
        if book.by_id.len() >= APPROVALS_MAX {
            let why = format!("{APPROVALS_MAX} approvals are kept already; wait until some have expired");
            return Err(Refused::Malformed(why));
        }
        Ok(approval)
    }

    /// Takes an approval: durable, then it counts.
    pub(crate) fn give(&self, approval: Approval) -> Result<(), Error> {
        let mut book = self.lock();
        if book.by_id.contains_key(&approval.id) {
            return Ok(());
        }
        self.write(&mut book, vec![approval])
    }

    /// Takes an approval back.
    pub(crate) fn revoke(&self, id: &str, now_us: u64) -> Result<Approval, Refused> {
        let mut book = self.lock();
        let found = book.by_id.get(id).filter(|one| one.counts(now_us)).cloned();
        let found = found.ok_or_else(|| Refused::Unknown(id.to_owned()))?;
        let revoked = Approval { state: State::Revoked, ..found };
        self.write(&mut book, vec![revoked.clone()])?;
        Ok(revoked)
    }

    /// All that are kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Approval> {
        let mut all: Vec<_> = self.lock().by_id.values().cloned().collect();
        all.sort_by_key(|one| one.given_us);
        all
    }

    fn write(&self, book: &mut Book, changed: Vec<Approval>) -> Result<(), Error> {
        let fault = |source| Error::Data { path: self.path.clone(), source };
        let mut lines = Vec::new();
        for one in &changed {
            serde_json::to_writer(&mut lines, one).map_err(|error| fault(error.into()))?;
            lines.push(b'\n');
        }
        let Some(journal) = &mut book.journal else {
            return Err(fault(std::io::Error::other("an earlier line may be torn; start the gateway again")));
        };
        if let Err(error) = journal.write_all(&lines).and_then(|()| journal.sync_data()) {
            // Nothing more is added behind a line that may be torn, and what stands is not used any more.
            book.journal = None;
            return Err(fault(error));
        }
        changed.into_iter().for_each(|one| book.keep(one));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn keep(&mut self, approval: Approval) {
        let ids = self.by_digest.entry(approval.digest.clone()).or_default();
        if !ids.contains(&approval.id) {
            ids.push(approval.id.clone());
        }
        self.by_id.insert(approval.id.clone(), approval);
    }

    /// Writes what is left into a new journal, and goes on in it.
    fn rewrite(&mut self, path: &Path) -> std::io::Result<()> {
        let kept: Vec<Approval> = self.by_id.values().cloned().collect();
        self.by_digest.clear();
        let mut lines = Vec::new();
        for one in kept {
            serde_json::to_writer(&mut lines, &one)?;
            lines.push(b'\n');
            self.keep(one);
        }
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(&lines)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.journal = Some(OpenOptions::new().append(true).open(path)?);
        Ok(())
    }
}

impl Approval {
    fn counts(&self, now_us: u64) -> bool {
        self.state == State::Given && now_us < self.expires_us
    }
}

/// Somebody whose signature the policy believes.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) name: Box<str>,
    pub(crate) key: VerifyingKey,
}

/// What the approver signs; the field `v` is 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    approver: String,
    digest: String,
    expires: String,
    id: String,
    reason: String,
    v: u32,
}

/// Reads an envelope down to its last field; the signature first.
fn signed(bytes: &[u8], signers: &[Signer], now_us: u64) -> Result<Approval, Refused> {
    let bad = |why: &str| Refused::Malformed(why.to_owned());
    let seal = |error: clyra_seal::Error| Refused::Malformed(error.to_string());
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(bad("the approval is longer than 16 KiB"));
    }
    let envelope = Envelope::from_slice(bytes).map_err(seal)?;
    let signer = signers.iter().find(|one| one.key.id() == envelope.keyid).ok_or_else(|| {
        let key = envelope.keyid.escape_debug();
        Refused::Malformed(format!("key `{key}` is none of the policy's `approvers`"))
    })?;
    let payload = envelope.open(APPROVAL_PAYLOAD_TYPE, &signer.key).map_err(seal)?;
    canonical::from_slice("approval", &payload).map_err(seal)?;
    let said: Payload =
        serde_json::from_slice(&payload).map_err(|error| Refused::Malformed(error.to_string()))?;
    if said.v != 1 || said.approver != *signer.name {
        return Err(Refused::Malformed(format!("the key is that of `{}`, version 1 is known", signer.name)));
    }
    let id = uuid::Uuid::parse_str(&said.id).ok().filter(|id| id.get_version_num() == 7);
    if id.is_none_or(|id| id.hyphenated().to_string() != said.id) {
        return Err(bad("`id` must be a UUIDv7 in lower case"));
    }
    if said.digest.len() != 32 || !said.digest.bytes().all(|one| matches!(one, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(bad("`digest` must be 32 lower-case hex digits, as the refusal names them"));
    }
    if said.reason.trim().is_empty() || said.reason.len() > LABEL_BYTES_MAX {
        return Err(bad("`reason` must say something, in at most 255 bytes"));
    }
    let expires = said.expires.parse::<jiff::Timestamp>().ok().filter(|_| said.expires.ends_with('Z'));
    let expires_us = expires.and_then(|time| u64::try_from(time.as_microsecond()).ok()).unwrap_or(0);
    if expires_us <= now_us || expires_us > now_us.saturating_add(LIFE_US_MAX) {
        return Err(bad("`expires` must lie ahead, by 30 days at most"));
    }
    Ok(Approval {
        id: said.id,
        approver: said.approver,
        key: envelope.keyid,
        digest: said.digest,
        reason: said.reason,
        given_us: now_us,
        expires_us,
        state: State::Given,
    })
}

const APPROVALS_MAX: usize = 10_000;
const ENVELOPE_BYTES_MAX: usize = 16 << 10;
const DAY_US: u64 = 86_400_000_000;
const LIFE_US_MAX: u64 = 30 * DAY_US;
/// So long an approval is remembered after it has expired, should the clock go back.
const KEPT_US: u64 = DAY_US;

#[cfg(test)]
mod tests {
    use super::*;
    use clyra_seal::{dsse, key::SigningKey};
    use serde_json::{Value, json};

    const ID: &str = "01936a5e-0000-7000-8000-000000000003";
    const NOW: u64 = 1_795_000_000_000_000;

    fn ann() -> SigningKey {
        SigningKey::from_seed("ann", &[1; 32]).unwrap()
    }

    fn signers() -> Vec<Signer> {
        vec![Signer { name: "ann".into(), key: ann().verifying() }]
    }

    fn envelope(key: &SigningKey, changed: impl FnOnce(&mut Value)) -> Vec<u8> {
        let expires = jiff::Timestamp::from_microsecond(i64::try_from(NOW + 3_600_000_000).unwrap()).unwrap();
        let mut payload = json!({
            "approver": "ann", "digest": "0123456789abcdef0123456789abcdef", "expires": expires.to_string(),
            "id": ID, "reason": "ticket 7", "v": 1,
        });
        changed(&mut payload);
        let payload = canonical::to_vec(&payload).unwrap();
        dsse::sign(APPROVAL_PAYLOAD_TYPE, &payload, key).to_vec().unwrap()
    }

    #[test]
    fn only_what_an_approver_signed_is_read() {
        assert_eq!(signed(&envelope(&ann(), |_| {}), &signers(), NOW).unwrap().reason, "ticket 7");
        for (field, value, why) in [
            ("approver", json!("bob"), "the key is that of `ann`"),
            ("digest", json!("0123"), "32 lower-case hex"),
            ("expires", json!("2026-11-18T00:00:00Z"), "lie ahead"),
            ("expires", json!("2036-11-18T00:00:00Z"), "lie ahead"),
            ("id", json!("01936a5e-0000-4000-8000-000000000003"), "UUIDv7"),
            ("reason", json!(" "), "must say something"),
            ("v", json!(2), "version 1"),
            ("more", json!(1), "unknown field"),
        ] {
            let said = signed(&envelope(&ann(), |payload| payload[field] = value), &signers(), NOW);
            let said = said.unwrap_err().to_string();
            assert!(said.contains(why), "{field}: {said}");
        }
        let eve = SigningKey::from_seed("ann", &[9; 32]).unwrap();
        assert!(signed(&envelope(&eve, |_| {}), &signers(), NOW).is_err());
        let good = envelope(&ann(), |_| {});
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            assert!(signed(&bad, &signers(), NOW).is_err(), "byte {place}");
        }
    }

    #[test]
    fn one_use_over_crashes_and_torn_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("approvals.jsonl");
        let open = || Approvals::open(path.clone(), NOW).unwrap();
        let book = open();
        let bytes = envelope(&ann(), |_| {});
        let approval = book.read(&bytes, &signers(), NOW).unwrap();
        book.give(approval.clone()).unwrap();
        let digest = approval.digest.as_str();
        let ids: [Box<str>; 1] = [ID.into()];
        // It counts after a crash, for a key that still stands, and in time.
        let book = open();
        assert_eq!(book.standing(digest, &signers(), NOW).len(), 1);
        assert!(book.standing(digest, &[], NOW).is_empty());
        assert!(book.standing(digest, &signers(), NOW + 2 * 3_600_000_000).is_empty());
        assert!(book.use_up(&ids, NOW).unwrap());
        assert!(!book.use_up(&ids, NOW).unwrap());
        // It stays used, and the same signature is not taken again.
        let mut journal = OpenOptions::new().append(true).open(&path).unwrap();
        journal.write_all(b"{\"id\":\"torn").unwrap();
        let book = open();
        assert!(book.standing(digest, &signers(), NOW).is_empty());
        assert!(!book.use_up(&ids, NOW).unwrap());
        assert!(book.read(&bytes, &signers(), NOW).is_err());
        assert!(matches!(book.revoke(ID, NOW), Err(Refused::Unknown(_))));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(matches!(Approvals::open(path.clone(), NOW), Err(Error::Damaged { .. })));
    }

    #[test]
    fn only_one_of_many_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let book = Approvals::open(folder.path().join("a.jsonl"), NOW).unwrap();
        book.give(book.read(&envelope(&ann(), |_| {}), &signers(), NOW).unwrap()).unwrap();
        let uses = std::thread::scope(|scope| {
            let tries: Vec<_> =
                (0..8).map(|_| scope.spawn(|| book.use_up(&[ID.into()], NOW).unwrap())).collect();
            tries.into_iter().filter(|_| true).map(|one| one.join().unwrap()).filter(|used| *used).count()
        });
        assert_eq!(uses, 1);
    }
}
