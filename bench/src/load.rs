//! One measurement: pgbench or psql against one address, and what the process between cost. It never keeps more than
//! the numbers.

use crate::cell::{Cell, Door, Script, Way};
use crate::stand::{DATABASE, PASSWORD, Stand, psql};
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Rows that a COPY carries, about 53 bytes each as text.
pub(crate) const ROWS: u32 = 1_000_000;

/// What one round of one cell by one way came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Transactions a second, connecting not counted where connections last; rows a second for a COPY.
    pub(crate) tps: f64,
    /// Mean time of a transaction, milliseconds.
    pub(crate) latency_ms: f64,
    /// Statements sent.
    pub(crate) statements: u64,
    /// CPU of the process between and its children, microseconds a statement, or a row of a COPY; none for the direct way.
    pub(crate) cpu_us: Option<f64>,
}

/// One measurement to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) cell: Cell,
    pub(crate) way: Way,
    /// The process between; none for the direct way.
    pub(crate) between: Option<&'a Stand>,
    pub(crate) server: &'a Stand,
    /// The rows for a COPY into a table, as a text file.
    pub(crate) rows: &'a Path,
}

impl Turn<'_> {
    /// Plays the cell for some seconds, or once where it is a COPY.
    pub(crate) fn measure(&self, seconds: u32) -> anyhow::Result<Measure> {
        let (script, door) = (self.cell.script, self.between.unwrap_or(self.server).door);
        if script == Script::CopyIn {
            psql(self.server.door, "truncate rows_in")?;
        }
        let before = self.between.map(Stand::cpu_us).transpose()?;
        let told = if script.copies() { self.copy(door)? } else { self.pgbench(door, seconds)? };
        let after = self.between.map(Stand::cpu_us).transpose()?;
        let statements = told.transactions * script.statements();
        let units = if script.copies() { u64::from(ROWS) } else { statements };
        let cpu_us =
            before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64 / units as f64);
        Ok(Measure { tps: told.tps, latency_ms: told.latency_ms, statements, cpu_us })
    }

    fn pgbench(&self, door: SocketAddr, seconds: u32) -> anyhow::Result<Told> {
        let cell = self.cell;
        let mut pgbench = client("pgbench", door);
        pgbench.env("PGSSLMODE", if cell.door == Door::Tls { "require" } else { "disable" });
        pgbench.args(["-n", "-M", cell.spoken_by(self.way).as_str(), "-c", &cell.clients.to_string()]);
        pgbench.args(["-j", &cell.clients.min(2).to_string(), "-T", &seconds.to_string()]);
        match cell.script {
            Script::Select => pgbench.arg("-S"),
            Script::Churn => pgbench.args(["-S", "-C"]),
            Script::TpcB | Script::CopyIn | Script::CopyOut => &mut pgbench,
        };
        let ran = pgbench.arg(DATABASE).output().context("cannot run `pgbench`")?;
        let told = String::from_utf8_lossy(&ran.stdout);
        if !ran.status.success() {
            bail!("pgbench failed on {cell}: {}", String::from_utf8_lossy(&ran.stderr).trim());
        }
        let told =
            read(&told).with_context(|| format!("cannot read what pgbench said of {cell}:\n{told}"))?;
        if told.failed > 0 {
            bail!("{} transactions failed on {cell}", told.failed);
        }
        Ok(told)
    }

    /// One COPY by psql, which starts and connects within the time that is counted.
    fn copy(&self, door: SocketAddr) -> anyhow::Result<Told> {
        let asked = match self.cell.script {
            Script::CopyIn => format!("\\copy rows_in from '{}'", self.rows.display()),
            _ => "\\copy rows_out to '/dev/null'".to_owned(),
        };
        let mut psql = client("psql", door);
        psql.env("PGSSLMODE", "disable").args(["-X", "-c", &asked, DATABASE]);
        let began = Instant::now();
        let ran = psql.output().context("cannot run `psql`")?;
        let seconds = began.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&ran.stdout);
        if said.trim() != format!("COPY {ROWS}") {
            bail!("{} failed: {said}{}", self.cell, String::from_utf8_lossy(&ran.stderr).trim());
        }
        Ok(Told { transactions: 1, failed: 0, latency_ms: seconds * 1000.0, tps: f64::from(ROWS) / seconds })
    }
}

/// A client program for this address; its password is asked for only where the hop does.
fn client(program: &str, door: SocketAddr) -> Command {
    let mut client = Command::new(program);
    client.env("PGGSSENCMODE", "disable").env("PGPASSWORD", PASSWORD).env("PGAPPNAME", "pgbench");
    client.args(["-h", &door.ip().to_string(), "-p", &door.port().to_string(), "-U", "postgres"]);
    client
}

struct Told {
    transactions: u64,
    failed: u64,
    latency_ms: f64,
    tps: f64,
}

fn read(told: &str) -> Option<Told> {
    let word = |head: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(head))?;
        line.split_whitespace().next()
    };
    Some(Told {
        transactions: word("number of transactions actually processed: ")?.split('/').next()?.parse().ok()?,
        failed: word("number of failed transactions: ").map_or(Some(0), |failed| failed.parse().ok())?,
        latency_ms: word("latency average = ")?.parse().ok()?,
        tps: word("tps = ")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn pgbench_is_understood() {
        let told = "pgbench (15.18)\nnumber of transactions actually processed: 12345\nnumber of failed transactions: 2 (0.1%)\n\
                    latency average = 0.405 ms\ninitial connection time = 4.6 ms\ntps = 2469.135802 (without initial connection time)\n";
        let told = read(told).unwrap();
        assert_eq!((told.transactions, told.failed), (12_345, 2));
        assert!((told.latency_ms - 0.405).abs() < 1e-9 && (told.tps - 2_469.135_802).abs() < 1e-6);
        assert!(read("tps = 1\n").is_none());
    }
}
