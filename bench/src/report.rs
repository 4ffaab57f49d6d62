//! Numbers for people and programs: medians, ratios to direct, noise. It never drops a round.

use crate::cell::{Cell, Door, Spoken, Way};
use crate::load::Measure;
use crate::pg::Measures;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// What a cell came to by one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weighed {
    /// Median of transactions a second.
    pub(crate) tps: f64,
    /// Median over that of the direct way.
    pub(crate) ratio: f64,
    /// Median of mean latencies, milliseconds.
    pub(crate) latency_ms: f64,
    /// Median CPU a statement, microseconds.
    pub(crate) cpu_us: Option<f64>,
    /// Largest minus smallest throughput over the median; unknown with one round.
    pub(crate) noise: Option<f64>,
}

/// The cells of a run, each once.
pub(crate) fn cells(measures: &Measures) -> Vec<Cell> {
    let mut cells: Vec<Cell> = measures.keys().map(|(cell, _)| *cell).collect();
    cells.dedup();
    cells
}

/// What one cell came to by one way.
pub(crate) fn weigh(measures: &Measures, cell: Cell, way: Way) -> Option<Weighed> {
    let rounds = measures.get(&(cell, way))?;
    let direct = median(measures.get(&(cell, Way::Direct))?.iter().map(|measure| measure.tps))?;
    let tps = median(rounds.iter().map(|measure| measure.tps))?;
    let most = rounds.iter().map(|measure| measure.tps).fold(f64::MIN, f64::max);
    let least = rounds.iter().map(|measure| measure.tps).fold(f64::MAX, f64::min);
    Some(Weighed {
        tps,
        ratio: tps / direct,
        latency_ms: median(rounds.iter().map(|measure| measure.latency_ms))?,
        cpu_us: median(rounds.iter().filter_map(|measure| measure.cpu_us)),
        noise: (rounds.len() > 1).then(|| (most - least) / tps),
    })
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The table, in Markdown.
pub(crate) fn table(measures: &Measures, ways: &[Way]) -> String {
    let mut table = String::from("| cell | direct tps |");
    let proxies: Vec<Way> = ways.iter().copied().filter(|way| *way != Way::Direct).collect();
    for way in &proxies {
        write!(table, " {} |", way.as_str()).ok();
    }
    let both = proxies.contains(&Way::Clyra) && proxies.contains(&Way::Pgbouncer);
    table.push_str(if both { " clyra / pgbouncer |\n|---|---|" } else { "\n|---|---|" });
    table.push_str(&"---|".repeat(proxies.len() + usize::from(both)));
    table.push('\n');
    let mut noises = Vec::new();
    for cell in cells(measures) {
        let Some(direct) = weigh(measures, cell, Way::Direct) else { continue };
        write!(table, "| {cell} | {:.0} |", direct.tps).ok();
        noises.extend(direct.noise);
        for way in &proxies {
            match weigh(measures, cell, *way) {
                Some(weighed) => {
                    noises.extend(weighed.noise);
                    let cpu = weighed.cpu_us.unwrap_or(0.0);
                    // A row of a COPY costs less than a microsecond.
                    let digits = if cpu < 10.0 { 2 } else { 0 };
                    write!(table, " {:.2} / {cpu:.digits$} µs |", weighed.ratio).ok();
                }
                None => table.push_str(" |"),
            }
        }
        if let (true, Some(ours), Some(theirs)) =
            (both, weigh(measures, cell, Way::Clyra), weigh(measures, cell, Way::Pgbouncer))
        {
            write!(table, " {:.2} |", ours.tps / theirs.tps).ok();
        }
        table.push('\n');
    }
    table.push_str("\nEach cell: throughput over direct / CPU of the process between, per statement, or per row of a COPY.\n");
    let translated = |cell: &Cell| cell.door == Door::Pool && cell.spoken == Spoken::Prepared;
    if proxies.contains(&Way::Pgbouncer) && cells(measures).iter().any(translated) {
        table.push_str("In `pool-` cells PgBouncer is asked in the simple protocol.\n");
    }
    let worst = noises.iter().copied().fold(0.0, f64::max);
    match median(noises.into_iter()) {
        Some(usual) => {
            let (usual, worst) = (usual * 100.0, worst * 100.0);
            writeln!(
                table,
                "Noise (most − least over median of a cell's rounds): {usual:.0} % usual, {worst:.0} % worst."
            )
            .ok();
        }
        None => table.push_str("Noise: unknown with one round.\n"),
    }
    table
}

/// Everything measured, for programs.
pub(crate) fn json(measures: &Measures, rounds: u32, seconds: u32, machine: &Value) -> String {
    let cells: Vec<Value> = measures
        .iter()
        .filter_map(|((cell, way), measured)| {
            let weighed = weigh(measures, *cell, *way)?;
            Some(json!({
                "cell": cell.to_string(), "script": cell.script.as_str(), "clients": cell.clients,
                "protocol": cell.spoken_by(*way).as_str(),
                "way": way.as_str(), "tps": weighed.tps, "ratio": weighed.ratio, "latency_ms": weighed.latency_ms,
                "cpu_us": weighed.cpu_us, "noise": weighed.noise,
                "rounds": measured.iter().map(round).collect::<Vec<_>>(),
            }))
        })
        .collect();
    let run = json!({"rounds": rounds, "seconds": seconds, "machine": machine, "cells": cells});
    format!("{run:#}\n")
}

fn round(measure: &Measure) -> Value {
    json!({"tps": measure.tps, "latency_ms": measure.latency_ms, "statements": measure.statements, "cpu_us": measure.cpu_us})
}

/// What the numbers were taken on.
pub(crate) fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "pgbench": version("pgbench"),
        "pgbouncer": version("pgbouncer"),
        "load_after": load.split_whitespace().next().unwrap_or("unknown"),
    })
}

fn version(program: &str) -> String {
    let told = Command::new(program).arg("--version").output().map(|ran| ran.stdout).unwrap_or_default();
    String::from_utf8_lossy(&told).lines().next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{json, median, table, weigh};
    use crate::cell::{Cell, Way};
    use crate::load::Measure;
    use crate::pg::Measures;

    fn measures() -> Measures {
        let cell = *Cell::all().first().unwrap();
        let round = |tps, cpu_us| Measure { tps, latency_ms: 1.0, statements: 100, cpu_us };
        Measures::from([
            ((cell, Way::Direct), vec![round(1000.0, None), round(1100.0, None), round(900.0, None)]),
            ((cell, Way::Pgbouncer), vec![round(500.0, Some(20.0))]),
            ((cell, Way::Clyra), vec![round(550.0, Some(25.0)), round(450.0, Some(35.0))]),
        ])
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn ratios_and_noise() {
        let cell = *Cell::all().first().unwrap();
        let ours = weigh(&measures(), cell, Way::Clyra).unwrap();
        assert!((ours.ratio - 0.5).abs() < 1e-9 && (ours.noise.unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(ours.cpu_us, Some(30.0));
        assert!(weigh(&measures(), cell, Way::Forwarder).is_none());
    }

    #[test]
    fn table_and_json_say_the_same() {
        let table = table(&measures(), &[Way::Direct, Way::Pgbouncer, Way::Clyra]);
        assert!(table.contains("| select-simple-1 | 1000 | 0.50 / 20 µs | 0.50 / 30 µs | 1.00 |"), "{table}");
        let told: serde_json::Value =
            serde_json::from_str(&json(&measures(), 3, 5, &serde_json::json!({}))).unwrap();
        assert_eq!(told["cells"][2]["way"], "clyra");
        assert_eq!(told["cells"][2]["rounds"].as_array().unwrap().len(), 2);
    }
}
