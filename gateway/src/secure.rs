//! What protects connections, as one thing: TLS to both sides, and logins. It follows its files, and keeps what it has where they
//! cannot be used.

use crate::{
    Error, Settings,
    login::Logins,
    tls::{Back, Front},
};
use clyra_seal::fingerprint::Secret;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What protects the connections of a gateway.
#[derive(Debug)]
pub(crate) struct Secure {
    /// TLS towards clients.
    pub(crate) front: Option<Front>,
    /// TLS towards the server.
    pub(crate) back: Option<Back>,
    /// Who may log in here; without it clients log in at the server.
    pub(crate) logins: Option<Logins>,
}

impl Secure {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub(crate) fn load(settings: &Settings, secret: Secret) -> Result<Self, Error> {
        let logins = settings.login.as_deref();
        let logins = logins.map(|file| {
            Logins::load(file, settings.tls.as_ref(), settings.upstream_password.clone(), secret)
        });
        let logins = logins.transpose()?;
        Ok(Self {
            front: settings.tls.as_ref().map(Front::load).transpose()?,
            back: Back::load(&settings.upstream)?,
            logins,
        })
    }

    /// Reads the files again, and takes those into use that have changed.
    ///
    /// # Errors
    /// The first of them that cannot be used; what was in use stays so.
    pub(crate) fn reread(&self) -> Result<bool, Error> {
        let front = self.front.as_ref().map_or(Ok(false), Front::reread);
        let back = self.back.as_ref().map_or(Ok(false), Back::reread);
        let logins = self.logins.as_ref().map_or(Ok(false), Logins::reread);
        Ok(front? | back? | logins?)
    }

    /// Reads the files again and again. Folders whose links are exchanged (Kubernetes) need nothing more than that.
    pub(crate) async fn watched(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        if self.front.is_none() && self.back.is_none() && self.logins.is_none() {
            return;
        }
        loop {
            tokio::select! {
                () = tokio::time::sleep(REREAD_EVERY) => {}
                _ = shutdown.wait_for(|down| *down) => return,
            }
            let secure = Arc::clone(&self);
            // A file that cannot be used now may be half written.
            let _ = tokio::task::spawn_blocking(move || secure.reread()).await;
        }
    }
}

/// How often files are read again.
const REREAD_EVERY: Duration = Duration::from_secs(10);
