//! The cells: which load, spoken how, by how many, through which door. It names them and measures nothing.

use clap::ValueEnum;
use std::fmt;

/// What a client plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Script {
    /// One SELECT by primary key a transaction.
    Select,
    /// TPC-B-like: seven statements a transaction, three of them UPDATEs.
    TpcB,
    /// One SELECT by primary key, and a new connection for each.
    Churn,
    /// All rows of a file into a table.
    CopyIn,
    /// All rows of a table to the client.
    CopyOut,
}

impl Script {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::TpcB => "tpcb",
            Self::Churn => "churn",
            Self::CopyIn => "copy-in",
            Self::CopyOut => "copy-out",
        }
    }

    /// Statements in one transaction.
    pub(crate) fn statements(self) -> u64 {
        if self == Self::TpcB { 7 } else { 1 }
    }

    /// Whether it is one COPY by psql, measured in rows, rather than pgbench for some seconds.
    pub(crate) fn copies(self) -> bool {
        matches!(self, Self::CopyIn | Self::CopyOut)
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

/// The door that the clients come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    /// Neither TLS nor a pool.
    Plain,
    /// TLS from the client to the first hop, or to the server where the hop only forwards.
    Tls,
    /// A pool of transactions over eight connections, where the hop has pools; logins by SCRAM there.
    Pool,
}

/// Numbers of clients.
pub(crate) const CLIENTS: [u32; 3] = [1, 8, 64];

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) door: Door,
    pub(crate) script: Script,
    pub(crate) spoken: Spoken,
    pub(crate) clients: u32,
}

impl Cell {
    /// Every kind, in order.
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for script in [Script::Select, Script::TpcB] {
            for spoken in Spoken::ALL {
                cells.extend(CLIENTS.map(|clients| Self { door: Door::Plain, script, spoken, clients }));
            }
        }
        for spoken in [Spoken::Simple, Spoken::Prepared] {
            cells.extend(CLIENTS.map(|clients| Self {
                door: Door::Tls,
                script: Script::Select,
                spoken,
                clients,
            }));
        }
        let spoken = Spoken::Simple;
        let churn = |door| Self { door, script: Script::Churn, spoken, clients: 8 };
        cells.extend([Door::Plain, Door::Tls, Door::Pool].map(churn));
        let copy = |script| Self { door: Door::Plain, script, spoken, clients: 1 };
        cells.extend([Script::CopyIn, Script::CopyOut].map(copy));
        let pooled = |spoken| Self { door: Door::Pool, script: Script::Select, spoken, clients: 64 };
        cells.extend([Spoken::Simple, Spoken::Prepared].map(pooled));
        cells
    }

    /// How pgbench speaks here by this way.
    pub(crate) fn spoken_by(&self, way: Way) -> Spoken {
        // Before 1.21 PgBouncer cannot carry prepared statements from one server connection to another.
        if self.door == Door::Pool && way == Way::Pgbouncer { Spoken::Simple } else { self.spoken }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.door {
            Door::Plain => "",
            Door::Tls => "tls-",
            Door::Pool => "pool-",
        })?;
        f.write_str(self.script.as_str())?;
        if self.script.copies() {
            return Ok(());
        }
        write!(f, "-{}-{}", self.spoken.as_str(), self.clients)
    }
}

/// A way from the client to the server.
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

#[cfg(test)]
mod tests {
    use super::{Cell, Spoken, Way};
    use std::collections::BTreeSet;

    #[test]
    fn every_cell_has_a_name_of_its_own() {
        let names: Vec<String> = Cell::all().iter().map(Cell::to_string).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 31);
        assert_eq!(names.len(), 31);
        assert_eq!(names.first().map(String::as_str), Some("select-simple-1"));
        for name in ["tpcb-prepared-64", "tls-select-simple-8", "copy-in", "tls-churn-simple-8"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }

    #[test]
    fn pgbouncer_prepares_nothing_in_its_pool() {
        let cell = *Cell::all().last().unwrap();
        assert_eq!(cell.to_string(), "pool-select-prepared-64");
        assert_eq!(cell.spoken_by(Way::Pgbouncer), Spoken::Simple);
        assert_eq!(cell.spoken_by(Way::Clyra), Spoken::Prepared);
    }
}
