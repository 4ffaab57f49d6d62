//! Keys of changes as the admin service tells of them; it never decides what became of one.

use crate::{
    gate::{Gate, now_us, time_text},
    once::Key,
};
use clyra_proto::admin;
use tonic::Status;

/// Those of which nobody knows what became of their change.
pub(super) fn list(gate: &Gate) -> admin::KeyList {
    let unknown =
        gate.keys.unknown(now_us()).into_iter().map(|(key, receipt, expires_us)| admin::UnknownKey {
            key: String::from_utf8_lossy(&key).into_owned(),
            receipt: receipt.to_string(),
            expires: time_text(expires_us),
        });
    admin::KeyList { unknown: unknown.collect() }
}

/// Somebody has looked.
pub(super) fn resolve(gate: &Gate, key: &str, done: bool) -> Result<(), Status> {
    let known = Key::try_from(key.as_bytes()).map(|key| gate.keys.resolve(&key, done));
    match known {
        Ok(Ok(true)) => Ok(()),
        Ok(Err(error)) => Err(Status::internal(error.to_string())),
        Ok(Ok(false)) | Err(_) => Err(Status::not_found(format!(
            "nothing under key `{key}` is unknown; `clyra idempotency list` shows what is"
        ))),
    }
}
