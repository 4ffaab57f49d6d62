//! What must hold of the gateway's side of SCRAM whatever a client or a file of users says: it never panics, and nobody
//! comes in without the proof. It reads the very room that the gateway has for it, without the gateway around it.

#[path = "../../../gateway/src/proof/scram.rs"]
mod server;

use server::{PLAIN, PLUS, Verifier, challenge};

/// A client's two messages, and a line of a file of users, apart by zero bytes; the first byte chooses the mechanism.
pub fn scram(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let first = parts.next().unwrap_or_default();
    let last = parts.next().unwrap_or_default();
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let verifier = Verifier::parse(&line).unwrap_or_else(|_| Verifier::mock([7; 16]));
    let mechanism = if choice & 1 == 0 { PLAIN } else { PLUS };
    let end_point: Option<&[u8]> = (choice & 2 == 2).then_some(&[7; 32]);
    let Ok((challenge, said)) = challenge(verifier, mechanism, end_point, first, "own") else { return };
    assert!(said.starts_with("r=") && said.contains("own,s="), "{said}");
    // Who only hears the nonce and sends it back, with whatever proof, has not shown the password.
    let nonce = said.split(',').next().unwrap_or_default();
    let said_back = String::from_utf8_lossy(last).replace("NONCE", nonce);
    assert!(challenge.finish(said_back.as_bytes()).is_err(), "somebody came in by chance");
}
