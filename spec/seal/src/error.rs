//! What can go wrong while evidence is made or opened. It never carries key material.

use std::path::PathBuf;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Text handed in is not of the expected form.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// A signature does not verify.
    #[error("signature by `{key}` over {what} does not verify")]
    BadSignature {
        /// What was signed.
        what: &'static str,
        /// Id of the key that was tried.
        key: String,
    },
    /// A key that would accept forged signatures.
    #[error("key `{key}` is weak: its point is of small order; make a new key")]
    WeakKey {
        /// Name of the key.
        key: String,
    },
    /// A value that the canonical form does not allow.
    #[error(
        "{what} cannot be written canonically; allowed are ascii keys and whole numbers within ±(2^53−1)"
    )]
    NotCanonical {
        /// The offending value.
        what: String,
    },
    /// More than the format can hold.
    #[error("{what} holds {found}, at most {allowed} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        allowed: u64,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, why: impl Into<String>) -> Self {
        Self::Malformed { what, why: why.into() }
    }
}
