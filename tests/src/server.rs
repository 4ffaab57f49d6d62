//! A PostgreSQL of a test's own, with the login rules that the test wants, stopped by pid.

use anyhow::Context as _;
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A running server.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    server: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Server {
    /// Makes a cluster whose `pg_hba.conf` is this, with database `shop`, and starts it.
    ///
    /// # Errors
    /// When PostgreSQL's programs are missing or do not do it.
    pub async fn start(login_rules: &str) -> anyhow::Result<Self> {
        let folder = crate::open_folder()?;
        let cluster = folder.path().join("cluster");
        std::fs::create_dir(&cluster)?;
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").args(["postgres", &cluster.display().to_string()]).status()?;
            anyhow::ensure!(owned.success(), "chown");
        }
        let place = cluster.display().to_string();
        let made = own("initdb")?
            .args([
                "-D",
                &place,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .output()?;
        anyhow::ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(cluster.join("pg_hba.conf"), login_rules)?;
        let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let server = own("postgres")?
            .args(["-D", &place, "-k", &place, "-h", "127.0.0.1", "-p", &addr.port().to_string()])
            .args(["-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("server.log"))?)
            .spawn()?;
        let mut started = Self { folder, server, addr };
        started.by_socket("create database shop").await?;
        Ok(started)
    }

    /// Says a statement over the unix socket, as the superuser; waits for a server that is still starting.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn by_socket(&mut self, sql: &str) -> anyhow::Result<()> {
        let folder = self.folder.path().join("cluster").display().to_string();
        let deadline = Instant::now() + START_MAX;
        loop {
            let output = Command::new("psql")
                .args(["-X", "-q", "-h", &folder, "-p", &self.addr.port().to_string()])
                .args(["-U", "postgres", "-d", "postgres", "-c", sql])
                .output()?;
            if output.status.success() {
                return Ok(());
            }
            let log = std::fs::read_to_string(self.folder.path().join("server.log"))?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            anyhow::ensure!(self.server.try_wait()?.is_none(), "the server ended: {log}");
            anyhow::ensure!(Instant::now() < deadline && output.status.code() == Some(2), "{said}{log}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An immediate shutdown: nobody needs this cluster again.
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

/// One of PostgreSQL's server programs, run as a user that it accepts.
fn own(program: &str) -> anyhow::Result<Command> {
    let found = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    let newest = std::fs::read_dir("/usr/lib/postgresql").ok().and_then(|folders| {
        folders
            .filter_map(|folder| Some(folder.ok()?.path().join("bin")))
            .filter(|bin| bin.join(program).exists())
            .max()
    });
    let bin = newest.or(found).context("PostgreSQL's server programs are not installed")?;
    let path = bin.join(program);
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
    Ok(command)
}

const START_MAX: Duration = Duration::from_secs(60);
