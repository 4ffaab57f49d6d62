//! Policies tried out on files: cases, and corpora under two policies. The judge decides; here are only files and words.

pub(crate) mod catalog;
pub(crate) mod facts;
mod follow;
pub(crate) mod pack;

pub(crate) use follow::{Follow, FollowArgs};

use crate::{
    error::Error,
    tell,
    verbs::{policy, say},
};
use clap::Args;
use clyra_policy::{EvalError, tools};
use std::{
    fs,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

/// Which policy, and on which cases.
#[derive(Debug, Args)]
pub struct Test {
    /// Policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// Files of cases
    #[arg(required = true, value_name = "CASES.yaml")]
    pub(crate) cases: Vec<PathBuf>,
    /// Print JSON, one line a file
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which two policies, and on what.
#[derive(Debug, Args)]
pub struct Diff {
    /// The policy as it is
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The policy as it would be
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Corpus; `-` reads standard input
    #[arg(long = "in", value_name = "FILE.jsonl")]
    input: PathBuf,
    /// SQL dialect of the statements: postgres, snowflake, databricks or bigquery
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    dialect: String,
    /// Print JSON, one line a difference
    #[arg(long)]
    json: bool,
}

/// Tries a policy on its cases; 1 when one of them comes out otherwise.
pub(crate) fn test(args: &Test) -> Result<u8, Error> {
    let judge = policy::read(&args.policy)?;
    let mut code = 0;
    for path in &args.cases {
        let file = path.display().to_string();
        let yaml = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let report = tools::cases(&judge, &yaml, &file).map_err(|error| Error::Usage(error.to_string()))?;
        if !report.failures.is_empty() {
            code = 1;
        }
        say(args.json, &report, || {
            let mut text = String::new();
            for failure in &report.failures {
                text.push_str(&format!(
                    "{file}:{}: {}\n  expected {}\n  found    {}\n",
                    failure.line, failure.name, failure.expected, failure.found
                ));
            }
            let passed = report.cases - report.failures.len();
            format!("{text}{file}: {passed} of {} cases as expected", report.cases)
        })?;
    }
    Ok(code)
}

/// Shows the lines of a corpus on which two policies differ; 1 when there are any.
pub(crate) fn diff(args: &Diff) -> Result<u8, Error> {
    let (before, after) = (policy::read(&args.before)?, policy::read(&args.after)?);
    let source: Box<dyn BufRead> = if args.input == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = fs::File::open(&args.input).map_err(|error| unreadable(&args.input, &error))?;
        Box::new(io::BufReader::new(file))
    };
    let (mut lines, mut differences) = (0_u64, 0_u64);
    for (line, number) in source.lines().zip(1_u64..) {
        let line = line.map_err(|error| unreadable(&args.input, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        lines += 1;
        let found = tools::diff_line(&before, &after, &args.dialect, &line).map_err(|error| match error {
            EvalError::Dialect(_) => Error::Usage(error.to_string()),
            EvalError::Line(_) => Error::Usage(format!("{}:{number}: {error}", args.input.display())),
        })?;
        if let Some(difference) = found {
            differences += 1;
            say(args.json, &difference, || {
                let (before, after) = (difference.before.in_words(), difference.after.in_words());
                format!("{}\n  before  {before}\n  after   {after}", difference.id)
            })?;
        }
    }
    if !args.json {
        tell::line(&format!("{differences} of {} differ", tell::counted(lines, "line")))?;
    }
    Ok(u8::from(differences > 0))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Usage(format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_case_that_fails_is_an_exit_code_and_a_bad_file_another() {
        let folder = tempfile::tempdir().unwrap();
        let policy = written(folder.path(), "p.yaml", clyra_policy::Policy::STARTER);
        let run = |yaml: &str| {
            let cases = vec![written(folder.path(), "c.yaml", yaml)];
            test(&Test { policy: policy.clone(), cases, json: true })
        };
        assert_eq!(run("cases:\n  - sql: DROP TABLE a\n    expect: deny\n").unwrap(), 0);
        assert_eq!(run("cases:\n  - sql: SELECT 1\n    expect: deny\n").unwrap(), 1);
        assert_eq!(run("cases: 1\n").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn differences_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let before = written(folder.path(), "a.yaml", clyra_policy::Policy::STARTER);
        let text = clyra_policy::Policy::STARTER.replace("mode: shadow", "mode: enforce");
        let after = written(folder.path(), "b.yaml", &text);
        let input = written(folder.path(), "in.jsonl", "{\"id\":1,\"sql\":\"DROP TABLE a\"}\n\n");
        let run = |after: &Path| {
            let (before, after, input) = (before.clone(), after.to_owned(), input.clone());
            diff(&Diff { before, after, input, dialect: "postgres".into(), json: false }).unwrap()
        };
        assert_eq!((run(&after), run(&before)), (1, 0));
    }
}
