//! `clyra policy facts`: what statements do, of one text or line by line as they come. No policy is asked.

use super::catalog;
use crate::{error::Error, tell, verbs::say};
use clap::Args;
use clyra_policy::{Dialect, tools};
use std::{
    fs,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

/// Of which statements.
#[derive(Debug, Args)]
pub struct FactsArgs {
    /// One text; without it, lines are read
    #[arg(long, value_name = "TEXT")]
    sql: Option<String>,
    /// Lines `{"id", "sql", "user"?}`; `-` reads standard input, and each line is answered as soon as it is there
    #[arg(long = "in", value_name = "FILE.jsonl", default_value = "-", conflicts_with = "sql")]
    input: PathBuf,
    /// SQL dialect of the statements: postgres, snowflake, databricks or bigquery
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    dialect: String,
    /// Snapshot of the database, from `clyra policy catalog`: facts then cover what views, functions and rules touch
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Print JSON for `--sql` too; lines are always answered in JSON
    #[arg(long)]
    json: bool,
}

/// Tells the facts.
pub(crate) fn run(args: &FactsArgs) -> Result<u8, Error> {
    let usage = |error: clyra_policy::EvalError| Error::Usage(error.to_string());
    let dialect: Dialect = args.dialect.parse().map_err(usage)?;
    let snapshot = args.catalog.as_deref().map(catalog::read).transpose()?;
    if let Some(sql) = &args.sql {
        let told = tools::facts(dialect, snapshot.as_ref(), sql);
        say(args.json, &told, || in_words(&told))?;
        return Ok(0);
    }
    let unreadable =
        |error: &io::Error| Error::Usage(format!("cannot read `{}`: {error}", args.input.display()));
    let source: Box<dyn BufRead> = if args.input == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(io::BufReader::new(fs::File::open(&args.input).map_err(|error| unreadable(&error))?))
    };
    for (line, number) in source.lines().zip(1_u64..) {
        let line = line.map_err(|error| unreadable(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = tools::facts_line(dialect, snapshot.as_ref(), &line)
            .map_err(|error| Error::Usage(format!("{}:{number}: {error}", args.input.display())))?;
        tell::line(&answer)?;
    }
    Ok(0)
}

fn in_words(told: &tools::FactsView) -> String {
    let mut text = String::new();
    for (statement, number) in told.statements.iter().zip(1_u32..) {
        text.push_str(&format!("statement {number}: {}", statement.verbs.join(", ")));
        for (what, names) in [
            ("reads", &statement.reads[..]),
            ("writes", &statement.writes),
            ("calls", &statement.functions),
            ("columns", &statement.columns),
            ("operators", &statement.operators),
            ("types", &statement.types),
            ("tags", &statement.tags),
        ] {
            if !names.is_empty() {
                text.push_str(&format!("\n  {what:9} {}", names.join(", ")));
            }
        }
        for (verb, table, chosen) in &statement.targets {
            text.push_str(&format!("\n  {verb} of {table}: rows chosen by {}", by(chosen)));
        }
        for (name, words) in &statement.settings {
            let to = words.as_ref().map_or_else(String::new, |words| format!(" = {}", words.join(", ")));
            text.push_str(&format!("\n  setting   {name}{to}"));
        }
        if let Some(unknown) = &statement.unknown {
            text.push_str(&format!("\n  unknown   {unknown}"));
        }
        text.push('\n');
    }
    match &told.problem {
        Some(problem) => format!("{text}not understood: {}", problem.message),
        None => text.trim_end().to_owned(),
    }
}

fn by(chosen: &str) -> &'static str {
    match chosen {
        "rows" => "a condition",
        "everything" => "a condition that leaves none out",
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;
    use clyra_policy::{Dialect, tools};

    #[test]
    fn facts_read_as_lines() {
        let text = in_words(&tools::facts(Dialect::Postgres, None, "delete from t where f(id); set role x"));
        for line in [
            "statement 1: delete",
            "calls     f",
            "delete of t: rows chosen by a condition",
            "setting   role = x",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(
            in_words(&tools::facts(Dialect::Postgres, None, "select ("))
                .contains("not understood: syntax error")
        );
    }
}
