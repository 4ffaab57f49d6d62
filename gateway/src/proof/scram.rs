//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the server's side (RFC 5802, RFC 7677), from verifiers as PostgreSQL keeps
//! them. It never sees a password, and treats users that do not exist as those who do.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// What is kept of a password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
#[derive(Clone)]
pub(crate) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
    /// Stands for a user who does not exist.
    mock: bool,
}

/// Why a login comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client does not speak SCRAM as it should.
    Malformed(&'static str),
    /// The client says that it was offered no channel binding, and it was: somebody stands between.
    Downgraded,
    /// The proof does not hold.
    Wrong,
}

/// The server's first message is said; the client's proof is to come.
pub(crate) struct Challenge {
    verifier: Verifier,
    /// What the client must repeat in `c=`.
    binding: Vec<u8>,
    nonce: String,
    /// `client-first-message-bare` and `server-first-message`, with a comma behind each.
    spoken: String,
}

impl Verifier {
    /// Reads a verifier as it stands in `pg_authid.rolpassword`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (head, keys) = text
            .strip_prefix("SCRAM-SHA-256$")
            .and_then(|rest| rest.split_once('$'))
            .ok_or("is no SCRAM verifier; expected `SCRAM-SHA-256$…` as in pg_authid.rolpassword")?;
        let (iterations, salt) = head.split_once(':').ok_or("has no salt")?;
        let (stored, server) = keys.split_once(':').ok_or("has no server key")?;
        let iterations = iterations.parse().map_err(|_| "has no number of iterations")?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err("asks for too few or too many iterations; allowed: 4096 to 1000000");
        }
        let key = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            iterations,
            salt: STANDARD.decode(salt).map_err(|_| "has a salt that is not base64")?,
            stored_key: key(stored).ok_or("has a stored key that is not 32 bytes of base64")?,
            server_key: key(server).ok_or("has a server key that is not 32 bytes of base64")?,
            mock: false,
        })
    }

    /// A verifier that nobody can meet, with a salt that stays the same for a user.
    pub(crate) fn mock(salt: [u8; 16]) -> Self {
        Self {
            iterations: ITERATIONS_MIN,
            salt: salt.to_vec(),
            stored_key: [0; 32],
            server_key: [0; 32],
            mock: true,
        }
    }
}

/// Answers the client's first message. `end_point` is what a `-PLUS` client binds to; it is `Some` where that was
/// offered. `own` is the gateway's part of the nonce.
pub(crate) fn challenge(
    verifier: Verifier,
    mechanism: &str,
    end_point: Option<&[u8]>,
    first: &[u8],
    own: &str,
) -> Result<(Challenge, String), Fault> {
    let first = std::str::from_utf8(first).map_err(|_| Fault::Malformed("a message is not UTF-8"))?;
    let (flag, rest) = first.split_once(',').ok_or(Fault::Malformed("no channel binding flag"))?;
    let (authzid, bare) = rest.split_once(',').ok_or(Fault::Malformed("no user name"))?;
    if !authzid.is_empty() {
        return Err(Fault::Malformed("logging in for somebody else is not supported"));
    }
    let mut binding = format!("{flag},,").into_bytes();
    match (mechanism, flag, end_point) {
        (PLUS, "p=tls-server-end-point", Some(end_point)) => binding.extend_from_slice(end_point),
        (PLUS, ..) => return Err(Fault::Malformed("a channel binding that was not offered")),
        (PLAIN, "y", Some(_)) => return Err(Fault::Downgraded),
        (PLAIN, "n" | "y", _) => {}
        _ => return Err(Fault::Malformed("mechanism and channel binding flag do not fit")),
    }
    let nonce = bare
        .strip_prefix("n=")
        .and_then(|rest| rest.split_once(",r="))
        .map(|(_, rest)| rest.split(',').next().unwrap_or_default())
        .filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(Fault::Malformed("no user name or nonce"))?;
    let nonce = format!("{nonce}{own}");
    let reply = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
    let spoken = format!("{bare},{reply},");
    Ok((Challenge { verifier, binding, nonce, spoken }, reply))
}

impl Challenge {
    /// Checks the client's last message; gives the server's, which proves that it holds the verifier.
    pub(crate) fn finish(self, last: &[u8]) -> Result<String, Fault> {
        let last = std::str::from_utf8(last).map_err(|_| Fault::Malformed("a message is not UTF-8"))?;
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or(Fault::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|attribute| attribute.strip_prefix("c="));
        let binding = binding.and_then(|text| STANDARD.decode(text).ok());
        let binding = binding.ok_or(Fault::Malformed("no channel binding"))?;
        let nonce = attributes.next().and_then(|attribute| attribute.strip_prefix("r="));
        let proof = STANDARD.decode(proof).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let proof = proof.ok_or(Fault::Malformed("a proof that is not 32 bytes of base64"))?;
        if nonce != Some(&self.nonce) || binding != self.binding {
            return Err(Fault::Wrong);
        }
        let message = format!("{}{without_proof}", self.spoken);
        let mut client_key = hmac(&self.verifier.stored_key, message.as_bytes());
        client_key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        let holds = Sha256::digest(client_key).as_slice().ct_eq(&self.verifier.stored_key);
        if bool::from(holds & Choice::from(u8::from(!self.verifier.mock))) {
            Ok(format!("v={}", STANDARD.encode(hmac(&self.verifier.server_key, message.as_bytes()))))
        } else {
            Err(Fault::Wrong)
        }
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // A short key is filled up with zeros to a block (RFC 2104 §2).
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}

/// Without and with channel binding.
pub(crate) const PLAIN: &str = "SCRAM-SHA-256";
pub(crate) const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// RFC 7677 §4 asks for at least so many; PostgreSQL's default.
const ITERATIONS_MIN: u32 = 4096;
/// More would let a file keep clients busy for seconds.
const ITERATIONS_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of `pencil` with the salt of RFC 7677 §3.
    fn pencil() -> Verifier {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let mac = |message: &[u8]| -> [u8; 32] {
            let keyed = Hmac::<Sha256>::new_from_slice(b"pencil").unwrap();
            keyed.chain_update(message).finalize().into_bytes().into()
        };
        let mut round = mac(&[&salt[..], &[0, 0, 0, 1]].concat());
        let mut salted = round;
        for _ in 1..4096 {
            round = mac(&round);
            salted.iter_mut().zip(round).for_each(|(byte, round)| *byte ^= round);
        }
        let stored = STANDARD.encode(Sha256::digest(hmac(&salted, b"Client Key")));
        let server = STANDARD.encode(hmac(&salted, b"Server Key"));
        Verifier::parse(&format!("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${stored}:{server}")).unwrap()
    }

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    #[test]
    fn the_example_of_rfc_7677_holds() {
        let (challenge, reply) = challenge(pencil(), PLAIN, None, FIRST, OWN).unwrap();
        assert_eq!(
            reply,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = challenge.finish(LAST.as_bytes());
        assert_eq!(last.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn anything_else_does_not() {
        let finish = |verifier: Verifier, last: &str| {
            challenge(verifier, PLAIN, None, FIRST, OWN).unwrap().0.finish(last.as_bytes())
        };
        let wrong = Err(Fault::Wrong);
        assert_eq!(finish(pencil(), &LAST.replace("p=d", "p=e")), wrong, "proof");
        assert_eq!(finish(pencil(), &LAST.replace("k0,", "k1,")), wrong, "nonce");
        assert_eq!(finish(pencil(), &LAST.replace("biws", "eSws")), wrong, "binding");
        assert_eq!(finish(Verifier { mock: true, ..pencil() }, LAST), wrong, "nobody");
        assert_eq!(finish(Verifier::mock([7; 16]), LAST), wrong, "nobody");
        assert!(matches!(finish(pencil(), "c=biws"), Err(Fault::Malformed(_))));
    }

    #[test]
    fn bindings_must_fit() {
        let begin = |mechanism, end_point, first: &str| {
            challenge(pencil(), mechanism, end_point, first.as_bytes(), OWN).map(|(_, reply)| reply).err()
        };
        let digest: Option<&[u8]> = Some(&[1; 32]);
        assert_eq!(begin(PLUS, digest, "p=tls-server-end-point,,n=,r=x"), None);
        assert_eq!(begin(PLAIN, None, "y,,n=,r=x"), None);
        assert_eq!(begin(PLAIN, digest, "n,,n=,r=x"), None);
        assert_eq!(begin(PLAIN, digest, "y,,n=,r=x"), Some(Fault::Downgraded));
        for (mechanism, end_point, first) in [
            (PLUS, None, "p=tls-server-end-point,,n=,r=x"),
            (PLUS, digest, "p=tls-unique,,n=,r=x"),
            (PLUS, digest, "n,,n=,r=x"),
            (PLAIN, digest, "p=tls-server-end-point,,n=,r=x"),
            (PLAIN, None, "n,a=other,n=,r=x"),
            (PLAIN, None, "n,,m=ext,n=,r=x"),
            (PLAIN, None, "n,,n=,r="),
            (PLAIN, None, "n"),
            ("SCRAM-SHA-1", None, "n,,n=,r=x"),
        ] {
            assert!(matches!(begin(mechanism, end_point, first), Some(Fault::Malformed(_))), "{first}");
        }
    }
}
