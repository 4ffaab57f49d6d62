//! The command `clyra-verify`: reads files, asks the library, prints the answer; it opens no socket.

use clyra_verifier::{Error, Name};
fn main() {
    let _ = Name::ALL;
    let _: Option<Error> = None;
}
