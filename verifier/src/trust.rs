//! The reader's own list of keys: which log, which gateways, which recorders; nothing is ever added to it from evidence.

use crate::Error;
use crate::error::{Flaw, flaw};
use crate::json::text;
use crate::quorum::Quorum;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use std::str::FromStr;

/// The trust file (spec page `trust.md`): a C2SP `tlog-policy` with `maker` lines of our own.
///
/// It is parsed from its text with [`str::parse`].
#[derive(Clone, Debug)]
pub struct Trust {
    keys: Vec<(Role, Key)>,
    quorum: Quorum,
}

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Checkpoints.
    Log,
    /// Batch headers.
    Gateway,
    /// Manifests.
    Recorder,
    /// Orders to turn the kill switch.
    Operator,
}

/// A C2SP verification key: name, id and an Ed25519 point that is not weak.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its name; a log's origin, a gateway's id.
    pub(crate) name: String,
    /// First four bytes of SHA-256 over name, newline, type and point.
    pub(crate) hash: [u8; 4],
    /// `name+hex8`, the `maker` of entries and the `keyid` of envelopes.
    pub(crate) id: String,
    point: VerifyingKey,
}

impl Trust {
    /// Who must have seen a checkpoint.
    pub(crate) fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The trusted keys with this role.
    pub(crate) fn keys(&self, role: Role) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |(of, _)| *of == role).map(|(_, key)| key)
    }
}

impl FromStr for Trust {
    type Err = Error;

    fn from_str(content: &str) -> Result<Self, Error> {
        let mut keys: Vec<(Role, Key)> = Vec::new();
        let mut quorum = Quorum::default();
        if content.len() > TRUST_BYTES_MAX {
            return Err(Error::Trust {
                line: 0,
                flaw: format!("{} bytes, at most {TRUST_BYTES_MAX} are read", content.len()),
            });
        }
        for (number, line) in content.split('\n').enumerate() {
            let told = |flaw: Flaw| Error::Trust { line: number + 1, flaw: flaw.0 };
            match line_of(line).map_err(told)? {
                Line::Nothing => {}
                Line::Quorum(name) => quorum.needs(name).map_err(told)?,
                Line::Group(name, needs, members) => quorum.group(name, needs, &members).map_err(told)?,
                Line::Key(_, key) | Line::Witness(_, key)
                    if keys
                        .iter()
                        .map(|(_, held)| held)
                        .chain(quorum.witnesses())
                        .any(|held| held.point == key.point) =>
                {
                    return Err(told(Flaw(format!(
                        "the key of `{}` stands there already, one key has one role",
                        key.id
                    ))));
                }
                Line::Key(role, key) => keys.push((role, *key)),
                Line::Witness(name, key) => quorum.witness(name, *key).map_err(told)?,
            }
        }
        let whole = |flaw: &str| Err(Error::Trust { line: 0, flaw: flaw.to_owned() });
        if !keys.iter().any(|(role, _)| *role == Role::Log) {
            return whole("no `log` line, at least one is needed");
        }
        if !quorum.is_said() {
            return whole("exactly one `quorum` line is needed, as `quorum none`");
        }
        Ok(Self { keys, quorum })
    }
}

impl Key {
    /// Reads `name+hex8+base64(0x01 || point)`.
    pub(crate) fn parse(vkey: &str) -> Result<Self, Flaw> {
        Self::parse_as(ED25519, vkey)
    }

    /// Reads `name+hex8+base64(type || point)` of this type.
    pub(crate) fn parse_as(of: u8, vkey: &str) -> Result<Self, Flaw> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(hash), Some(blob)) = (parts.next(), parts.next(), parts.next()) else {
            return flaw(format!("`{vkey}` is not a key, `name+hash+base64` is"));
        };
        if !text::is_key_name(name) {
            return flaw(format!("`{name}` is not a key name, 1 to 100 of `A-Z a-z 0-9 . _ - /` are"));
        }
        let blob = text::base64(blob).map_err(|flaw| flaw.at(format_args!("key `{name}`")))?;
        let Some(point) = blob.strip_prefix(&[of]) else {
            return flaw(format!(
                "key `{name}` is not an Ed25519 key of this use, the first byte must be {of}"
            ));
        };
        let Some(point) =
            <&[u8; 32]>::try_from(point).ok().and_then(|bytes| VerifyingKey::from_bytes(bytes).ok())
        else {
            return flaw(format!("key `{name}` is not a point of Ed25519 in 32 bytes"));
        };
        if point.is_weak() {
            return flaw(format!("key `{name}` is weak: it would accept signatures that nobody made"));
        }
        let digest = Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&blob).finalize();
        let computed = digest.first_chunk::<4>().copied().unwrap_or_default();
        if text::hex::<4>(hash) != Ok(computed) {
            return flaw(format!(
                "key `{name}` has hash `{hash}`, its point gives `{}`",
                text::to_hex(&computed)
            ));
        }
        Ok(Self { id: format!("{name}+{hash}"), name: name.to_owned(), hash: computed, point })
    }

    /// Whether this key made this signature; strict, so that there is one answer for all verifiers.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.point.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

enum Line<'l> {
    Nothing,
    Quorum(&'l str),
    Key(Role, Box<Key>),
    Witness(&'l str, Box<Key>),
    Group(&'l str, &'l str, Vec<&'l str>),
}

fn line_of(line: &str) -> Result<Line<'_>, Flaw> {
    if line.starts_with('#') {
        return Ok(Line::Nothing);
    }
    let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    match *words.as_slice() {
        [] => Ok(Line::Nothing),
        ["quorum", name] => Ok(Line::Quorum(name)),
        ["witness", name, vkey] => Ok(Line::Witness(name, Box::new(Key::parse_as(COSIGNATURE, vkey)?))),
        ["group", name, needs, ref members @ ..] if !members.is_empty() => {
            Ok(Line::Group(name, needs, members.to_vec()))
        }
        ["log", vkey] => Ok(Line::Key(Role::Log, Box::new(Key::parse(vkey)?))),
        ["maker", "gateway", vkey] => Ok(Line::Key(Role::Gateway, Box::new(Key::parse(vkey)?))),
        ["maker", "recorder", vkey] => Ok(Line::Key(Role::Recorder, Box::new(Key::parse(vkey)?))),
        ["maker", "operator", vkey] => Ok(Line::Key(Role::Operator, Box::new(Key::parse(vkey)?))),
        _ => flaw(format!(
            "`{line}` is not understood, allowed are `log KEY`, `witness NAME KEY`, `group NAME all|any|K MEMBER…`, `quorum NAME|none`, `maker gateway KEY`, `maker recorder KEY`, `maker operator KEY` and `#` comments"
        )),
    }
}

/// Type byte of an Ed25519 key of notes.
const ED25519: u8 = 0x01;
/// Type byte of an Ed25519 key of cosignatures.
pub(crate) const COSIGNATURE: u8 = 0x04;
/// Longest trust file, in bytes.
const TRUST_BYTES_MAX: usize = 64 << 10;
