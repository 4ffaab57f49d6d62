//! Reads the formats of the spec strictly: one spelling each, anything else is a flaw; it judges no meaning.

pub(crate) mod container;
pub(crate) mod entry;
pub(crate) mod envelope;
pub(crate) mod note;
pub(crate) mod receipt;
pub(crate) mod switch;
pub(crate) mod tree;
