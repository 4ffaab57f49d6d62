//! One measurement: pgbench against one address, and what the process between cost. It never keeps more than the
//! numbers.

use crate::stand::Stand;
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::fmt;
use std::net::SocketAddr;
use std::process::Command;

/// What pgbench plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Script {
    /// One SELECT by primary key a transaction.
    Select,
    /// TPC-B-like: seven statements a transaction, three of them UPDATEs.
    TpcB,
}

impl Script {
    pub(crate) const ALL: [Self; 2] = [Self::Select, Self::TpcB];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::TpcB => "tpcb",
        }
    }

    /// Statements in one transaction.
    pub(crate) fn statements(self) -> u64 {
        match self {
            Self::Select => 1,
            Self::TpcB => 7,
        }
    }
}

/// How pgbench speaks: its `-M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Spoken {
    Simple,
    Extended,
    Prepared,
}

impl Spoken {
    pub(crate) const ALL: [Self; 3] = [Self::Simple, Self::Extended, Self::Prepared];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// Numbers of clients.
pub(crate) const CLIENTS: [u32; 3] = [1, 8, 64];

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) script: Script,
    pub(crate) spoken: Spoken,
    pub(crate) clients: u32,
}

impl Cell {
    /// Every kind, in order.
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for script in Script::ALL {
            for spoken in Spoken::ALL {
                cells.extend(CLIENTS.map(|clients| Self { script, spoken, clients }));
            }
        }
        cells
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.script.as_str(), self.spoken.as_str(), self.clients)
    }
}

/// A way from pgbench to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Way {
    Direct,
    Forwarder,
    Pgbouncer,
    Clyra,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Forwarder => "forwarder",
            Self::Pgbouncer => "pgbouncer",
            Self::Clyra => "clyra",
        }
    }
}

/// What one round of one cell by one way came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Transactions a second, connecting not counted.
    pub(crate) tps: f64,
    /// Mean time of a transaction, milliseconds.
    pub(crate) latency_ms: f64,
    /// Statements sent.
    pub(crate) statements: u64,
    /// CPU of the process between and its children, microseconds a statement; none for the direct way.
    pub(crate) cpu_us: Option<f64>,
}

/// Plays one cell for some seconds.
pub(crate) fn measure(
    cell: Cell,
    door: SocketAddr,
    between: Option<&Stand>,
    seconds: u32,
) -> anyhow::Result<Measure> {
    let mut pgbench = Command::new("pgbench");
    pgbench.env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
    pgbench.args(["-n", "-h", &door.ip().to_string(), "-p", &door.port().to_string(), "-U", "postgres"]);
    pgbench.args(["-M", cell.spoken.as_str(), "-c", &cell.clients.to_string()]);
    pgbench.args(["-j", &cell.clients.min(2).to_string(), "-T", &seconds.to_string()]);
    if cell.script == Script::Select {
        pgbench.arg("-S");
    }
    let before = between.map(Stand::cpu_us).transpose()?;
    let ran = pgbench.arg(crate::stand::DATABASE).output().context("cannot run `pgbench`")?;
    let after = between.map(Stand::cpu_us).transpose()?;
    let told = String::from_utf8_lossy(&ran.stdout);
    if !ran.status.success() {
        bail!("pgbench failed on {cell}: {}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    let told = read(&told).with_context(|| format!("cannot read what pgbench said of {cell}:\n{told}"))?;
    if told.failed > 0 {
        bail!("{} transactions failed on {cell}", told.failed);
    }
    let statements = told.transactions * cell.script.statements();
    let cpu_us =
        before.zip(after).map(|(before, after)| after.saturating_sub(before) as f64 / statements as f64);
    Ok(Measure { tps: told.tps, latency_ms: told.latency_ms, statements, cpu_us })
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
    use super::{Cell, read};

    #[test]
    fn pgbench_is_understood() {
        let told = "pgbench (15.18)\nnumber of transactions actually processed: 12345\nnumber of failed transactions: 2 (0.1%)\n\
                    latency average = 0.405 ms\ninitial connection time = 4.6 ms\ntps = 2469.135802 (without initial connection time)\n";
        let told = read(told).unwrap();
        assert_eq!((told.transactions, told.failed), (12_345, 2));
        assert!((told.latency_ms - 0.405).abs() < 1e-9 && (told.tps - 2_469.135_802).abs() < 1e-6);
        assert!(read("tps = 1\n").is_none());
    }

    #[test]
    fn there_are_eighteen_cells() {
        let names: Vec<String> = Cell::all().iter().map(Cell::to_string).collect();
        assert_eq!(names.len(), 18);
        assert_eq!(names.first().map(String::as_str), Some("select-simple-1"));
        assert_eq!(names.last().map(String::as_str), Some("tpcb-prepared-64"));
    }
}
