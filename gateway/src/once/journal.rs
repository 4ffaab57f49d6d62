//! One record of the journal of keys, as bytes and back. It opens no file.
//!
//! A record: length of the rest (2 bytes), fate (1), key (32), print (32), end of its time in microseconds (8), receipt
//! (16), answer (the rest but 8), check (8). A claim is in the system's hands before the change is sent on.

use super::{Key, Print};
use uuid::Uuid;

/// What the journal says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) print: Print,
    pub(super) expires_us: u64,
    pub(super) receipt: Uuid,
    pub(super) fate: Fate,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// How it was answered, where that may be kept.
    Done(Option<Vec<u8>>),
    Released,
    Unknown,
}

/// The record as bytes.
pub(super) fn encoded(record: &Record) -> Vec<u8> {
    let (word, said): (u8, &[u8]) = match &record.fate {
        Fate::Open => (1, &[]),
        Fate::Done(None) => (2, &[]),
        Fate::Released => (3, &[]),
        Fate::Unknown => (4, &[]),
        // An answer without rows is short; one that is not is not kept.
        Fate::Done(Some(said)) if said.len() <= SAID_BYTES_MAX => (5, said),
        Fate::Done(Some(_)) => (2, &[]),
    };
    let length = u16::try_from(FIXED_BYTES + said.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(usize::from(length) + 2);
    bytes.extend(length.to_be_bytes());
    bytes.push(word);
    bytes.extend(record.key);
    bytes.extend(record.print);
    bytes.extend(record.expires_us.to_be_bytes());
    bytes.extend(record.receipt.as_bytes());
    bytes.extend(said);
    let check = check(&bytes);
    bytes.extend(check);
    bytes
}

/// The first record, and how many bytes it takes; nothing where it is not whole.
pub(super) fn decoded(bytes: &[u8]) -> Option<(Record, usize)> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let whole = bytes.get(..length + 2)?;
    let (body, sum) = whole.split_last_chunk::<8>()?;
    if length < FIXED_BYTES || check(body) != *sum {
        return None;
    }
    let (word, rest) = rest.get(..length - 8)?.split_first()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    let (print, rest) = rest.split_first_chunk::<32>()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (receipt, said) = rest.split_first_chunk::<16>()?;
    let fate = match word {
        1 => Fate::Open,
        2 => Fate::Done(None),
        3 => Fate::Released,
        4 => Fate::Unknown,
        5 => Fate::Done(Some(said.to_vec())),
        _ => return None,
    };
    let record = Record {
        key: *key,
        print: *print,
        expires_us: u64::from_be_bytes(*expires),
        receipt: Uuid::from_bytes(*receipt),
        fate,
    };
    Some((record, length + 2))
}

fn check(bytes: &[u8]) -> [u8; 8] {
    blake3::hash(bytes).as_bytes().first_chunk::<8>().copied().unwrap_or_default()
}

/// Bytes of a record without an answer, behind its length.
const FIXED_BYTES: usize = 1 + 32 + 32 + 8 + 16 + 8;
const SAID_BYTES_MAX: usize = 4_096;
