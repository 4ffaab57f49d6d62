//! Logins at the gateway: asks the client to prove who it is, by certificate, SCRAM or token. It never tells apart a
//! user who does not exist and one whose proof does not hold.

use super::{book::Book, talk::Talk};
use crate::{
    proof::{
        scram::{self, Fault, Verifier},
        token::Claims,
    },
    tls::{self, Handshake},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clyra_spec::Auth;
use std::{io, sync::Arc};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a client has shown to the gateway itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    /// How.
    pub(crate) auth: Auth,
    /// What its token says.
    pub(crate) claims: Claims,
}

/// Why nobody is let in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The client has left.
    Left,
    /// The server has refused what the gateway remembered; it may be asked again with something newer.
    Stale,
    /// What the client reads.
    Told {
        /// Five characters.
        sqlstate: &'static str,
        /// One line, without the `clyra:` in front.
        message: String,
        /// What would be allowed.
        hint: &'static str,
    },
}

/// What there is for a user who is not in the file of users.
pub(super) struct Unlisted {
    /// What the server keeps of it.
    pub(super) verifier: Option<Arc<Verifier>>,
    /// For one who does not exist.
    pub(super) mock_salt: [u8; 16],
}

/// Has the client prove that it is `user`.
pub(super) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    book: &Book,
    client: &mut Talk<'_, S>,
    user: &str,
    unlisted: Unlisted,
    handshake: Option<&Handshake>,
) -> Result<Proved, Denied> {
    if let Some(names) = &book.certificates {
        let shown = handshake.and_then(|handshake| handshake.certificate.as_ref());
        if shown.is_some_and(|certificate| {
            names.fit(user, tls::common_name(certificate).as_deref(), &tls::uris(certificate))
        }) {
            return Ok(Auth::Mtls.into());
        }
        return Err(told(
            "28000",
            format!("the client's certificate does not name user \"{user}\""),
            "connect as the user that the certificate names",
        ));
    }
    match (book.users.get(user).or(unlisted.verifier.as_deref()), &book.tokens) {
        (Some(verifier), _) => by_scram(client, user, verifier.clone(), handshake).await.map(Into::into),
        (None, Some(tokens)) if handshake.is_some() => {
            client.say(b'R', &[&PASSWORD.to_be_bytes()]).await?;
            let answer = answer(client).await?;
            let token = answer.strip_suffix(b"\0").and_then(|token| std::str::from_utf8(token).ok());
            match token.map(|token| tokens.check(token, user)) {
                Some(Ok(claims)) => Ok(Proved { auth: Auth::Jwt, claims }),
                _ => Err(wrong(user)),
            }
        }
        (None, _) => {
            by_scram(client, user, Verifier::mock(unlisted.mock_salt), handshake).await.map(Into::into)
        }
    }
}

async fn by_scram<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Talk<'_, S>,
    user: &str,
    verifier: Verifier,
    handshake: Option<&Handshake>,
) -> Result<Auth, Denied> {
    let end_point = handshake.and_then(|handshake| handshake.end_point.as_deref());
    let offer = match end_point {
        Some(_) => format!("{}\0{}\0\0", scram::PLUS, scram::PLAIN),
        None => format!("{}\0\0", scram::PLAIN),
    };
    client.say(b'R', &[&SASL.to_be_bytes(), offer.as_bytes()]).await?;
    let first = answer(client).await?;
    let (mechanism, first) = initial(&first).ok_or_else(|| malformed("no first message of SCRAM"))?;
    let fault = |fault| match fault {
        Fault::Malformed(what) => malformed(what),
        Fault::Downgraded => told(
            "28000",
            "the client was not told that channel binding is offered".to_owned(),
            "somebody stands between client and gateway; find out who",
        ),
        Fault::Wrong => wrong(user),
    };
    let (challenge, reply) =
        scram::challenge(verifier, mechanism, end_point, first, &nonce()?).map_err(fault)?;
    client.say(b'R', &[&SASL_CONTINUE.to_be_bytes(), reply.as_bytes()]).await?;
    let last = challenge.finish(&answer(client).await?).map_err(fault)?;
    client.say(b'R', &[&SASL_FINAL.to_be_bytes(), last.as_bytes()]).await?;
    Ok(Auth::Scram)
}

/// A client's answer to a request for proof.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Talk<'_, S>) -> Result<bytes::Bytes, Denied> {
    match client.hear().await {
        Ok((b'p', body)) => Ok(body),
        Ok(_) => Err(malformed("no answer to a request for proof")),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(malformed("an answer that is too long"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Mechanism and first message of `SASLInitialResponse`.
fn initial(body: &[u8]) -> Option<(&str, &[u8])> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let (mechanism, rest) = body.split_at_checked(end)?;
    let (length, first) = rest.get(1..)?.split_first_chunk::<4>()?;
    (u32::from_be_bytes(*length) as usize == first.len())
        .then_some((std::str::from_utf8(mechanism).ok()?, first))
}

fn nonce() -> Result<String, Denied> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|_| Denied::Left)?;
    Ok(STANDARD.encode(bytes))
}

fn wrong(user: &str) -> Denied {
    // PostgreSQL's own words, which clients and people know.
    told("28P01", format!("password authentication failed for user \"{user}\""), "")
}

fn malformed(what: &str) -> Denied {
    told("08P01", format!("malformed login: {what}"), "")
}

pub(super) fn told(sqlstate: &'static str, message: String, hint: &'static str) -> Denied {
    Denied::Told { sqlstate, message, hint }
}

impl From<Auth> for Proved {
    fn from(auth: Auth) -> Self {
        Self { auth, claims: Claims::new() }
    }
}

impl From<io::Error> for Denied {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// Codes of `Authentication…` messages (PostgreSQL protocol, Message Formats).
const PASSWORD: u32 = 3;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
