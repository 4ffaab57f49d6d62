//! The envelope of an entry: all that the recorder ever reads of one. It judges nothing.

use serde::Deserialize;
use std::borrow::Cow;

/// What stands on the outside of an entry.
#[derive(Deserialize)]
pub(crate) struct Face<'e> {
    #[serde(borrow)]
    pub(crate) kind: Cow<'e, str>,
    #[serde(borrow)]
    pub(crate) id: Option<Cow<'e, str>>,
    #[serde(borrow)]
    pub(crate) stream: Option<Stream<'e>>,
    #[serde(borrow)]
    run: Option<Run<'e>>,
    #[serde(borrow)]
    run_id: Option<Cow<'e, str>>,
}

/// Whose stream it belongs to.
#[derive(Deserialize)]
pub(crate) struct Stream<'e> {
    #[serde(borrow)]
    pub(crate) gateway: Cow<'e, str>,
}

#[derive(Deserialize)]
struct Run<'e> {
    #[serde(borrow)]
    run_id: Cow<'e, str>,
}

impl Face<'_> {
    /// The run that it is an own entry of.
    pub(crate) fn run_id(&self) -> Option<&str> {
        match self.kind.as_ref() {
            "receipt" => self.run.as_ref().map(|run| run.run_id.as_ref()),
            "run_open" | "heartbeat" | "run_close" => self.run_id.as_deref(),
            _ => None,
        }
    }

    /// Whether it goes into the bundle of every run that it falls into at its gateway.
    pub(crate) fn is_around(&self) -> bool {
        matches!(self.kind.as_ref(), "policy" | "switch" | "gap")
    }
}
