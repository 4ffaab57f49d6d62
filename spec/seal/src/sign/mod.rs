//! Signatures: the keys, and the two forms in which they sign. Nothing here decides whom to trust.

pub mod cosign;
pub mod dsse;
pub mod key;
pub mod note;
