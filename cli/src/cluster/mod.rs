//! A PostgreSQL cluster of our own in the data folder, for those who bring none: made once, started, adopted when
//! an earlier run left it behind, stopped. It never listens beyond this machine and never touches another cluster.

mod home;
mod programs;
mod server;
mod shop;

use crate::error::Error;
use home::Home;
use programs::{Programs, Runner};
use server::Server;
use std::path::{Path, PathBuf};

/// A running cluster with the shop in it.
#[derive(Debug)]
pub(crate) struct Cluster {
    server: Server,
    home: Home,
    version: String,
}

impl Cluster {
    /// Brings the cluster of this data folder up; `say` hears what takes time.
    ///
    /// # Errors
    /// Programs are missing, the folder cannot be used, the server does not start, or the shop cannot be made.
    pub(crate) async fn start(
        data: &Path,
        bin: Option<&Path>,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Self, Error> {
        let programs = Programs::find(bin)?;
        let runner = Runner::find()?;
        let home = Home::open(data, runner, say)?;
        if home.make(&programs, runner).await? {
            say("made a PostgreSQL cluster of its own");
        }
        let server = match Server::adopt(&home).await? {
            Some(server) => {
                say("found the cluster that an earlier run left running, and took it over");
                server
            }
            None => Server::start(&home, &programs, runner).await?,
        };
        let cluster = Self { server, home, version: programs.version() };
        match shop::seed(cluster.server.port()).await {
            Ok(true) => say("filled the shop database: three tenants, some hundred rows"),
            Ok(false) => {}
            Err(error) => {
                cluster.stop().await?;
                return Err(error);
            }
        }
        Ok(cluster)
    }

    /// Where the server listens, as the gateway's upstream.
    pub(crate) fn url(&self) -> String {
        format!("postgres://127.0.0.1:{}/{}", self.server.port(), shop::DATABASE)
    }

    /// What the server calls itself.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.folder().to_path_buf()
    }

    /// Ends when the server has ended by itself, and says how.
    pub(crate) async fn ended(&mut self) -> Error {
        let how = self.server.ended().await;
        Error::Cluster {
            why: format!("the cluster's server ended by itself: {how}"),
            hint: self.home.log_hint(),
        }
    }

    /// Fast shutdown: sessions are cut, everything committed is on disk.
    ///
    /// # Errors
    /// The server does not end within its time.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.server.stop(&self.home).await
    }

    /// What tells the server to end at once, without waiting; it recovers at the next start.
    pub(crate) fn abandon(&self) -> impl Fn() + use<> {
        self.server.abandon()
    }
}
