//! Logins: how a client shows who it is before the relay takes over. Passed through, that is between client and server,
//! and only what cannot hold through a gateway is left out; at the gateway, the client proves itself here, and the
//! gateway goes on to the server with credentials of its own.

mod asked;
mod book;
mod entered;
mod lookup;
mod passed;
mod talk;
mod throttle;

pub(crate) use asked::{Denied, Proved};
pub(crate) use passed::without_binding;
pub(crate) use talk::Talk;
pub(crate) use throttle::Throttle;

use crate::{Error, settings::ClientTls, tls::Handshake};
use arc_swap::ArcSwap;
use asked::Unlisted;
use book::{Book, Password};
use bytes::BytesMut;
use clyra_seal::fingerprint::Secret;
use clyra_wire::Startup;
use entered::{Own, Printed, UNKNOWN, UNTRIED};
use lookup::{Answers, Lookup};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Who may log in at the gateway.
pub(crate) struct Logins {
    file: PathBuf,
    tls: Option<ClientTls>,
    /// Gives users that do not exist a salt that stays.
    secret: Secret,
    newest: ArcSwap<Book>,
    /// What the server answered about users.
    answers: Answers,
    /// What a password command has printed, and until when it counts.
    printed: Printed,
    /// Whether the server knows the setting by which it notices that a client is gone.
    interval: AtomicU8,
    /// A password that was given at the start.
    password: Option<String>,
}

impl Logins {
    /// Reads the login file.
    ///
    /// # Errors
    /// It cannot be used, or not without the TLS that it needs.
    pub(crate) fn load(
        file: &Path,
        tls: Option<&ClientTls>,
        password: Option<String>,
        secret: Secret,
    ) -> Result<Self, Error> {
        let newest = ArcSwap::from_pointee(open(file, tls, password.as_deref())?);
        let (file, tls) = (file.to_path_buf(), tls.cloned());
        Ok(Self {
            file,
            tls,
            secret,
            newest,
            answers: Answers::new(),
            printed: Printed::default(),
            interval: AtomicU8::new(UNTRIED),
            password,
        })
    }

    /// Reads the file again if it or one that it names has changed; true if so. Sessions that stand stay.
    ///
    /// # Errors
    /// As [`Logins::load`]; what was in use stays so.
    pub(crate) fn reread(&self) -> Result<bool, Error> {
        if !self.newest.load().has_changed() {
            return Ok(false);
        }
        self.newest.store(Arc::new(open(&self.file, self.tls.as_ref(), self.password.as_deref())?));
        self.answers.forget();
        self.printed.forget();
        Ok(true)
    }

    /// Has the client prove that it is the user of its start-up packet.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        client: &mut Talk<'_, S>,
        user: &str,
        handshake: Option<&Handshake>,
    ) -> Result<Proved, Denied> {
        let mock_salt = self.secret.bytes("login salt", "", user.as_bytes());
        let unlisted = Unlisted { verifier: self.answers.known(user).flatten(), mock_salt };
        asked::prove(&self.newest.load_full(), client, user, unlisted, handshake).await
    }

    /// The start-up packet with which a user is to be looked up at the server, where that is needed.
    pub(crate) fn looks_up(&self, user: &str) -> Option<(Lookup, Startup)> {
        let book = self.newest.load();
        let lookup = book.lookup.as_ref().filter(|_| !book.users.contains_key(user))?;
        let own = book.upstream.user.as_deref()?;
        self.answers.known(user).is_none().then(|| (lookup.clone(), lookup.startup(own)))
    }

    /// Asks a server that has let the gateway in about a user.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn look_up<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        lookup: &Lookup,
        server: &mut Talk<'_, S>,
        user: &str,
    ) -> Result<(), Denied> {
        let verifier = lookup.ask(server, user).await?;
        self.answers.remember(user, verifier, lookup.ttl);
        Ok(())
    }

    /// As whom the gateway goes to the server for a client, and with which start-up packet.
    ///
    /// # Errors
    /// The client asks for what only the gateway may choose.
    pub(crate) fn packet(&self, startup: &Startup) -> Result<(String, BytesMut), Denied> {
        let book = self.newest.load();
        let own = book.upstream.user.as_deref();
        let user = own.or_else(|| startup.parameter("user")).unwrap_or_default();
        Ok((user.to_owned(), entered::startup(startup, user, None)?))
    }

    /// The one user as whom the gateway goes to the server, if there is one.
    pub(crate) fn own_user(&self) -> Option<String> {
        self.newest.load().upstream.user.clone()
    }

    /// Logs in at the server for a client that has proved itself.
    ///
    /// # Errors
    /// The server does not let the gateway in; [`Denied::Stale`] when a newer password may help.
    pub(crate) async fn enter<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        server: &mut Talk<'_, S>,
        startup: &Startup,
        private: bool,
    ) -> Result<(), Denied> {
        let book = self.newest.load_full();
        let own = book.upstream.user.as_deref();
        let user = own.or_else(|| startup.parameter("user")).unwrap_or_default();
        let state = self.interval.load(Ordering::Relaxed);
        // Nobody but the server itself would stop a long statement whose client is gone.
        let setting = (state != UNKNOWN).then_some(("client_connection_check_interval", "10s"));
        let packet = entered::startup(startup, user, setting)?;
        let doubtful = (state == UNTRIED).then_some(&self.interval);
        let own = Own { user, password: &book.upstream.password, printed: &self.printed, private, doubtful };
        entered::enter(server, &packet, &own).await
    }
}

/// Logs in at a server with a password that is at hand.
///
/// # Errors
/// The server does not let the gateway in.
pub(crate) async fn enter_as<S: AsyncRead + AsyncWrite + Unpin>(
    server: &mut Talk<'_, S>,
    startup: &Startup,
    user: &str,
    password: Option<&str>,
    private: bool,
) -> Result<(), Denied> {
    let password = password.map_or(Password::None, |text| Password::Fixed(text.to_owned()));
    let packet = entered::startup(startup, user, None)?;
    let own = Own { user, password: &password, printed: &Printed::default(), private, doubtful: None };
    entered::enter(server, &packet, &own).await
}

fn open(file: &Path, tls: Option<&ClientTls>, password: Option<&str>) -> Result<Book, Error> {
    let fault = |why: &str| Error::Tls { path: file.to_path_buf(), why: why.to_owned() };
    let book = Book::open(file, password)?;
    if book.tokens.is_some() && !tls.is_some_and(|tls| tls.required) {
        return Err(fault("`jwt` sends tokens to the gateway, and needs TLS for every client (--tls-cert)"));
    }
    if book.certificates.is_some() && tls.is_none_or(|tls| tls.client_ca.is_none()) {
        return Err(fault("`certificates` needs roots for clients' certificates (--tls-client-ca)"));
    }
    Ok(book)
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("file", &self.file).finish_non_exhaustive()
    }
}
