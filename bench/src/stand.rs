//! The programs of a run: PostgreSQL, the forwarder, PgBouncer, `clyra up`, each started in a folder of its own and
//! stopped when dropped. It never uses a port or a folder that something else uses.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The database of the run.
pub(crate) const DATABASE: &str = "bench";
/// What a client shows where it is asked who it is; the server itself asks nobody.
pub(crate) const PASSWORD: &str = "bench";
/// Connections of a pool of transactions.
const POOL: &str = "8";
const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A program that stands between, or the server itself.
#[derive(Debug)]
pub(crate) struct Stand {
    child: Option<Child>,
    /// Where it answers.
    pub(crate) door: SocketAddr,
}

impl Stand {
    /// A PostgreSQL of its own under `work`, with pgbench's tables in it.
    pub(crate) fn postgres(work: &Path, scale: u32) -> anyhow::Result<Self> {
        let bin = postgres_bin()?;
        let data = work.join("postgres");
        fs::create_dir(&data)?;
        give_to_postgres(&data)?;
        let initdb = bin.join("initdb");
        let mut made = unprivileged(&initdb)?;
        made.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        run(made.stdout(Stdio::null()))?;
        let door = free_door()?;
        let mut server = unprivileged(&bin.join("postgres"))?;
        server.arg("-D").arg(&data).args(["-p", &door.port().to_string()]);
        // Waiting for the disk would hide every difference that we want to see.
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=200",
            "shared_buffers=512MB",
            "synchronous_commit=off",
            "max_wal_size=4GB",
            "checkpoint_timeout=1h",
            "ssl=on",
        ] {
            server.args(["-c", setting]);
        }
        let papers = Papers::new(work, &data)?;
        give_to_postgres(&data)?;
        server.arg("-c").arg(format!("ssl_cert_file={}", papers.cert.display()));
        server.arg("-c").arg(format!("ssl_key_file={}", papers.key.display()));
        server.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        let stand = Self::start(server, door, &work.join("postgres.log"))?;
        let (host, port) = (door.ip().to_string(), door.port().to_string());
        let to = ["-h", &host, "-p", &port, "-U", "postgres"];
        // The port answers before the server does.
        let server_ready =
            || Command::new("pg_isready").arg("-q").args(to).status().is_ok_and(|status| status.success());
        wait(READY_WITHIN, server_ready).context("PostgreSQL did not become ready")?;
        run(Command::new("createdb").args(to).arg(DATABASE))?;
        run(Command::new("pgbench")
            .args(to)
            .args(["-i", "-q", "-s", &scale.to_string(), DATABASE])
            .stderr(Stdio::null()))?;
        Ok(stand)
    }

    /// Our bare forwarder.
    pub(crate) fn forwarder(work: &Path, server: SocketAddr) -> anyhow::Result<Self> {
        let door = free_door()?;
        let mut forwarder = Command::new(std::env::current_exe()?);
        forwarder.args(["forward", "--listen", &door.to_string(), "--to", &server.to_string()]);
        Self::start(forwarder, door, &work.join("forwarder.log"))
    }

    /// PgBouncer: session pooling and TLS for who asks for it, or transaction pooling with logins.
    pub(crate) fn pgbouncer(work: &Path, server: &Self, pooled: bool) -> anyhow::Result<Self> {
        let door = free_door()?;
        let folder = work.join(if pooled { "pgbouncer-pool" } else { "pgbouncer" });
        fs::create_dir(&folder)?;
        let users = folder.join("users.txt");
        fs::write(&users, verifier(server.door)?)?;
        let (mode, size, auth) =
            if pooled { ("transaction", POOL, "scram-sha-256") } else { ("session", "100", "any") };
        let papers = Papers::new(work, &folder)?;
        let settings = folder.join("pgbouncer.ini");
        fs::write(
            &settings,
            format!(
                "[databases]\n{DATABASE} = host={} port={} dbname={DATABASE} user=postgres\n\n[pgbouncer]\n\
                 listen_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = {auth}\nauth_file = {}\n\
                 pool_mode = {mode}\nmax_client_conn = 500\ndefault_pool_size = {size}\n\
                 client_tls_sslmode = allow\nclient_tls_cert_file = {}\nclient_tls_key_file = {}\n\
                 server_tls_sslmode = disable\nlog_connections = 0\nlog_disconnections = 0\nlogfile = {}\n",
                server.door.ip(),
                server.door.port(),
                door.ip(),
                door.port(),
                users.display(),
                papers.cert.display(),
                papers.key.display(),
                folder.join("pgbouncer.log").display(),
            ),
        )?;
        give_to_postgres(&folder)?;
        let mut pgbouncer = unprivileged(&find("pgbouncer", &["/usr/sbin"])?)?;
        pgbouncer.arg("-q").arg(&settings);
        Self::start(pgbouncer, door, &folder.with_extension("out"))
    }

    /// `clyra up` before the server, rules on, receipts kept: TLS for who asks for it, or a pool of
    /// transactions with logins.
    pub(crate) fn clyra(
        work: &Path,
        server: &Self,
        program: &Path,
        policy: &Path,
        pooled: bool,
    ) -> anyhow::Result<Self> {
        let data = work.join(evidence(pooled));
        let folder = data.with_extension("given");
        fs::create_dir(&folder)?;
        let log = data.with_extension("log");
        let mut clyra = Command::new(program);
        let upstream = format!("postgres://{}/{DATABASE}", server.door);
        clyra.args(["up", "--mode", "enforce", "--allow-unsigned", "--upstream", &upstream]);
        for door in ["--listen", "--admin", "--metrics", "--recorder"] {
            clyra.args([door, "127.0.0.1:0"]);
        }
        clyra.arg("--policy").arg(policy).arg("--data").arg(&data);
        if pooled {
            fs::write(folder.join("users.txt"), verifier(server.door)?)?;
            fs::write(folder.join("password"), PASSWORD)?;
            let login = folder.join("login.yaml");
            fs::write(&login, "users: users.txt\nupstream:\n  user: postgres\n  password_file: password\n")?;
            clyra.args(["--pool", "transaction", "--pool-size", POOL, "--login"]).arg(login);
        } else {
            let papers = Papers::new(work, &folder)?;
            clyra.args(["--tls", "optional", "--tls-cert"]).arg(papers.cert);
            clyra.arg("--tls-key").arg(papers.key);
        }
        let mut stand = Self { child: Some(spawn(clyra, &log)?), door: server.door };
        let up = data.join("up.json");
        wait(READY_WITHIN, || up.exists() || stand.ended()).context("`clyra up` did not become ready")?;
        if stand.ended() {
            bail!("`clyra up` ended:\n{}", fs::read_to_string(&log)?);
        }
        let told: serde_json::Value = serde_json::from_slice(&fs::read(&up)?)?;
        let listen =
            told.get("listen").and_then(serde_json::Value::as_str).context("`up.json` has no `listen`")?;
        stand.door = listen.parse()?;
        Ok(stand)
    }

    /// Makes the tables for COPY, and the file of rows that goes in.
    pub(crate) fn rows(&self, rows: u32, file: &Path) -> anyhow::Result<()> {
        // Waiting for the server's log of changes would hide what the hop costs.
        psql(
            self.door,
            &format!(
                "create unlogged table rows_out as select g as id, 'row ' || g as name, md5(g::text) as note \
                 from generate_series(1, {rows}) g; \
                 create unlogged table rows_in (like rows_out) with (autovacuum_enabled = off); \
                 vacuum analyze rows_out"
            ),
        )?;
        psql(self.door, &format!("\\copy rows_out to '{}'", file.display()))?;
        Ok(())
    }

    fn start(program: Command, door: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let name = format!("{}", program.get_program().display());
        let mut stand = Self { child: Some(spawn(program, log)?), door };
        wait(READY_WITHIN, || TcpStream::connect(door).is_ok() || stand.ended())
            .with_context(|| format!("`{name}` did not become ready"))?;
        if stand.ended() {
            bail!("`{name}` ended:\n{}", fs::read_to_string(log)?);
        }
        Ok(stand)
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// CPU that this process and its living children have used, microseconds.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<u64> {
        let root = self.child.as_ref().context("it has ended")?.id();
        let mut stats = BTreeMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
                && let Some(stat) =
                    fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(read_stat)
            {
                stats.insert(pid, stat);
            }
        }
        let mut ticks = 0;
        for (pid, (_, used)) in &stats {
            let mut above = Some(*pid);
            while let Some(pid) = above.filter(|pid| *pid != root) {
                above = stats.get(&pid).map(|(parent, _)| *parent);
            }
            ticks += if above == Some(root) { *used } else { 0 };
        }
        Ok(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        let (ended, wait) = mpsc::channel();
        // SIGINT is a fast, clean stop for all four.
        if kill_process(pid, Signal::INT).is_ok() {
            std::thread::spawn(move || ended.send(child.wait()));
            if wait.recv_timeout(STOPPED_WITHIN).is_err() {
                kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

/// Name of the folder under `work` in which `clyra up` keeps its evidence.
pub(crate) fn evidence(pooled: bool) -> &'static str {
    if pooled { "clyra-pool" } else { "clyra" }
}

/// Says something to the server itself, and hears the answer.
pub(crate) fn psql(server: SocketAddr, sql: &str) -> anyhow::Result<String> {
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-q", "-h", &server.ip().to_string(), "-p", &server.port().to_string()]);
    psql.args(["-U", "postgres", DATABASE]);
    for part in sql.split("; ") {
        psql.args(["-c", part]);
    }
    let ran = psql.output().context("cannot run `psql`")?;
    if !ran.status.success() {
        bail!("`{sql}` failed: {}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// The line of a users' file by which `postgres` proves itself with the password of the run.
fn verifier(server: SocketAddr) -> anyhow::Result<String> {
    psql(
        server,
        &format!(
            "alter role postgres password '{PASSWORD}'; \
             select format('\"%s\" \"%s\"', rolname, rolpassword) from pg_authid where rolname = 'postgres'"
        ),
    )
}

/// A certificate and its key: one pair for the whole run, copied to where each program may read it.
struct Papers {
    cert: PathBuf,
    key: PathBuf,
}

impl Papers {
    fn new(work: &Path, folder: &Path) -> anyhow::Result<Self> {
        let of = |folder: &Path| Self { cert: folder.join("run.pem"), key: folder.join("run.key") };
        let (own, theirs) = (of(work), of(folder));
        if !own.cert.exists() {
            let mut made = Command::new("openssl");
            made.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ]);
            made.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]);
            made.arg("-out").arg(&own.cert).arg("-keyout").arg(&own.key);
            run(made.stderr(Stdio::null()))?;
        }
        fs::copy(&own.cert, &theirs.cert)?;
        fs::copy(&own.key, &theirs.key)?;
        fs::set_permissions(&theirs.key, fs::Permissions::from_mode(0o600))?;
        Ok(theirs)
    }
}

/// Parent and used clock ticks (user and system, own and of children waited for) in a line of `/proc/PID/stat`.
fn read_stat(stat: &str) -> Option<(u32, u64)> {
    // The name stands in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let used: u64 = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some((fields.get(1)?.parse().ok()?, used))
}

fn spawn(mut program: Command, log: &Path) -> anyhow::Result<Child> {
    let log = fs::File::create(log)?;
    program.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    program.spawn().with_context(|| format!("cannot run `{}`", program.get_program().display()))
}

fn run(program: &mut Command) -> anyhow::Result<()> {
    let name = format!("{}", program.get_program().display());
    let status = program.status().with_context(|| format!("cannot run `{name}`"))?;
    if !status.success() {
        bail!("`{name}` failed: {status}");
    }
    Ok(())
}

fn wait(within: Duration, mut ready: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let (_open, never) = mpsc::channel::<()>();
    while !ready() {
        if began.elapsed() > within {
            bail!("waited {} s", within.as_secs());
        }
        never.recv_timeout(Duration::from_millis(20)).ok();
    }
    Ok(())
}

fn free_door() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn postgres_bin() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|folders| folders.flatten().map(|folder| folder.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let newest = versions.into_iter().rfind(|bin| bin.join("initdb").exists());
    let found = newest.map_or_else(|| find("initdb", &[]), |bin| Ok(bin.join("initdb")))?;
    Ok(found.parent().context("initdb stands in no folder")?.to_owned())
}

fn find(program: &str, besides: &[&str]) -> anyhow::Result<PathBuf> {
    let asked = Command::new("sh").args(["-c", &format!("command -v {program}")]).output()?;
    let path = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    let mut places = besides.iter().map(|folder| Path::new(folder).join(program)).chain([path]);
    places
        .find(|path| path.is_file())
        .with_context(|| format!("`{program}` is not installed; ./check installs it"))
}

/// PostgreSQL and PgBouncer refuse to run as root: then they run as the user `postgres`.
fn unprivileged(program: &Path) -> anyhow::Result<Command> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    let (user, group) = postgres_user()?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}")]).arg("--clear-groups").arg(program);
    command.current_dir("/");
    Ok(command)
}

fn give_to_postgres(folder: &Path) -> anyhow::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    if rustix::process::geteuid().is_root() {
        let (user, group) = postgres_user()?;
        chown(folder, Some(user), Some(group))?;
        for entry in fs::read_dir(folder)? {
            chown(entry?.path(), Some(user), Some(group))?;
        }
    }
    Ok(())
}

fn postgres_user() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields = line.context("there is no user `postgres`")?.split(':').skip(1);
    let mut number =
        || fields.next().and_then(|field| field.parse().ok()).context("`/etc/passwd` is not understood");
    Ok((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::read_stat;

    #[test]
    fn a_stat_line_is_understood_whatever_the_name() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 100 200 300";
        assert_eq!(read_stat(line), Some((7, 110)));
        assert_eq!(read_stat("42 (x) S"), None);
    }
}
