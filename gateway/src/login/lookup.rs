//! Verifiers that the server itself keeps: asked for with the gateway's own login, and remembered for a while. What the
//! server does not answer lets nobody in.

use super::{
    asked::{Denied, told},
    talk::Talk,
};
use crate::proof::scram::Verifier;
use clyra_wire::Startup;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How verifiers are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// With `$1` for the user; its last column is the verifier.
    pub(super) sql: String,
    /// Where.
    pub(super) database: String,
    /// How long an answer counts.
    pub(super) ttl: Duration,
}

/// Answers of the server, by user.
pub(super) struct Answers(quick_cache::sync::Cache<Box<str>, Answer>);

#[derive(Clone)]
struct Answer {
    verifier: Option<Arc<Verifier>>,
    until: Instant,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(ANSWERS_MAX))
    }

    /// What is known of a user; `None` when the server must be asked.
    pub(super) fn known(&self, user: &str) -> Option<Option<Arc<Verifier>>> {
        self.0.get(user).filter(|answer| answer.until > Instant::now()).map(|answer| answer.verifier)
    }

    pub(super) fn remember(&self, user: &str, verifier: Option<Arc<Verifier>>, ttl: Duration) {
        // Users come and go, and one that was just made shall not have to wait.
        let ttl = if verifier.is_some() { ttl } else { ttl.min(UNKNOWN_TTL) };
        self.0.insert(user.into(), Answer { verifier, until: Instant::now() + ttl });
    }

    pub(super) fn forget(&self) {
        self.0.clear();
    }
}

impl Lookup {
    /// The start-up packet of the gateway's own session.
    pub(super) fn startup(&self, user: &str) -> Startup {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let parameters = vec![
            pair("user", user),
            pair("database", &self.database),
            pair("application_name", "clyra"),
            pair("client_encoding", "UTF8"),
        ];
        Startup { minor: 0, parameters }
    }

    /// Asks a server that has just let the gateway in.
    ///
    /// # Errors
    /// It does not answer with at most one row.
    pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        server: &mut Talk<'_, S>,
        user: &str,
    ) -> Result<Option<Arc<Verifier>>, Denied> {
        let gone = |_| failed("the server broke off");
        let mut asked = false;
        let mut rows: Vec<Option<String>> = Vec::new();
        loop {
            let (tag, body) = server.hear().await.map_err(gone)?;
            match tag {
                b'E' => return Err(failed(&sqlstate(&body))),
                b'Z' if !asked => {
                    asked = true;
                    let length = u32::try_from(user.len()).unwrap_or(u32::MAX).to_be_bytes();
                    server
                        .say(b'P', &[b"\0", self.sql.as_bytes(), b"\0\0\x01", &TEXT_OID])
                        .await
                        .map_err(gone)?;
                    let bind: [&[u8]; 4] = [b"\0\0\0\0\0\x01", &length, user.as_bytes(), b"\0\0"];
                    server.say(b'B', &bind).await.map_err(gone)?;
                    server.say(b'E', &[b"\0\0\0\0\x02"]).await.map_err(gone)?;
                    server.say(b'S', &[]).await.map_err(gone)?;
                }
                b'D' => rows.push(last_column(&body).ok_or_else(|| failed("a row that cannot be read"))?),
                b'Z' => break,
                _ => {}
            }
        }
        // A goodbye that is not heard changes nothing.
        let _ = server.say(b'X', &[]).await;
        match &rows[..] {
            [] | [None] => Ok(None),
            // A verifier of another kind lets nobody in, and is not told apart from none.
            [Some(text)] => Ok(Verifier::parse(text).ok().map(Arc::new)),
            _ => Err(failed("more rows than one")),
        }
    }
}

/// The last column of a `DataRow`, as text.
fn last_column(body: &[u8]) -> Option<Option<String>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut last = None;
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            (last, rest) = (None, behind);
            continue;
        };
        let (value, behind) = behind.split_at_checked(length)?;
        (last, rest) = (Some(String::from_utf8(value.to_vec()).ok()?), behind);
    }
    Some(last)
}

fn sqlstate(error: &[u8]) -> String {
    let code = error.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"C"));
    code.map(|code| String::from_utf8_lossy(code).into_owned()).unwrap_or_default()
}

fn failed(why: &str) -> Denied {
    told(
        "08004",
        format!("users cannot be looked up at the server behind the gate ({why})"),
        "the operator's login file says how, in `auth_query`; the server's log says why not",
    )
}

/// `text` in every version of PostgreSQL's catalog.
const TEXT_OID: [u8; 4] = [0, 0, 0, 25];
/// Users that are remembered.
const ANSWERS_MAX: usize = 10_000;
const UNKNOWN_TTL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::last_column;

    #[test]
    fn rows_are_read_to_their_last_column() {
        assert_eq!(last_column(b"\0\x02\0\0\0\x01a\0\0\0\x02bc"), Some(Some("bc".to_owned())));
        assert_eq!(last_column(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff"), Some(None));
        assert_eq!(last_column(b"\0\0"), Some(None));
        for torn in [&b"\0\x02\0\0\0\x01a"[..], b"\0\x01\0\0\0\x09a", b"\0", b"\0\x01\0\0\0\x01\xff"] {
            assert_eq!(last_column(torn), None);
        }
    }
}
