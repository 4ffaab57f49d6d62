//! Weighs the judge alone: facts and decisions in one thread, by the clock and, free of noise, by instructions counted
//! under valgrind. It opens no socket and no file.

use anyhow::{Context as _, bail};
use clyra_policy::{Dialect, Facts, FactsMemo, Login, Policy};
use clyra_spec::KillLevel;
use serde_json::json;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is weighed, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Only cells whose name has this in it.
    #[arg(long)]
    only: Option<String>,
    /// Count instructions under valgrind, too.
    #[arg(long)]
    instructions: bool,
    /// Milliseconds of each round.
    #[arg(long, default_value_t = 200)]
    round_ms: u64,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Play the one cell of that name so many times and say nothing: what is run under valgrind.
    #[arg(long, hide = true)]
    turns: Option<u64>,
}

/// Prints one line of JSON for each cell.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    for (name, turns) in CELLS {
        if settings.turns.is_some() && settings.only.as_deref() != Some(name) {
            continue;
        }
        if settings.only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        if let Some(turns) = settings.turns {
            let mut turn = cell(name)?;
            (0..turns).for_each(&mut turn);
            continue;
        }
        let nanoseconds = clock(name, settings)?;
        let instructions = settings.instructions.then(|| counted(name, turns)).transpose()?;
        println!("{}", json!({"cell": name, "ns": nanoseconds, "instructions": instructions}));
    }
    Ok(())
}

/// The median time of a turn, in nanoseconds.
fn clock(name: &str, settings: &Settings) -> anyhow::Result<u64> {
    let mut turn = cell(name)?;
    let (round, mut number, mut medians) = (Duration::from_millis(settings.round_ms), 0, Vec::new());
    for _ in 0..settings.rounds.max(1) {
        let (began, mut turns) = (Instant::now(), 0u32);
        while began.elapsed() < round {
            for _ in 0..16 {
                turn(number);
                number += 1;
            }
            turns += 16;
        }
        medians.push((began.elapsed() / turns.max(1)).as_nanos());
    }
    medians.sort_unstable();
    let median = medians.get(medians.len() / 2).copied().unwrap_or_default();
    Ok(u64::try_from(median)?)
}

/// Instructions of a turn: the difference between so many turns and twice as many.
fn counted(name: &str, turns: u64) -> anyhow::Result<u64> {
    let once = collected(name, turns)?;
    let twice = collected(name, turns * 2)?;
    Ok(twice.saturating_sub(once) / turns)
}

fn collected(name: &str, turns: u64) -> anyhow::Result<u64> {
    let program = std::env::current_exe()?;
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["judge", "--only", name, "--turns", &turns.to_string()])
        .output()
        .context("`valgrind` counts the instructions; install it, or leave out `--instructions`")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let Some((_, count)) = line.filter(|_| ran.status.success()) else {
        bail!("valgrind counted nothing: {said}");
    };
    Ok(count.trim().parse()?)
}

/// One turn of a cell; its number makes texts new where they must be.
fn cell(name: &str) -> anyhow::Result<Box<dyn FnMut(u64)>> {
    Ok(match name {
        "decide-remembered" => remembered(&policy(FEW, "")?),
        "decide-remembered-with-caps" => remembered(&policy(FEW, CAPS)?),
        "decide-one-of-1000-rules" => remembered(&policy(FEW, &many(991))?),
        "decide-remembered-warehouse-functions" => {
            judged(&policy(FEW, "")?, Facts::of(Dialect::Snowflake, WAREHOUSE))
        }
        "facts-new-oltp" => new(Dialect::Postgres, |number| format!("{OLTP} and note <> 'x{number}'")),
        "facts-new-dbt-300-lines" => {
            let model = model();
            new(Dialect::Postgres, move |number| format!("{model} -- {number}"))
        }
        "facts-new-dbt-300-lines-snowflake" => {
            let model = model();
            new(Dialect::Snowflake, move |number| format!("{model} -- {number}"))
        }
        _ => bail!("there is no cell `{name}`"),
    })
}

/// A text that comes again: its facts are remembered, and judged anew for each message.
fn remembered(policy: &Policy) -> Box<dyn FnMut(u64)> {
    let (policy, memo) = (policy.clone(), FactsMemo::new(1_000, 1 << 20));
    let caller = policy.caller(&LOGIN);
    Box::new(move |_| {
        let facts = memo.of(OLTP.as_bytes());
        let decision = policy.decide(&caller, &facts, KillLevel::Observe, &|_| None);
        assert!(black_box(decision).refusal.is_none(), "it passes");
    })
}

fn judged(policy: &Policy, facts: Facts) -> Box<dyn FnMut(u64)> {
    let policy = policy.clone();
    let caller = policy.caller(&LOGIN);
    Box::new(move |_| {
        let decision = policy.decide(&caller, &facts, KillLevel::Observe, &|_| None);
        assert!(black_box(decision).refusal.is_none(), "it passes");
    })
}

fn new(dialect: Dialect, text: impl Fn(u64) -> String + 'static) -> Box<dyn FnMut(u64)> {
    Box::new(move |number| {
        let facts = Facts::of(dialect, text(number).as_bytes());
        assert!(black_box(facts).problem.is_none(), "it is understood");
    })
}

fn policy(rules: &str, more: &str) -> anyhow::Result<Policy> {
    Ok(Policy::parse(&format!("{rules}{more}"), "bench.yaml")?)
}

/// Rules of other callers.
fn many(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ =
            writeln!(text, "  - {{id: o{number}, when: {{user: [u{number}]}}, deny_tables: [t{number}]}}");
        text
    })
}

/// A model as dbt writes them: CTEs over sources, joins, a window, aggregates; 300 lines.
fn model() -> String {
    let mut text = "create table analytics.orders_enriched as (\nwith\n".to_owned();
    for number in 0..20 {
        let _ = write!(
            text,
            "step_{number} as (\n    select\n        o.id,\n        o.customer_id,\n        \
             coalesce(o.amount, 0) as amount_{number},\n        lower(trim(o.status)) as status_{number},\n        \
             case when o.amount > {number} then 'large' else 'small' end as size_{number},\n        \
             row_number() over (partition by o.customer_id order by o.created_at) as place_{number},\n        \
             sum(o.amount) over (partition by o.customer_id) as total_{number}\n    from raw.orders_{number} o\n    \
             left join raw.customers_{number} c\n        on c.id = o.customer_id\n    \
             where o.created_at >= '2026-01-01'\n),\n"
        );
    }
    text.push_str("joined as (\n    select step_0.id");
    for number in 1..20 {
        let _ = write!(text, ",\n        step_{number}.amount_{number}");
    }
    text.push_str("\n    from step_0\n");
    for number in 1..20 {
        let _ = writeln!(text, "    join step_{number} on step_{number}.id = step_0.id");
    }
    text.push_str(")\nselect * from joined\n)");
    text
}

/// Cells, and how many turns of each are counted.
const CELLS: [(&str, u64); 7] = [
    ("decide-remembered", 2_000),
    ("decide-remembered-with-caps", 2_000),
    ("decide-one-of-1000-rules", 2_000),
    ("decide-remembered-warehouse-functions", 2_000),
    ("facts-new-oltp", 500),
    ("facts-new-dbt-300-lines", 20),
    ("facts-new-dbt-300-lines-snowflake", 20),
];
const LOGIN: Login<'_> = Login { user: "app", database: "shop", application: "web", tenant: None };
const OLTP: &str = "select o.id, o.status, lower(c.name), coalesce(sum(l.amount), 0) from orders o \
                    join customers c on c.id = o.customer_id left join lines l on l.order_id = o.id \
                    where o.customer_id = $1 and o.created_at > now() - interval '1 day' \
                    group by o.id, o.status, c.name order by o.id limit 50";
const WAREHOUSE: &[u8] =
    b"select iff(a > 1, 2, 3), parse_json(b), count(*), to_date(c), coalesce(d, e) from db.s.t limit 5";
/// Nine rules, of which every one looks at the statement.
const FEW: &str = "
name: bench
version: 1
mode: enforce
rules:
  - {id: verbs, deny_verbs: [server, do, drop, grant]}
  - {id: where, require_where: true}
  - {id: secrets, deny_tables: [secrets, \"hr.*\"]}
  - {id: columns, deny_columns: [customers.password, users.password]}
  - {id: functions, deny_functions: [my_danger]}
  - {id: reads, read_only: true}
  - {id: rows, require_limit: 1000}
  - {id: one, single_statement: true}
  - {id: lock, session_lock: true}
";
/// Two budgets, which the gateway would charge.
const CAPS: &str = "
  - {id: budget, velocity: {per: actor, of: rows_returned, budget: 10000 per 1h}}
  - {id: pace, velocity: {per: user, of: statements, rate: 100/s burst 200}}
";
