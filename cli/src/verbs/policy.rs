//! `clyra policy`: check, explain and try out policies. Files are read here; the judge is `clyra-policy`.

use super::say;
use crate::{
    error::Error,
    past::{
        backtest::{self, BacktestArgs},
        report::{self, ReportArgs},
    },
    rules::{self, Diff, Test, catalog::CatalogArgs, facts::FactsArgs, pack::Init},
    standing::write_whole,
    tell,
};
use clap::{Args, Subcommand};
use clyra_policy::{Dialect, EvalError, Login, Policy, Proof, tools};
use serde_json::json;
use std::{
    fs,
    io::{self, BufRead, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The verbs on policies.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Begin a policy from a pack: writes the policy and its file of cases
    #[command(after_help = "\
Exit codes: 0 written, 2 no such pack or a file that is there already.

Examples:
  clyra policy init --list
  clyra policy init --pack baseline --out shop.yaml")]
    Init(Init),
    /// Print the JSON Schema of policy files, for editors
    #[command(after_help = "\
Editors that speak the YAML language server take it from the first line of a policy:
  # yaml-language-server: $schema=clyra-policy.schema.json

`clyra policy lint` checks more than the schema can say.

Example:
  clyra policy schema > clyra-policy.schema.json")]
    Schema,
    /// Check policy files; the first fault of each is shown with its line and column
    #[command(after_help = "\
Exit codes: 0 all hold, 2 one does not, or cannot be read.

Example:
  clyra policy lint clyra-data/policy.yaml")]
    Lint {
        /// Policy files
        #[arg(required_unless_present = "policy", value_name = "FILE")]
        files: Vec<PathBuf>,
        /// A policy file, named as the other commands name it
        #[arg(long, value_name = "FILE")]
        policy: Vec<PathBuf>,
        /// Say too which rules refuse every statement of this dialect: postgres, snowflake, databricks or bigquery
        #[arg(long, value_name = "NAME", default_value = "postgres")]
        dialect: String,
        /// Print JSON, one line a file
        #[arg(long)]
        json: bool,
    },
    /// Say what a policy makes of a statement, and why
    #[command(after_help = "\
Exit codes: 0 explained, whatever the verdict; 2 a policy or flag that does not hold.

Under a tenant fence each place where a table stands is shown with the condition that fences it, or the doubt that
refuses it, and the text that would be sent where the policy adds the condition.

Examples:
  clyra policy explain --sql \"DELETE FROM orders\"
  clyra policy explain --policy shop.yaml --user shop42 --sql \"SELECT * FROM users WHERE tenant_id = 42\"
  clyra policy explain --policy shop.yaml --user app --application psql --sql - < change.sql
  clyra policy explain --policy shop.yaml --cert-san spiffe://corp/agents/seven --sql \"SELECT 1\"
  clyra policy explain --policy shop.yaml --claim iss=https://id.example --claim team=data --sql \"SELECT 1\"")]
    Explain(Explain),
    /// Tell what statements do, without any policy: verbs, tables, functions, columns, settings
    #[command(after_help = "\
Input lines:  {\"id\", \"sql\", \"user\"?}
Output lines: {\"id\", \"problem\", \"statements\": [{\"verb\", \"verbs\", \"reads\", \"writes\", \"functions\", \"columns\", ..}]}
Exit codes:   0 told, also of statements that are not understood; 2 a line or flag that does not hold.

Examples:
  clyra policy facts --sql \"DELETE FROM orders WHERE id = 1\"
  clyra policy facts --in corpus.jsonl > facts.jsonl")]
    Facts(FactsArgs),
    /// Judge a corpus: JSON lines in, one verdict a line out
    #[command(after_help = "\
Input lines:  {\"id\", \"sql\", \"user\"?, \"database\"?, \"application\"?, \"tenant\"?, \"change_intent\"?, \"at_us\"?, \"params\"?: [..]}
Output lines: {\"id\", \"verdict\": \"allow|deny\", \"enforced\", \"rules\": [{\"id\", \"reason\"}], \"facts\"}
Exit codes:   0 all judged; 2 a policy, line or flag that does not hold, and nothing is written.

Example:
  clyra policy eval --policy shop.yaml --dialect postgres --in corpus.jsonl --out verdicts.jsonl")]
    Eval(Eval),
    /// Try a policy on files of cases: statements, and what must become of them
    #[command(after_help = "\
A case:  {name?, sql, user?, database?, application?, tenant?, cert_san?, cert_cn?, claims?: {NAME: VALUE},
         change_intent?, approved_by?, at?: TIME,
          expect: allow|deny, rule?, reason?}
         `sql` is a text, or a list of the messages of one session. The verdict counts in shadow mode too.
Exit codes: 0 all as expected, 1 a case comes out otherwise, 2 a policy or file of cases that does not hold.

Example:
  clyra policy test --policy shop.yaml shop.cases.yaml")]
    Test(Test),
    /// Show the lines of a corpus on which two policies differ
    #[command(after_help = "\
Input lines are those of `clyra policy eval`. Exit codes: 0 no difference, 1 some, 2 a policy or line that does not hold.

Example:
  clyra policy diff shop.yaml shop-next.yaml --in corpus.jsonl")]
    Diff(Diff),
    /// Try a policy on recorded decisions: what it would have refused that passed, and the reverse
    #[command(after_help = "\
Receipts hold facts, never statements: verbs, tables, functions and marks of what stood out. Rules that are the same in a
policy of --was (or in --policy itself, where that judged) say what they said then; others are asked anew of the facts, and
what these do not tell is counted as undecided.

Exit codes: 0 nothing changes, 1 something changes or cannot be told, 2 wrong usage, 5 a damaged log.

Examples:
  clyra policy backtest --policy shop.yaml --mode enforce --log clyra-data --since 7d
  clyra policy backtest --policy shop-next.yaml --was shop.yaml --bundle run.pef.zip --json
  clyra policy backtest --policy shop-next.yaml --was shop.yaml --statements corpus.jsonl")]
    Backtest(Box<BacktestArgs>),
    /// Report what rules in shadow mode would have refused, and which of them are ready to be enforced
    #[command(after_help = "\
Exit codes: 0 every rule in shadow mode is ready, 1 some are not, 2 wrong usage, 5 a damaged log.

Examples:
  clyra policy report --policy shop.yaml --log clyra-data --since 14d
  clyra policy report --log clyra-data --quiet 3d --html report.html")]
    Report(Box<ReportArgs>),
    /// Take a snapshot of what a database defines: views, rules, functions, inheritance
    #[command(after_help = "\
The snapshot holds names and what bodies touch, never a body. PostgreSQL 14 or later; no TLS.
Exit codes: 0 written, 2 the server does not tell, 5 the file cannot be written.

Example:
  clyra policy catalog --upstream postgres://app@localhost/shop --out shop.catalog.json
  clyra policy eval --policy shop.yaml --catalog shop.catalog.json --in corpus.jsonl --out verdicts.jsonl")]
    Catalog(CatalogArgs),
    /// Sign a policy file, so that a gateway with `--policy-key` takes it into use
    #[command(after_help = "\
Sign again after every change. The signature is for the file's digest, name and version.
Exit codes: 0 signed, 2 a policy or key that does not hold.

Example:
  clyra policy sign shop.yaml --key owner.key
  clyra up --policy shop.yaml --policy-key owner.pub")]
    Sign(crate::sign::SignArgs),
    /// Print the policy that `clyra up` begins with
    #[command(after_help = "Example:\n  clyra policy show-starter > shop.yaml")]
    ShowStarter,
}

/// Whom and what to explain.
#[derive(Debug, Args)]
pub struct Explain {
    /// Policy file [default: the starter policy]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The statement; `-` reads standard input
    #[arg(long, value_name = "TEXT")]
    sql: String,
    /// Who logs in
    #[arg(long, value_name = "NAME", default_value = "app")]
    user: String,
    /// Into which database
    #[arg(long, value_name = "NAME", default_value = "shop")]
    database: String,
    /// With which application_name
    #[arg(long, value_name = "NAME", default_value = "")]
    application: String,
    /// For which tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A URI among the alternative names of its certificate, for `cert_san` in `callers:`
    #[arg(long, value_name = "URI")]
    cert_san: Vec<String>,
    /// The common name of its certificate, for `cert_cn`
    #[arg(long, value_name = "NAME")]
    cert_cn: Option<String>,
    /// A claim of its token, for `jwt`; several times for several
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// SQL dialect of the statement: postgres, snowflake, databricks or bigquery
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    dialect: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to judge.
#[derive(Debug, Args)]
pub struct Eval {
    /// Policy file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Snapshot of the database, from `clyra policy catalog`
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// SQL dialect of the statements: postgres, snowflake, databricks or bigquery
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    dialect: String,
    /// Corpus; `-` reads standard input
    #[arg(long = "in", value_name = "FILE.jsonl")]
    input: PathBuf,
    /// Verdicts; `-` writes standard output. A file is written whole or not at all
    #[arg(long = "out", value_name = "FILE.jsonl")]
    output: PathBuf,
}

/// Does what was asked with policies.
pub(crate) async fn run(verb: PolicyVerb) -> Result<u8, Error> {
    match verb {
        PolicyVerb::Init(args) => rules::pack::init(&args),
        PolicyVerb::Schema => rules::pack::schema(),
        PolicyVerb::Sign(args) => crate::sign::sign(&args),
        PolicyVerb::Lint { files, policy, dialect, json } => {
            lint(&[files, policy].concat(), spoken(&dialect)?, json)
        }
        PolicyVerb::Explain(args) => explain(&args),
        PolicyVerb::Facts(args) => rules::facts::run(&args),
        PolicyVerb::Eval(args) => eval(&args),
        PolicyVerb::Test(args) => rules::test(&args),
        PolicyVerb::Diff(args) => rules::diff(&args),
        PolicyVerb::Backtest(args) => backtest::run(&args).await,
        PolicyVerb::Report(args) => report::run(&args).await,
        PolicyVerb::Catalog(args) => rules::catalog::run(&args).await,
        PolicyVerb::ShowStarter => {
            tell::bytes(Policy::STARTER.as_bytes())?;
            Ok(0)
        }
    }
}

/// Reads and compiles a policy file.
pub(crate) fn read(path: &Path) -> Result<Policy, Error> {
    tools::lint(&text_of(path)?, &path.display().to_string()).map_err(|error| Error::Usage(error.to_string()))
}

/// The dialect that a word names.
fn spoken(word: &str) -> Result<Dialect, Error> {
    word.parse().map_err(|error: EvalError| Error::Usage(error.to_string()))
}

fn lint(files: &[PathBuf], dialect: Dialect, json: bool) -> Result<u8, Error> {
    let mut code = 0;
    for path in files {
        let file = path.display().to_string();
        match tools::lint(&text_of(path)?, &file) {
            Ok(policy) => {
                let (mode, rules) = (policy.mode().as_str(), policy.rules());
                let unfit = tools::unfit(&policy, dialect);
                if !unfit.is_empty() {
                    let (rules, word) = (unfit.join(", "), dialect.as_str());
                    tell::note(&format!("{file}: rules that refuse every statement of {word}: {rules}"));
                }
                let record = json!({
                    "file": file, "ok": true, "name": policy.name(), "version": policy.version(),
                    "digest": policy.digest(), "mode": mode, "rules": rules,
                });
                say(json, &record, || {
                    format!(
                        "{file}: ok: {}, version {}, mode {mode}, rules {rules}",
                        policy.name(),
                        policy.version()
                    )
                })?;
            }
            Err(error) => {
                code = 2;
                let (line, column) = (error.line(), error.column());
                let record = json!({
                    "file": file, "ok": false, "line": line, "column": column, "message": error.message(),
                });
                say(json, &record, || error.to_string())?;
            }
        }
    }
    Ok(code)
}

fn explain(args: &Explain) -> Result<u8, Error> {
    let policy = args.policy.as_deref().map_or_else(|| Ok(Policy::starter()), read)?;
    let mut sql = args.sql.clone();
    if sql == "-" {
        sql.clear();
        io::stdin().read_to_string(&mut sql).map_err(|error| unreadable(Path::new("-"), &error))?;
    }
    let login = Login {
        user: &args.user,
        database: &args.database,
        application: &args.application,
        tenant: args.tenant.as_deref(),
    };
    let explanation = tools::explain(&policy, &login, &Arc::new(args.proof()?), spoken(&args.dialect)?, &sql);
    say(args.json, &explanation, || explanation.to_string())?;
    Ok(0)
}

impl Explain {
    fn proof(&self) -> Result<Proof, Error> {
        let mut proof =
            Proof { common_name: self.cert_cn.clone(), uris: self.cert_san.clone(), ..Proof::default() };
        for claim in &self.claim {
            let (name, value) = claim.split_once('=').ok_or_else(|| {
                Error::Usage(format!("--claim `{claim}` is no claim; allowed: NAME=VALUE, as in team=data"))
            })?;
            proof.claims.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Ok(proof)
    }
}

fn eval(args: &Eval) -> Result<u8, Error> {
    let mut policy = read(&args.policy)?;
    if let Some(path) = &args.catalog {
        policy = policy.with_catalog(Arc::new(rules::catalog::read(path)?));
    }
    let source: Box<dyn BufRead> = if args.input == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = fs::File::open(&args.input).map_err(|error| unreadable(&args.input, &error))?;
        Box::new(io::BufReader::new(file))
    };
    let verdicts = judge(&policy, &args.dialect, &args.input, source)?;
    if args.output == Path::new("-") {
        tell::bytes(&verdicts)?;
    } else {
        write_whole(&args.output, &verdicts)?;
    }
    Ok(0)
}

/// Judges line by line; the first line that is none ends it, and nothing is written.
fn judge(policy: &Policy, dialect: &str, input: &Path, source: impl BufRead) -> Result<Vec<u8>, Error> {
    let mut verdicts = Vec::new();
    for (line, number) in source.lines().zip(1_u64..) {
        let line = line.map_err(|error| unreadable(input, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let verdict = tools::eval_line(policy, dialect, &line).map_err(|error| match error {
            EvalError::Dialect(_) => Error::Usage(error.to_string()),
            EvalError::Line(_) => Error::Usage(format!("{}:{number}: {error}", input.display())),
        })?;
        verdicts.extend_from_slice(verdict.as_bytes());
        verdicts.push(b'\n');
    }
    Ok(verdicts)
}

fn text_of(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Usage(format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named_and_a_blank_one_passed_over() {
        let policy = Policy::starter();
        let said = judge(&policy, "postgres", Path::new("in.jsonl"), &b"\n{\n"[..]).unwrap_err();
        assert!(said.to_string().starts_with("in.jsonl:2: "), "{said}");
        assert_eq!(said.exit_code(), 2);
        assert!(judge(&policy, "postgres", Path::new("in.jsonl"), &b"\n  \n"[..]).unwrap().is_empty());
    }

    #[test]
    fn a_missing_policy_is_the_callers_fault() {
        assert_eq!(read(Path::new("/nowhere/p.yaml")).unwrap_err().exit_code(), 2);
    }
}
