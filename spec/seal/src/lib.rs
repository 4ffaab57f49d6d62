//! The seal: how makers of evidence write it so that anyone can check it.
//!
//! Canonical JSON, SHA-256 trees, Ed25519 signatures, batches and bundles, each as its page under `spec/` says. No
//! network, no runtime, no clock: times come in as text, keys come in from files. It holds the makers' hand only; the
//! verifier has its own and shares no line with it. Whoever makes evidence calls [`batch::seal`] over leaf hashes of
//! [`merkle`]; whoever keeps it calls [`batch::open`], grows a [`merkle::Tree`] and signs [`note`]s; [`bundle::build`]
//! packs what one run left behind. Private values become [`fingerprint`]s before they are written anywhere.
//!
//! ```text
//! entries ─ leaf hashes ─ root ─▶ batch header ─▶ log ─▶ checkpoint ┐
//!    └──────────────── inclusion paths ───────────────────────────┴─▶ bundle
//! ```
//!
//! ```
//! use clyra_seal::{batch, key::SigningKey, merkle};
//! let key = SigningKey::from_seed("gw-1", &[7; 32])?;
//! let entries: [&[u8]; 2] = [b"{\"kind\":\"receipt\"}", b"{\"kind\":\"receipt\"}"];
//! let leaves: Vec<_> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
//! let claims = batch::Claims {
//!     gateway: "gw-1".into(), epoch: 1, first_seq: 1, count: 2,
//!     root: merkle::root(&leaves), previous: [0; 32], last: false,
//! };
//! let header = batch::seal(&key, &claims, "2026-11-22T10:00:00.000000Z", "01936a5e-0000-7000-8000-000000000001")?;
//! assert_eq!(batch::open(&header, &key.verifying())?, claims);
//! # Ok::<(), clyra_seal::Error>(())
//! ```

pub mod batch;
pub mod bundle;
pub mod canonical;
mod error;
pub mod fingerprint;
pub mod merkle;
pub mod rollup;
pub mod sign;

pub use bundle::container;
pub use error::Error;
pub use sign::{cosign, dsse, key, note};

/// A SHA-256 or BLAKE3 digest.
pub type Hash = [u8; 32];

/// Lower-case hex digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }))
        .collect()
}

/// The digest that 64 lower-case hex digits stand for.
pub fn unhex(digits: &str) -> Option<Hash> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = digits.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => Some(value(high)? << 4 | value(low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
