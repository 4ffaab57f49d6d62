//! Frames: how one signed batch lies in a spool file; it never opens, writes or removes a file.
//!
//! ```text
//! "CLYF" | length of payload, u32 LE | first 16 bytes of BLAKE3(payload) | payload = evidence.v1.Batch
//! ```
//! The payload is written by hand, byte for byte as any protobuf writer would: the entries go from the page to the
//! frame in one copy.

use super::pen::Page;
use bytes::{Buf, Bytes};
use clyra_proto::evidence::Batch;
use std::{fs::File, io, os::unix::fs::FileExt};

/// Appends the frame of a batch.
pub(super) fn append(out: &mut Vec<u8>, header: &[u8], page: &Page) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    append_field(out, HEADER_TAG, header);
    for entry in page.entries() {
        append_field(out, ENTRY_TAG, entry);
    }
    let Some((head, payload)) =
        out.get_mut(start..).and_then(|frame| frame.split_first_chunk_mut::<HEAD_BYTES>())
    else {
        return;
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    *head = Head { length, sum: sum(payload) }.to_bytes();
}

/// What lies at a place of a spool file.
#[derive(Debug)]
pub(super) enum Found {
    /// A whole frame: its payload, and where the next one begins.
    Frame(Bytes, u64),
    /// The file ends here.
    End,
    /// No whole frame: cut short, or changed.
    Broken,
}

/// Reads the frame at `offset` of a file of which `length` bytes count.
pub(super) fn read(file: &File, offset: u64, length: u64) -> io::Result<Found> {
    let left = length.saturating_sub(offset);
    if left == 0 {
        return Ok(Found::End);
    }
    let mut head = [0; HEAD_BYTES];
    if left < HEAD_BYTES as u64 {
        return Ok(Found::Broken);
    }
    file.read_exact_at(&mut head, offset)?;
    let Some(head) = Head::parse(&head) else { return Ok(Found::Broken) };
    let payload_bytes = u64::from(head.length);
    if payload_bytes > PAYLOAD_BYTES_MAX || payload_bytes > left - HEAD_BYTES as u64 {
        return Ok(Found::Broken);
    }
    let mut payload = vec![0; usize::try_from(payload_bytes).unwrap_or_default()];
    file.read_exact_at(&mut payload, offset + HEAD_BYTES as u64)?;
    if sum(&payload) != head.sum {
        return Ok(Found::Broken);
    }
    Ok(Found::Frame(payload.into(), offset + HEAD_BYTES as u64 + payload_bytes))
}

/// Whether a whole frame begins anywhere after `offset`: then what lies at `offset` is no torn end.
pub(super) fn any_beyond(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    let mut rest = vec![0; usize::try_from(length.saturating_sub(offset)).unwrap_or_default()];
    file.read_exact_at(&mut rest, offset)?;
    Ok((1..rest.len()).any(|at| rest.get(at..).is_some_and(is_frame)))
}

/// The batch that a payload holds; `None` when it is not one.
pub(super) fn batch(mut payload: Bytes) -> Option<Batch> {
    let header = take_field(&mut payload, HEADER_TAG)?;
    let mut entries = Vec::new();
    while !payload.is_empty() {
        entries.push(take_field(&mut payload, ENTRY_TAG)?);
    }
    Some(Batch { header, entries })
}

/// The fixed part of a frame.
struct Head {
    length: u32,
    sum: [u8; SUM_BYTES],
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let parts =
            MAGIC.iter().chain(&self.length.to_le_bytes()).chain(&self.sum).copied().collect::<Vec<u8>>();
        bytes.copy_from_slice(&parts);
        bytes
    }

    fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (sum, _) = rest.split_first_chunk::<SUM_BYTES>()?;
        Some(Self { length: u32::from_le_bytes(*length), sum: *sum })
    }
}

fn is_frame(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return false };
    let Some(head) = Head::parse(head) else { return false };
    let payload = usize::try_from(head.length).ok().and_then(|length| rest.get(..length));
    payload.is_some_and(|payload| sum(payload) == head.sum)
}

fn append_field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    let mut length = value.len();
    while length >= 0x80 {
        out.push(low_seven(length) | 0x80);
        length >>= 7;
    }
    out.push(low_seven(length));
    out.extend_from_slice(value);
}

fn take_field(payload: &mut Bytes, tag: u8) -> Option<Bytes> {
    if payload.try_get_u8().ok()? != tag {
        return None;
    }
    let mut length = 0_usize;
    for shift in [0, 7, 14, 21] {
        let byte = payload.try_get_u8().ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (length <= payload.len()).then(|| payload.split_to(length));
        }
    }
    None
}

fn low_seven(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

fn sum(payload: &[u8]) -> [u8; SUM_BYTES] {
    let digest = blake3::hash(payload);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

const MAGIC: [u8; 4] = *b"CLYF";
const SUM_BYTES: usize = 16;
const HEAD_BYTES: usize = 24;
const PAYLOAD_BYTES_MAX: u64 = 16 << 20;
/// Field 1, bytes.
const HEADER_TAG: u8 = 0x0a;
/// Field 2, bytes.
const ENTRY_TAG: u8 = 0x12;
