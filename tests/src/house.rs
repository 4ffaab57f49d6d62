//! A house under test: the real `clyra up`, in a folder of its own, on free ports, stopped by pid.

use anyhow::{Context as _, bail};
use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A running house.
#[derive(Debug)]
pub struct House {
    folder: TempDir,
    flags: Vec<String>,
    up: Option<Child>,
    /// The record that `clyra up` left when it was ready.
    pub standing: serde_json::Value,
}

impl House {
    /// Starts a house with this policy and a PostgreSQL of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(policy: &str) -> anyhow::Result<Self> {
        Self::start_with(policy, &[]).await
    }

    /// As [`House::start`], with more flags.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_with(policy: &str, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_in(&std::env::temp_dir(), policy, flags).await
    }

    /// As [`House::start_with`], with its folder below `place`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_in(place: &Path, policy: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = open_folder_in(place)?;
        std::fs::write(folder.path().join("policy.yaml"), policy)?;
        let mut house = Self {
            folder,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            up: None,
            standing: serde_json::Value::Null,
        };
        house.up().await?;
        Ok(house)
    }

    /// Starts it again in the same folder, after [`House::kill`] or [`House::stop`].
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let record = self.data().join("up.json");
        let _ = std::fs::remove_file(&record);
        let log = std::fs::File::create(self.path("up.log"))?;
        let mut up = Command::new(crate::program("clyra")?)
            .arg("up")
            .args(["--listen", FREE, "--admin", FREE, "--metrics", FREE, "--recorder", FREE])
            .arg("--data")
            .arg(self.data())
            .arg("--policy")
            .arg(self.path("policy.yaml"))
            .args(self.unsigned())
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let deadline = Instant::now() + READY_MAX;
        while !record.exists() {
            if let Some(status) = up.try_wait()? {
                bail!("clyra up ended with {status}:\n{}", std::fs::read_to_string(self.path("up.log"))?);
            }
            if Instant::now() > deadline {
                let _ = up.kill();
                bail!("clyra up was not ready in time:\n{}", std::fs::read_to_string(self.path("up.log"))?);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.up = Some(up);
        self.standing = serde_json::from_slice(&std::fs::read(record)?)?;
        Ok(())
    }

    /// Adds flags for the next start.
    pub fn flag(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
    }

    /// Most stories write a policy and sign nothing.
    fn unsigned(&self) -> Option<&'static str> {
        let signed =
            self.flags.iter().any(|flag| matches!(flag.as_str(), "--policy-key" | "--allow-unsigned"));
        (!signed).then_some("--allow-unsigned")
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut up = self.up.take().context("the house is not up")?;
        up.kill()?;
        up.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// When it does not end well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let mut up = self.up.take().context("the house is not up")?;
        let asked = Command::new("kill").arg(up.id().to_string()).status()?;
        anyhow::ensure!(asked.success(), "kill did not reach the house");
        let deadline = Instant::now() + READY_MAX;
        loop {
            if let Some(status) = up.try_wait()? {
                let log = std::fs::read_to_string(self.path("up.log"))?;
                anyhow::ensure!(status.success(), "clyra up ended with {status}:\n{log}");
                return Ok(());
            }
            if Instant::now() > deadline {
                up.kill()?;
                bail!("clyra up did not end in time");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A file or folder of the test beside the data folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// An address of the ready record.
    ///
    /// # Errors
    /// When the record has none of this name.
    pub fn addr(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let addr = self.standing.get(name).and_then(serde_json::Value::as_str);
        Ok(addr.with_context(|| format!("no `{name}` in {}", self.standing))?.parse()?)
    }

    /// Address of the server behind the gate.
    ///
    /// # Errors
    /// When the record has none.
    pub fn upstream(&self) -> anyhow::Result<SocketAddr> {
        let url = self.standing.get("upstream").and_then(serde_json::Value::as_str).context("no upstream")?;
        let rest = url.strip_prefix("postgres://").context("no URL")?;
        Ok(rest.split(['/', '?']).next().unwrap_or_default().parse()?)
    }

    /// Connects through the gate.
    ///
    /// # Errors
    /// When the gate or the server refuses.
    pub async fn through(&self, options: &str) -> anyhow::Result<Client> {
        connect(self.addr("listen")?, options).await
    }

    /// Connects to the server itself.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn directly(&self) -> anyhow::Result<Client> {
        connect(self.upstream()?, "").await
    }

    /// Runs `clyra` for this house: `--data` is added.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn clyra(&self, words: &[&str]) -> anyhow::Result<Output> {
        let output = Command::new(crate::program("clyra")?)
            .args(words)
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()?;
        Ok(output)
    }

    /// Cuts the bundle of a run, once all its receipts have reached the log; gives its path.
    ///
    /// # Errors
    /// When it cannot be cut.
    pub async fn cut(&self, run: &str) -> anyhow::Result<PathBuf> {
        let file = self.path(&format!("{run}.pef.zip"));
        self.settled().await?;
        let name = file.display().to_string();
        let output = self.clyra(&["bundle", "cut", "--force", "--run", run, "--out", &name])?;
        anyhow::ensure!(output.status.success(), "cut: {}", String::from_utf8_lossy(&output.stderr));
        Ok(file)
    }

    /// Waits until the recorder holds everything that the gateway has issued.
    ///
    /// # Errors
    /// When that does not come true in time.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_MAX;
        loop {
            let output = self.clyra(&["status", "--json"])?;
            let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if status.pointer("/gateway/outbox_depth").and_then(serde_json::Value::as_u64) == Some(0)
                && status.pointer("/gateway/recorder_connected") == Some(&serde_json::Value::Bool(true))
            {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "the outbox does not empty: {status}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Runs `clyra-verify bundle` on a file; its exit code and what it printed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn verify(&self, bundle: &Path) -> anyhow::Result<(Option<i32>, serde_json::Value)> {
        let output = Command::new(crate::program("clyra-verify")?)
            .arg("bundle")
            .arg(bundle)
            .arg("--trust")
            .arg(self.data().join("trust.txt"))
            .arg("--json")
            .output()?;
        let said = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        Ok((output.status.code(), said))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            // The own cluster ends with its parent's orderly end; a test that failed still must not leave it behind.
            let _ = Command::new("kill").arg(up.id().to_string()).status();
            let deadline = Instant::now() + READY_MAX;
            while matches!(up.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            let _ = up.kill();
            let _ = up.wait();
        }
    }
}

/// Connects to a PostgreSQL address as `postgres` to the database `shop`.
///
/// # Errors
/// When the other side refuses.
pub async fn connect(addr: SocketAddr, options: &str) -> anyhow::Result<Client> {
    let host = addr.ip();
    let port = addr.port();
    let config =
        format!("host={host} port={port} user=postgres dbname=shop application_name=journey {options}");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    tokio::spawn(async move {
        // The test sees a broken connection at its next statement.
        let _ = connection.await;
    });
    Ok(client)
}

/// A folder that the server's own user can pass through.
///
/// # Errors
/// When it cannot be made.
pub fn open_folder() -> std::io::Result<TempDir> {
    open_folder_in(&std::env::temp_dir())
}

fn open_folder_in(place: &Path) -> std::io::Result<TempDir> {
    let folder = tempfile::tempdir_in(place)?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// A free port of the loopback address.
const FREE: &str = "127.0.0.1:0";
const READY_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
