//! `bench pg`: every cell by every way, in interleaved rounds. It decides nothing about the numbers: `report` does.

use crate::cell::{Cell, Door, Way};
use crate::load::{Measure, ROWS, Turn};
use crate::stand::{Stand, evidence};
use crate::{plot, report};
use anyhow::{Context as _, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How to weigh.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Rounds; every round plays every cell by every way once.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only the cell of this name, as in `select-prepared-8`, or those whose names contain it, as in `tls-` or `copy`;
    /// may be given again.
    #[arg(long, allow_hyphen_values = true)]
    only: Vec<String>,
    /// Ways to weigh; `direct` is always among them.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Way::Direct, Way::Forwarder, Way::Pgbouncer, Way::Clyra])]
    ways: Vec<Way>,
    /// pgbench's scale: 100,000 accounts each.
    #[arg(long, default_value_t = 10)]
    scale: u32,
    /// The program to weigh; without it, the one built beside this one.
    #[arg(long)]
    clyra: Option<PathBuf>,
    /// The policy that judges; without it, `bench/policy.yaml`.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Folder for `performance.json` and `performance.svg`.
    #[arg(long, default_value = ".")]
    out: PathBuf,
}

/// All measures of a run.
pub(crate) type Measures = BTreeMap<(Cell, Way), Vec<Measure>>;

/// Weighs, prints the table, writes JSON and plot.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut ways = settings.ways.clone();
    ways.push(Way::Direct);
    ways.sort();
    ways.dedup();
    let cells = wanted(&settings.only)?;
    let work = tempfile::Builder::new().prefix("clyra-bench-").tempdir()?;
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755))?;
    let server = Stand::postgres(work.path(), settings.scale)?;
    let rows = work.path().join("rows.txt");
    if cells.iter().any(|cell| cell.script.copies()) {
        server.rows(ROWS, &rows)?;
    }
    let mut between = BTreeMap::new();
    for (pooled, way) in cells.iter().flat_map(|cell| ways.iter().map(|way| place(*cell, *way))) {
        if !between.contains_key(&(pooled, way))
            && let Some(stand) = start(way, pooled, settings, work.path(), &server)?
        {
            between.insert((pooled, way), stand);
        }
    }
    let measures =
        Players { server: &server, between: &between, rows: &rows }.play(settings, &cells, &ways)?;
    drop(between);
    for pooled in [false, true] {
        check_evidence(&measures, pooled, &work.path().join(evidence(pooled)))?;
    }
    fs::create_dir_all(&settings.out)?;
    print!("{}", report::table(&measures, &ways));
    let json = report::json(&measures, settings.rounds, settings.seconds, &report::machine());
    fs::write(settings.out.join("performance.json"), json)?;
    fs::write(settings.out.join("performance.svg"), plot::svg(&measures, &ways))?;
    Ok(())
}

/// The cells of these names or parts of names.
fn wanted(only: &[String]) -> anyhow::Result<Vec<Cell>> {
    let all = Cell::all();
    let named = |name: &String| all.iter().any(|cell| cell.to_string() == *name);
    let (names, parts): (Vec<&String>, Vec<&String>) = only.iter().partition(|name| named(name));
    let wanted = |cell: &Cell| {
        let name = cell.to_string();
        only.is_empty() || names.contains(&&name) || parts.iter().any(|part| name.contains(part.as_str()))
    };
    let cells: Vec<Cell> = all.iter().copied().filter(wanted).collect();
    if cells.is_empty() {
        bail!(
            "no cell is named like that; there are names like `select-prepared-8`, `tls-churn-simple-8`, `copy-in`"
        );
    }
    Ok(cells)
}

/// Which process a way leads through: those with pools stand beside those without.
fn place(cell: Cell, way: Way) -> (bool, Way) {
    (cell.door == Door::Pool && matches!(way, Way::Pgbouncer | Way::Clyra), way)
}

fn start(
    way: Way,
    pooled: bool,
    settings: &Settings,
    work: &Path,
    server: &Stand,
) -> anyhow::Result<Option<Stand>> {
    Ok(match way {
        Way::Direct => None,
        Way::Forwarder => Some(Stand::forwarder(work, server.door)?),
        Way::Pgbouncer => Some(Stand::pgbouncer(work, server, pooled)?),
        Way::Clyra => {
            let beside = std::env::current_exe()?.with_file_name("clyra");
            let program = settings.clyra.clone().unwrap_or(beside);
            if !program.is_file() {
                let place = program.display();
                bail!(
                    "`{place}` is not built; run `cargo build --release -p clyra-cli`, or leave `clyra` out of --ways"
                );
            }
            let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy.yaml");
            let policy = settings.policy.as_deref().unwrap_or(&ours);
            Some(Stand::clyra(work, server, &program, policy, pooled)?)
        }
    })
}

/// What a run plays with.
struct Players<'a> {
    server: &'a Stand,
    between: &'a BTreeMap<(bool, Way), Stand>,
    rows: &'a Path,
}

impl Players<'_> {
    fn play(&self, settings: &Settings, cells: &[Cell], ways: &[Way]) -> anyhow::Result<Measures> {
        let mut measures = Measures::new();
        // One short turn through each process first, so that no way pays for warming the server's caches.
        let mut warm = BTreeSet::new();
        for (cell, way) in cells.iter().flat_map(|cell| ways.iter().map(move |way| (*cell, *way))) {
            if warm.insert(place(cell, way)) {
                self.measure(cell, way, 1)?;
            }
        }
        for round in 0..settings.rounds {
            for cell in cells {
                // Another way begins in each round: going first or last favours nobody.
                let mut turn = ways.to_vec();
                turn.rotate_left(usize::try_from(round)? % ways.len());
                for way in turn {
                    let measured = self.measure(*cell, way, settings.seconds)?;
                    let (name, tps, cpu) = (way.as_str(), measured.tps, measured.cpu_us.unwrap_or(0.0));
                    eprintln!("round {} {cell} {name}: {tps:.0} a second, {cpu:.2} µs each", round + 1);
                    measures.entry((*cell, way)).or_default().push(measured);
                }
            }
        }
        Ok(measures)
    }

    fn measure(&self, cell: Cell, way: Way, seconds: u32) -> anyhow::Result<Measure> {
        let between = self.between.get(&place(cell, way));
        let turn = Turn { cell, way, between, server: self.server, rows: self.rows };
        turn.measure(seconds).with_context(|| format!("by way of {}", way.as_str()))
    }
}

/// A run in which receipts were not kept would be a lie, so the evidence on disk is weighed too.
fn check_evidence(measures: &Measures, pooled: bool, data: &Path) -> anyhow::Result<()> {
    let ours = measures.iter().filter(|((cell, way), _)| place(*cell, *way) == (pooled, Way::Clyra));
    let statements: u64 = ours.flat_map(|(_, rounds)| rounds).map(|measure| measure.statements).sum();
    if statements == 0 {
        return Ok(());
    }
    let bytes = folder_bytes(data)?;
    eprintln!("evidence: {} bytes a statement on disk, {statements} statements", bytes / statements);
    if bytes / statements < 100 {
        bail!("only {bytes} bytes of evidence for {statements} statements: receipts were not kept");
    }
    Ok(())
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn whole_names_mean_one_cell_and_parts_many() {
        let count = |only: &[&str]| {
            wanted(&only.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).map(|cells| cells.len())
        };
        assert_eq!(count(&[]).unwrap(), 31);
        assert_eq!(count(&["select-simple-8"]).unwrap(), 1);
        assert_eq!(count(&["select-simple-8", "copy", "tls-"]).unwrap(), 10);
        assert!(count(&["insert"]).is_err());
    }
}
