//! Whose fault it is when gateway or recorder fail, so that the exit code can say so. One table each.

use crate::error::Error;
use std::path::Path;

/// A gateway's fault in the door's words.
pub(crate) fn of_gateway(error: clyra_gateway::Error, data: &Path) -> Error {
    use clyra_gateway::Error as Fault;
    match error {
        Fault::Policy(_) | Fault::PolicyFile { .. } | Fault::Unsigned { .. } | Fault::Tls { .. } => {
            Error::Usage(error.to_string())
        }
        Fault::Listen { addr, purpose, source } => super::doors::taken(flag(purpose), addr, &source),
        Fault::Data { path, source } => Error::file(&path, "use it", &source),
        Fault::Damaged { path, why } => {
            Error::Data { path, why: format!("damaged: {why}"), hint: REPAIR.into() }
        }
        Fault::Seal(_) | Fault::Outbox(_) => {
            Error::Data { path: data.join("gateway"), why: error.to_string(), hint: REPAIR.into() }
        }
        Fault::NotRecorded(_) | Fault::Stopped(_) | Fault::Metrics(_) => {
            Error::Ours { doing: "running the gateway", why: error.to_string() }
        }
    }
}

/// A recorder's fault in the door's words.
pub(crate) fn of_recorder(error: clyra_recorder::Error, data: &Path) -> Error {
    use clyra_recorder::Error as Fault;
    match error {
        Fault::Listen { addr, source } => super::doors::taken("--recorder", addr, &source),
        Fault::InUse { path } => {
            Error::Data { path, why: "in use by another recorder".into(), hint: "stop that one first".into() }
        }
        Fault::File { doing, path, source } => Error::file(&path, doing, &source),
        Fault::Damaged { path, offset, why } => {
            Error::Data { path, why: format!("damaged at byte {offset}: {why}"), hint: REPAIR.into() }
        }
        Fault::Serve(_) | Fault::NoSuchRun { .. } | Fault::RunTooLarge { .. } => {
            Error::Ours { doing: "running the recorder", why: error.to_string() }
        }
        Fault::Maker { .. }
        | Fault::Witness { .. }
        | Fault::Mismatch { .. }
        | Fault::Forked { .. }
        | Fault::Index { .. }
        | Fault::Store(_)
        | Fault::Seal(_)
        | Fault::Stopped { .. } => {
            Error::Data { path: data.join("recorder"), why: error.to_string(), hint: REPAIR.into() }
        }
    }
}

fn flag(purpose: &str) -> &'static str {
    match purpose {
        "admin" => "--admin",
        "metrics" => "--metrics",
        _ => "--listen",
    }
}

const REPAIR: &str = "nothing acknowledged is thrown away by itself: repair the disk or bring the file back from a \
                      copy, then start again; docs/operations.md says what each file is";
