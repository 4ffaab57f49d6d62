//! The gateway's own login at the server, for a client that has proved who it is. It ends where the server says yes;
//! what comes then belongs to the relay.

use super::{
    asked::{Denied, told},
    book::Password,
    talk::{Talk, message},
};
use bytes::{Bytes, BytesMut};
use clyra_wire::Startup;
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, ScramSha256},
};
use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

/// The client's start-up packet with another user in it, and a setting of the gateway's own unless the client has one.
///
/// # Errors
/// It asks for another role: that would be the gateway's right, and not the client's.
pub(super) fn startup(asked: &Startup, user: &str, own: Option<(&str, &str)>) -> Result<BytesMut, Denied> {
    let settings = asked.settings();
    let mut names = asked.parameters.iter().chain(&settings).map(|(name, _)| name.to_ascii_lowercase());
    if let Some(name) = names.find(|name| matches!(name.as_str(), "role" | "session_authorization")) {
        return Err(told(
            "42501",
            format!("`{name}` cannot be chosen at the start of a session that the gateway logs in"),
            "leave it out; the operator's login file says who goes to the server",
        ));
    }
    let client = asked.parameter("user").unwrap_or_default();
    let database = asked.parameter("database").filter(|name| !name.is_empty()).unwrap_or(client);
    let others = asked.parameters.iter().filter(|(name, _)| !matches!(name.as_str(), "user" | "database"));
    let own = own.filter(|(name, _)| {
        !asked.parameters.iter().chain(&settings).any(|(known, _)| known.eq_ignore_ascii_case(name))
    });
    let pairs = [("user", user), ("database", database)]
        .into_iter()
        .chain(own)
        .chain(others.map(|(name, value)| (name.as_str(), value.as_str())));
    let mut body = Vec::new();
    for (name, value) in pairs {
        for text in [name, value] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let version = (3_u32 << 16) | u32::from(asked.minor);
    // The one kind of message that has no tag.
    Ok(message(0, &[&version.to_be_bytes(), &body]).split_off(1))
}

/// As whom the gateway goes on, and with what.
pub(super) struct Own<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a Password,
    pub(super) printed: &'a Printed,
    /// Nobody on the way can read a password.
    pub(super) private: bool,
    /// The packet carries a setting that the server may not know.
    pub(super) doubtful: Option<&'a AtomicU8>,
}

/// What the server has said of the gateway's own setting.
pub(super) const UNTRIED: u8 = 0;
pub(super) const KNOWN: u8 = 1;
pub(super) const UNKNOWN: u8 = 2;

/// What a password command has printed last, and until when that counts.
#[derive(Debug, Default)]
pub(super) struct Printed(Mutex<Option<(String, Instant)>>);

impl Printed {
    fn known(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(_, until)| *until > Instant::now()).map(|(password, _)| password.clone())
    }

    fn remember(&self, password: &str, ttl: Duration) {
        let until = Instant::now() + ttl;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((password.to_owned(), until));
    }

    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Sends the start-up packet and answers what the server asks. What the client shall still hear, up to the server's
/// yes, stands in front of the inbox afterwards.
///
/// # Errors
/// The server does not let the gateway in, or asks for what cannot be answered.
pub(super) async fn enter<S: AsyncRead + AsyncWrite + Unpin>(
    server: &mut Talk<'_, S>,
    packet: &[u8],
    own: &Own<'_>,
) -> Result<(), Denied> {
    let (mut answered, remembered) = (false, own.printed.known().is_some());
    let gone =
        |_| told("08006", "the server behind the gate broke off a login".to_owned(), "look into its log");
    server.stream.write_all(packet).await.map_err(gone)?;
    let mut aside = BytesMut::new();
    let mut scram = None;
    loop {
        let (tag, body) = server.hear().await.map_err(gone)?;
        if matches!(tag, b'N' | b'v') {
            aside.unsplit(message(tag, &[&body]));
            continue;
        }
        let Some((code, rest)) = body.split_first_chunk::<4>().filter(|_| tag == b'R') else {
            if answered && remembered && matches!(own.password, Password::Command { .. }) {
                own.printed.forget();
                return Err(Denied::Stale);
            }
            return Err(not_let_in(&body));
        };
        answered |= matches!(code, [0, 0, 0, 3 | 5 | 10..]);
        let code = u32::from_be_bytes(*code);
        match code {
            OK => {
                aside.unsplit(message(tag, &[&body]));
                if let Some(setting) = own.doubtful {
                    confirm(server, &mut aside, setting).await.map_err(gone)??;
                }
                aside.unsplit(std::mem::take(server.inbox));
                *server.inbox = aside;
                return Ok(());
            }
            PASSWORD if own.private => server.say(b'p', &[read(own).await?.as_bytes(), b"\0"]).await,
            MD5 => {
                let salt = rest.first_chunk::<4>().copied().unwrap_or_default();
                let hash = md5_hash(own.user.as_bytes(), read(own).await?.as_bytes(), salt);
                server.say(b'p', &[hash.as_bytes(), b"\0"]).await
            }
            SASL => {
                let begun = ScramSha256::new(read(own).await?.as_bytes(), ChannelBinding::unsupported());
                let length = u32::try_from(begun.message().len()).unwrap_or(u32::MAX).to_be_bytes();
                let said = server.say(b'p', &[b"SCRAM-SHA-256\0", &length, begun.message()]).await;
                scram = Some(begun);
                said
            }
            SASL_CONTINUE | SASL_FINAL => {
                let begun = scram.take().ok_or_else(|| cannot("proof of a kind that was not begun"))?;
                let (begun, proof) = step(begun, code, Bytes::copy_from_slice(rest)).await?;
                scram = Some(begun);
                match proof {
                    Some(proof) => server.say(b'p', &[&proof]).await,
                    None => Ok(()),
                }
            }
            PASSWORD => return Err(cannot("a password in clear over a connection that is not private")),
            _ => return Err(cannot("a kind of proof that the gateway does not know")),
        }
        .map_err(gone)?;
    }
}

/// Hears how the server takes a setting that it may not know: it says so only after its yes.
async fn confirm<S: AsyncRead + AsyncWrite + Unpin>(
    server: &mut Talk<'_, S>,
    aside: &mut BytesMut,
    setting: &AtomicU8,
) -> io::Result<Result<(), Denied>> {
    loop {
        let (tag, body) = server.hear().await?;
        let refused = body.split(|byte| *byte == 0).any(|field| matches!(field, b"C42704" | b"C22023"));
        if tag == b'E' && refused {
            setting.store(UNKNOWN, Ordering::Relaxed);
            return Ok(Err(Denied::Stale));
        }
        aside.unsplit(message(tag, &[&body]));
        if tag != b'N' {
            if tag != b'E' {
                setting.store(KNOWN, Ordering::Relaxed);
            }
            return Ok(Ok(()));
        }
    }
}

/// Thousands of rounds of hashing are not for a thread that carries sessions.
async fn step(own: ScramSha256, code: u32, said: Bytes) -> Result<(ScramSha256, Option<Vec<u8>>), Denied> {
    let stepped = tokio::task::spawn_blocking(move || {
        let mut own = own;
        if code == SASL_CONTINUE {
            own.update(&said)?;
            let proof = own.message().to_vec();
            return Ok::<_, io::Error>((own, Some(proof)));
        }
        own.finish(&said)?;
        Ok((own, None))
    });
    match stepped.await {
        Ok(Ok(stepped)) => Ok(stepped),
        _ => Err(cannot("SCRAM, and does not hold the password itself")),
    }
}

/// The password, from wherever it comes.
async fn read(own: &Own<'_>) -> Result<String, Denied> {
    let (words, ttl) = match own.password {
        Password::Fixed(password) => return Ok(password.clone()),
        Password::None => return Err(cannot("a password, and the login file names none")),
        Password::Command { words, ttl } => (words, *ttl),
    };
    if let Some(password) = own.printed.known() {
        return Ok(password);
    }
    let failed = || told("08004", "the gateway's password command failed".to_owned(), "run it by hand");
    let (program, arguments) = words.split_first().ok_or_else(failed)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_MAX, command.output()).await;
    match output {
        Ok(Ok(output)) if output.status.success() && output.stdout.len() <= PASSWORD_BYTES_MAX => {
            let text = String::from_utf8(output.stdout).map_err(|_| failed())?;
            let password = text.trim_end_matches(['\r', '\n']).to_owned();
            own.printed.remember(&password, ttl);
            Ok(password)
        }
        _ => Err(failed()),
    }
}

fn not_let_in(error: &[u8]) -> Denied {
    // The server's words could name the gateway's own user; its code does not.
    let code = error.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C"));
    let code = code.map(String::from_utf8_lossy).unwrap_or_default();
    told(
        "08004",
        format!("the server behind the gate does not let the gateway in ({code})"),
        "the operator's login file says as whom the gateway goes there; the server's log says why not",
    )
}

fn cannot(what: &str) -> Denied {
    told(
        "08004",
        format!("the server behind the gate asks the gateway for {what}"),
        "the operator's login file says as whom the gateway goes there, and with what",
    )
}

/// Codes of `Authentication…` messages (PostgreSQL protocol, Message Formats).
const OK: u32 = 0;
const PASSWORD: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;
/// How long a password command may take.
const COMMAND_MAX: Duration = Duration::from_secs(10);
/// Tokens of cloud providers are some thousand bytes long.
const PASSWORD_BYTES_MAX: usize = 16 << 10;
