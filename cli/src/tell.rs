//! What people and programs are told: answers on standard output, notes on standard error. A reader that has gone
//! away is no fault, and never ends a house.

use crate::error::Error;
use std::{
    io::{self, Write as _},
    path::Path,
};

/// Writes an answer, as it is.
///
/// # Errors
/// Standard output cannot be written, for another reason than that its reader has gone.
pub(crate) fn bytes(answer: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(answer).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::file(Path::new("standard output"), "write it", &error))
        }
        _ => Ok(()),
    }
}

/// Writes an answer and ends its line.
///
/// # Errors
/// As [`bytes`].
pub(crate) fn line(answer: &str) -> Result<(), Error> {
    bytes(format!("{answer}\n").as_bytes())
}

/// Writes a note beside the answer; where nobody can hear it, nobody does.
pub fn note(text: &str) {
    let _heard = writeln!(io::stderr(), "clyra: {text}");
}

/// A number and its thing, as people write it.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "receipt"), "1 receipt");
        assert_eq!(counted(0, "receipt"), "0 receipts");
    }
}
