//! Reads who may approve and what needs it: `require_approval` and `approvers`; it never checks a signature.

use super::window::changes;
use crate::file::fields::{Fault, Fields, label, list, list_of, only_true};
use crate::file::rules::verbs;
use crate::file::yaml::{Spot, Yaml};
use crate::guard::{Consent, Guard};
use crate::policy::Approver;
use sha2::{Digest as _, Sha256};

/// `true`, or `{verbs, approvers}`; without names, everybody in `approvers:` of the file.
pub(super) fn require_approval(value: &Spot<Yaml>) -> Result<Consent, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return only_true(value).map(|()| Consent { verbs: changes(), approvers: Box::default() });
    }
    let fields = Fields::new(value, &["verbs", "approvers"])?;
    if fields.is_empty() {
        return Err(Fault::at(value, "an empty map; give at least one of: verbs, approvers"));
    }
    Ok(Consent {
        verbs: fields.optional("verbs", verbs)?.unwrap_or_else(changes),
        approvers: fields.optional("approvers", |value| list_of(value, label))?.unwrap_or_default(),
    })
}

/// Gives a rule that asks for approvals those who may approve; `place` is where its id stands.
pub(crate) fn with_approvers(place: &Spot<Yaml>, guard: &mut Guard, all: &[Approver]) -> Result<(), Fault> {
    let Guard::RequireApproval(consent) = guard else { return Ok(()) };
    let names = || all.iter().map(|one| one.name.clone());
    if all.is_empty() {
        return Err(Fault::at(place, "a rule that asks for approvals, and no `approvers` in the file"));
    }
    if consent.approvers.is_empty() {
        consent.approvers = names().collect();
    }
    match consent.approvers.iter().find(|name| !names().any(|one| one == **name)) {
        Some(name) => {
            let known = names().collect::<Vec<_>>().join(", ");
            Err(Fault::at(place, format!("`{name}` is none of the file's `approvers`; allowed: {known}")))
        }
        None => Ok(()),
    }
}

/// The file's `approvers`: names and keys, each once.
pub(crate) fn approvers(value: &Spot<Yaml>) -> Result<Box<[Approver]>, Fault> {
    let mut all: Vec<Approver> = Vec::new();
    for one in list(value)? {
        let fields = Fields::new(one, &["name", "key"])?;
        let found = Approver { name: fields.required("name", label)?, key: fields.required("key", key)? };
        if all.iter().any(|known| known.name == found.name || known.key == found.key) {
            return Err(Fault::at(one, format!("approver `{}`: name or key stand here twice", found.name)));
        }
        all.push(found);
    }
    Ok(all.into())
}

/// `name+hash+base64`, the text form of an Ed25519 public key.
pub(super) fn key(value: &Spot<Yaml>) -> Result<Box<str>, Fault> {
    let text = label(value)?;
    let read = || {
        let (name, rest) = text.split_once('+')?;
        let (hash, encoded) = rest.split_once('+')?;
        let bytes = base64(encoded).filter(|bytes| bytes.len() == 33 && bytes.first() == Some(&1))?;
        let digest = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&bytes).finalize();
        let begin: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        (begin == hash).then_some(())
    };
    match read() {
        Some(()) => Ok(text),
        None => Err(Fault::at(
            value,
            format!("`{text}` is no public key; allowed: `name+hash+base64`, as `clyra keygen` prints it"),
        )),
    }
}

/// Standard base64 with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits.bytes() {
        let place = BASE64.iter().position(|one| *one == digit)?;
        bits = (bits << 6 | u32::try_from(place).ok()?) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
