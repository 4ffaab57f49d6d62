//! The commands that talk to a running house or to files, one room each. They start nothing that stays.

pub(crate) mod bundle;
pub(crate) mod idempotency;
pub(crate) mod kill;
pub(crate) mod policy;
pub(crate) mod recorder;
pub(crate) mod run;
pub(crate) mod shell;
pub(crate) mod status;

use crate::{error::Error, tell};
use serde::Serialize;

/// Prints one line, or the record as one line of JSON when that was asked for.
pub(crate) fn say(json: bool, record: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Error> {
    let line = if json {
        serde_json::to_string(record)
            .map_err(|error| Error::Ours { doing: "writing JSON", why: error.to_string() })?
    } else {
        text()
    };
    tell::line(&line)
}
