//! A connection of the gateway's own to one database, only to ask what it defines. It changes nothing there.

use crate::{
    login::{Denied, Talk},
    secure::Secure,
    settings::{CatalogSettings, CatalogSource, Upstream},
    socket::{Stream, connect},
    tls::Back,
};
use bytes::{Buf as _, BytesMut};
use clyra_wire::Startup;
use tokio::io::AsyncReadExt as _;

/// The connection, logged in.
pub(super) struct Link {
    stream: Stream,
    inbox: BytesMut,
}

impl Link {
    /// Connects and logs in, by what the settings say.
    pub(super) async fn open(
        settings: &CatalogSettings,
        upstream: &Upstream,
        secure: &Secure,
        database: &str,
    ) -> Result<Self, String> {
        let mut chances = 2;
        loop {
            match Self::enter(settings, upstream, secure, database).await {
                Ok(link) => return Ok(link),
                Err(Denied::Stale) if chances > 0 => chances -= 1,
                Err(Denied::Told { message, .. }) => return Err(message),
                Err(Denied::Left | Denied::Stale) => return Err("the server broke off a login".to_owned()),
            }
        }
    }

    async fn enter(
        settings: &CatalogSettings,
        upstream: &Upstream,
        secure: &Secure,
        database: &str,
    ) -> Result<Self, Denied> {
        let told = |message: String| Denied::Told { sqlstate: "08001", message, hint: "" };
        let no_login = || told("nothing says as whom the catalog can be read".to_owned());
        let (server, back, user) = match &settings.source {
            CatalogSource::Login { upstream, user, .. } => {
                (upstream, Back::load(upstream).map_err(|why| told(why.to_string()))?, user.clone())
            }
            CatalogSource::Own => {
                let logins = secure.logins.as_ref().ok_or_else(no_login)?;
                (upstream, None, logins.own_user().ok_or_else(no_login)?)
            }
            CatalogSource::File(_) => return Err(no_login()),
        };
        let back =
            back.as_ref().or(secure.back.as_ref().filter(|_| matches!(settings.source, CatalogSource::Own)));
        let unreachable = |error: std::io::Error| told(format!("`{server}` cannot be reached: {error}"));
        let mut stream = connect(server, back).await.map_err(unreachable)?;
        let (mut inbox, private) = (BytesMut::new(), stream.is_private());
        let startup = startup(&user, database);
        let mut talk = Talk { stream: &mut stream, inbox: &mut inbox };
        match (&settings.source, &secure.logins) {
            (CatalogSource::Login { password, .. }, _) => {
                crate::login::enter_as(&mut talk, &startup, &user, password.as_deref(), private).await?;
            }
            (_, Some(logins)) => logins.enter(&mut talk, &startup, private).await?,
            _ => return Err(no_login()),
        }
        let mut link = Self { stream, inbox };
        link.answer().await.map_err(told)?;
        Ok(link)
    }

    /// The one value that a query answers with.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<String, String> {
        let asked = format!("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; {}; COMMIT", sql.trim());
        let mut talk = Talk { stream: &mut self.stream, inbox: &mut self.inbox };
        talk.say(b'Q', &[asked.as_bytes(), b"\0"]).await.map_err(|error| error.to_string())?;
        self.answer().await?.ok_or_else(|| "the server does not answer".to_owned())
    }

    /// Hears up to where the server is ready: the last value, if there was any.
    async fn answer(&mut self) -> Result<Option<String>, String> {
        let (mut value, mut error) = (None, None);
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                b'D' => {
                    // Number of columns, then the length of the first.
                    let text = body.get(6..).unwrap_or_default().to_vec();
                    value =
                        Some(String::from_utf8(text).map_err(|_| "an answer that is not UTF-8".to_owned())?);
                }
                b'E' => error = Some(words(&body)),
                b'Z' => break,
                _ => {}
            }
            // A server that takes its leave says no more.
            if let Some(error) = error.take_if(|error| error.starts_with("FATAL")) {
                return Err(error);
            }
        }
        error.map_or(Ok(value), Err)
    }

    async fn message(&mut self) -> Result<(u8, BytesMut), String> {
        let broken = |error: std::io::Error| format!("the server broke off: {error}");
        loop {
            if let [tag, a, b, c, d, ..] = *self.inbox {
                let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
                if !(HEAD_BYTES..=MESSAGE_BYTES_MAX).contains(&total) {
                    return Err(format!("an answer of {total} bytes; at most {MESSAGE_BYTES_MAX} are read"));
                }
                if self.inbox.len() >= total {
                    let mut message = self.inbox.split_to(total);
                    message.advance(HEAD_BYTES);
                    return Ok((tag, message));
                }
                self.inbox.reserve(total - self.inbox.len());
            }
            if self.stream.read_buf(&mut self.inbox).await.map_err(broken)? == 0 {
                return Err("the server broke off".to_owned());
            }
        }
    }
}

fn startup(user: &str, database: &str) -> Startup {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let parameters = vec![
        pair("user", user),
        pair("database", database),
        pair("application_name", "clyra catalog"),
        pair("client_encoding", "UTF8"),
    ];
    Startup { minor: 0, parameters }
}

/// Severity and words of an error.
fn words(error: &[u8]) -> String {
    let field = |wanted: &[u8]| {
        let found = error.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(wanted));
        found.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    };
    format!("{}: {} ({})", field(b"V"), field(b"M"), field(b"C"))
}

/// Bytes of tag and length.
const HEAD_BYTES: usize = 5;
/// The catalog of some hundred thousand tables.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
