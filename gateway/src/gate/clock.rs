//! The clock of the data path, and ids that carry its time. Nothing else in the gate reads a clock of the wall.

use std::time::Instant;
use uuid::Uuid;

/// A UUIDv7 of this moment.
pub(crate) fn new_id(at_us: u64) -> Uuid {
    let random = fastrand::u128(..).to_le_bytes();
    let mut bytes = [0; 10];
    for (byte, random) in bytes.iter_mut().zip(random) {
        *byte = random;
    }
    uuid::Builder::from_unix_timestamp_millis(at_us / 1_000, &bytes).into_uuid()
}

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// RFC 3339.
pub(crate) fn text(at_us: u64) -> String {
    let micros = i64::try_from(at_us).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}
