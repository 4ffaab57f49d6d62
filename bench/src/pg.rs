//! `bench pg`: every cell by every way, in interleaved rounds. It decides nothing about the numbers: `report` does.

use crate::load::{Cell, Measure, Way, measure};
use crate::stand::Stand;
use crate::{plot, report};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
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
    /// Only cells whose name contains this, as in `select-prepared-8`; may be given again.
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
    let wanted = |cell: &Cell| {
        settings.only.is_empty() || settings.only.iter().any(|only| cell.to_string().contains(only))
    };
    let cells: Vec<Cell> = Cell::all().into_iter().filter(wanted).collect();
    if cells.is_empty() {
        bail!("no cell is named like that; there are names like `select-prepared-8` and `tpcb-simple-64`");
    }
    let work = tempfile::Builder::new().prefix("clyra-bench-").tempdir()?;
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755))?;
    let server = Stand::postgres(work.path(), settings.scale)?;
    let mut between = BTreeMap::new();
    for way in &ways {
        if let Some(stand) = start(*way, settings, work.path(), &server)? {
            between.insert(*way, stand);
        }
    }
    let measures = play(settings, &cells, &ways, &server, &between)?;
    drop(between);
    check_evidence(&measures, &work.path().join("clyra"))?;
    fs::create_dir_all(&settings.out)?;
    print!("{}", report::table(&measures, &ways));
    let json = report::json(&measures, settings.rounds, settings.seconds, &report::machine());
    fs::write(settings.out.join("performance.json"), json)?;
    fs::write(settings.out.join("performance.svg"), plot::svg(&measures, &ways))?;
    Ok(())
}

fn start(way: Way, settings: &Settings, work: &Path, server: &Stand) -> anyhow::Result<Option<Stand>> {
    Ok(match way {
        Way::Direct => None,
        Way::Forwarder => Some(Stand::forwarder(work, server.door)?),
        Way::Pgbouncer => Some(Stand::pgbouncer(work, server.door)?),
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
            Some(Stand::clyra(work, server.door, &program, settings.policy.as_deref().unwrap_or(&ours))?)
        }
    })
}

fn play(
    settings: &Settings,
    cells: &[Cell],
    ways: &[Way],
    server: &Stand,
    between: &BTreeMap<Way, Stand>,
) -> anyhow::Result<Measures> {
    let mut measures = Measures::new();
    // One short turn by each way first, so that no way pays for warming the server's caches.
    for way in ways {
        let stand = between.get(way);
        let cell = cells.first().context("no cell")?;
        measure(*cell, stand.unwrap_or(server).door, stand, 1)?;
    }
    for round in 0..settings.rounds {
        for cell in cells {
            // Another way begins in each round: going first or last favours nobody.
            let mut turn = ways.to_vec();
            turn.rotate_left(usize::try_from(round)? % ways.len());
            for way in turn {
                let stand = between.get(&way);
                let measured = measure(*cell, stand.unwrap_or(server).door, stand, settings.seconds)
                    .with_context(|| format!("by way of {}", way.as_str()))?;
                eprintln!("round {} {cell} {}: {:.0} tps", round + 1, way.as_str(), measured.tps);
                measures.entry((*cell, way)).or_default().push(measured);
            }
        }
    }
    Ok(measures)
}

/// A run in which receipts were not kept would be a lie, so the evidence on disk is weighed too.
fn check_evidence(measures: &Measures, data: &Path) -> anyhow::Result<()> {
    let ours = measures.iter().filter(|((_, way), _)| *way == Way::Clyra);
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
