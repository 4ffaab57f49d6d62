//! Logins: how a client shows who it is before the relay takes over. Passed through, that is between client and server,
//! and only what cannot hold through a gateway is left out; at the gateway, the client proves itself here, and the
//! gateway goes on to the server with credentials of its own.

mod asked;
mod book;
mod entered;
mod passed;
mod scram;
mod talk;
mod token;
mod users;

pub(crate) use asked::{Denied, Proved};
pub(crate) use passed::without_binding;
pub(crate) use talk::Talk;

use crate::{Error, settings::ClientTls, tls::Handshake};
use arc_swap::ArcSwap;
use book::Book;
use clyra_seal::fingerprint::Secret;
use clyra_wire::Startup;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Who may log in at the gateway.
pub(crate) struct Logins {
    file: PathBuf,
    tls: Option<ClientTls>,
    /// Gives users that do not exist a salt that stays.
    secret: Secret,
    newest: ArcSwap<Book>,
}

impl Logins {
    /// Reads the login file.
    ///
    /// # Errors
    /// It cannot be used, or not without the TLS that it needs.
    pub(crate) fn load(file: &Path, tls: Option<&ClientTls>, secret: Secret) -> Result<Self, Error> {
        let newest = ArcSwap::from_pointee(open(file, tls)?);
        Ok(Self { file: file.to_path_buf(), tls: tls.cloned(), secret, newest })
    }

    /// Reads the file again if it or one that it names has changed; true if so. Sessions that stand stay.
    ///
    /// # Errors
    /// As [`Logins::load`]; what was in use stays so.
    pub(crate) fn reread(&self) -> Result<bool, Error> {
        if !self.newest.load().has_changed() {
            return Ok(false);
        }
        self.newest.store(Arc::new(open(&self.file, self.tls.as_ref())?));
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
        let salt = self.secret.bytes("login salt", "", user.as_bytes());
        asked::prove(&self.newest.load_full(), client, user, salt, handshake).await
    }

    /// Logs in at the server for a client that has proved itself.
    ///
    /// # Errors
    /// The server does not let the gateway in.
    pub(crate) async fn enter<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        server: &mut Talk<'_, S>,
        startup: &Startup,
        private: bool,
    ) -> Result<(), Denied> {
        let book = self.newest.load_full();
        let own = book.upstream.user.as_deref();
        let user = own.or_else(|| startup.parameter("user")).unwrap_or_default();
        let packet = entered::startup(startup, user)?;
        entered::enter(server, &packet, user, &book.upstream.password, private).await
    }
}

fn open(file: &Path, tls: Option<&ClientTls>) -> Result<Book, Error> {
    let fault = |why: &str| Error::Tls { path: file.to_path_buf(), why: why.to_owned() };
    let book = Book::open(file)?;
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
