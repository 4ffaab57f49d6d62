//! What can be wrong with bytes on the wire; never what a client reads.

use std::fmt;

/// A peer broke the protocol, or a bound; the connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A message announces a length that cannot be.
    Length {
        /// Its tag.
        tag: u8,
        /// The announced length, without the tag.
        length: u32,
    },
    /// A message that must be read whole is not well formed.
    Malformed {
        /// Its tag; 0 for a start-up packet.
        tag: u8,
        /// What is wrong.
        what: &'static str,
    },
    /// A message that has no place here.
    Unexpected {
        /// Its tag.
        tag: u8,
        /// Where it came.
        place: &'static str,
    },
    /// The server answered something that no open message asked for.
    OutOfStep {
        /// The answer's tag.
        tag: u8,
    },
    /// More prepared statements or open messages than a session may have.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { tag, length } => {
                write!(f, "{} announces an impossible length of {length} bytes", Named(*tag))
            }
            Self::Malformed { tag, what } => {
                write!(f, "{} is not well formed: {what}", Named(*tag))
            }
            Self::Unexpected { tag, place } => {
                write!(f, "{} has no place {place}", Named(*tag))
            }
            Self::OutOfStep { tag } => {
                write!(f, "the server's answer `{}` belongs to no open message", tag.escape_ascii())
            }
            Self::TooMany { what, max } => write!(f, "more than {max} {what} in one session"),
        }
    }
}

impl std::error::Error for WireError {}

/// A message by its tag, for people.
struct Named(u8);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the start-up packet"),
            tag => write!(f, "message `{}`", tag.escape_ascii()),
        }
    }
}
