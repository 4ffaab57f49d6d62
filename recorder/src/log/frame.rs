//! One group commit on disk: all batches that became durable together, under one checksum. It never holds half a batch.

use crate::Error;
use bytes::Bytes;
use clyra_proto::evidence::Batch;
use prost::Message as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// A frame read back.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Log index of the first batch's header.
    pub(crate) index: u64,
    pub(crate) batches: Vec<Batch>,
    /// Offset behind the frame.
    pub(crate) end: u64,
}

impl Frame {
    /// Log index behind the last entry of the frame.
    pub(crate) fn next_index(&self) -> u64 {
        self.index + self.batches.iter().map(|batch| batch.entries.len() as u64 + 1).sum::<u64>()
    }
}

/// Bytes of a frame: magic, length, index, checksum over the latter two and the payload, payload.
pub(crate) fn encode<'b>(index: u64, batches: impl Iterator<Item = &'b Batch>) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEAD];
    for batch in batches {
        // Writing to a Vec cannot run out of room.
        batch.encode_length_delimited(&mut bytes).map_err(|fault| Error::mismatch(fault.to_string()))?;
    }
    let length = u32::try_from(bytes.len() - HEAD).map_err(|_| Error::mismatch("a frame beyond 4 GiB"))?;
    let (head, payload) = bytes.split_at_mut(HEAD);
    let sum = checksum(length, index, payload);
    let parts = MAGIC.iter().copied().chain(length.to_le_bytes()).chain(index.to_le_bytes()).chain(sum);
    for (to, from) in head.iter_mut().zip(parts) {
        *to = from;
    }
    Ok(bytes)
}

/// The frame at `offset`; `None` where there is none, or none that is whole.
pub(crate) fn read(file: &File, path: &Path, offset: u64) -> Result<Option<Frame>, Error> {
    let mut head = [0; HEAD];
    let Some((length, index, sum)) =
        fill(file, &mut head, offset, path)?.then(|| parse_head(&head)).flatten()
    else {
        return Ok(None);
    };
    let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    let start = offset + HEAD as u64;
    if !fill(file, &mut payload, start, path)? || checksum(length, index, &payload) != sum {
        return Ok(None);
    }
    let mut rest = Bytes::from(payload);
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let batch = Batch::decode_length_delimited(&mut rest).map_err(|fault| Error::Damaged {
            path: path.into(),
            offset,
            why: format!("whole frame, unreadable batch: {fault}"),
        })?;
        batches.push(batch);
    }
    Ok(Some(Frame { index, batches, end: start + u64::from(length) }))
}

/// What stands at `offset` and behind it, where no whole frame does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Zeros: nothing was written there.
    Blank,
    /// Part of a frame whose write never finished, and nothing behind it.
    Torn,
    /// A whole frame stands behind something unreadable, at this offset.
    Broken(u64),
}

/// Looks at the rest of a segment from `offset` on.
pub(crate) fn rest(file: &File, path: &Path, offset: u64) -> Result<Rest, Error> {
    let size = file.metadata().map_err(Error::file("look at", path))?.len();
    let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    if !fill(file, &mut bytes, offset, path)? {
        return Err(Error::Damaged {
            path: path.into(),
            offset,
            why: "the file shrinks while it is read".into(),
        });
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Rest::Blank);
    }
    // The magic cannot stand inside a frame: entries hold no byte below 0x20.
    for (place, window) in bytes.windows(MAGIC.len()).enumerate() {
        let at = offset + place as u64;
        if window == MAGIC && read(file, path, at)?.is_some() {
            return Ok(Rest::Broken(at));
        }
    }
    Ok(Rest::Torn)
}

fn parse_head(head: &[u8; HEAD]) -> Option<(u32, u64, [u8; 16])> {
    let rest = head.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (index, sum) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    (length <= FRAME_BYTES_MAX).then_some((length, u64::from_le_bytes(*index), sum.try_into().ok()?))
}

fn checksum(length: u32, index: u64, payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes()).update(&index.to_le_bytes()).update(payload);
    let mut sum = [0; 16];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// Fills the buffer from the file; false where the file ends before.
fn fill(file: &File, to: &mut [u8], offset: u64, path: &Path) -> Result<bool, Error> {
    match file.read_exact_at(to, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

const MAGIC: [u8; 8] = *b"\x01CLYLOG\x01";
const HEAD: usize = 8 + 4 + 8 + 16;
/// Far above what one group may hold; a greater length was never written.
const FRAME_BYTES_MAX: u32 = 64 << 20;
