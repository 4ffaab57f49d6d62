//! What can be said at the door: every command and flag, and who carries it out. It only sorts; the rooms act.

use crate::{
    demo::{self, DemoArgs},
    error::{EXIT_CODES, Error},
    evidence::{
        export::{self, ExportVerb},
        rollup::{self, RollupArgs},
    },
    sign::{
        self, KeygenArgs,
        approve::{self, ApproveArgs},
    },
    up::{self, UpArgs},
    verbs::{
        bundle::{self, BundleVerb},
        idempotency::{self, IdempotencyVerb},
        kill::{self, KillVerb},
        policy::{self, PolicyVerb},
        recorder::{self, RecorderVerb},
        run::{self, RunArgs, RunIdVerb},
        shell::{self, Completion, ManArgs},
        status::{self, StatusArgs},
    },
};
use clap::{CommandFactory as _, Parser, Subcommand};

/// Data change control and attestation: a gateway that judges every SQL statement, and evidence that anyone can check
#[derive(Debug, Parser)]
#[command(name = "clyra", version, arg_required_else_help = true, after_help = EXIT_CODES, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start gateway, recorder and, when no upstream is given, a PostgreSQL of its own
    Up(Box<UpArgs>),
    /// Play the whole story against a running house, or one of its own, and print what was observed
    Demo(DemoArgs),
    /// Turn the kill switch
    #[command(subcommand)]
    Kill(KillVerb),
    /// Check, explain and try out policies
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Approve one statement that a rule refuses without an approval
    #[command(after_help = "\
The refusal names the digest. Give either that, or the message itself. An approval is used by the first message that
passes for it; a second one needs another.

Examples:
  clyra approve --digest 5f0c… --reason \"ticket 7\" --expires 1h --key ann.key
  clyra approve --sql - --database shop --reason \"ticket 7\" --key ann.key < change.sql
  clyra approve list")]
    Approve(Box<ApproveArgs>),
    /// Make a key pair for an approver or a policy's owner; prints the public half
    #[command(after_help = "Example:\n  clyra keygen --name ann --out ann.key")]
    Keygen(KeygenArgs),
    /// Show changes under an idempotency key whose end is not known, and say what became of them
    #[command(subcommand)]
    Idempotency(IdempotencyVerb),
    /// Cut, verify and show evidence bundles
    #[command(subcommand)]
    Bundle(BundleVerb),
    /// Run a recorder by itself, check its files, make its index anew
    #[command(subcommand)]
    Recorder(RecorderVerb),
    /// Make the daily rollup of every day that is over and has none: counts, signed, linked to the day before
    #[command(after_help = "\
Files: DIR/rollup/DAY.json and DAY.csv, for each UTC day from the log's first on, also where nothing happened. Run it once a day.
`clyra-verify rollup DIR/rollup --log DIR/log --trust FILE` counts again.

Example:
  clyra rollup --data clyra-data/recorder")]
    Rollup(RollupArgs),
    /// Write what auditors sample from
    #[command(subcommand)]
    Export(ExportVerb),
    /// Run a command whose statements become one run
    Run(RunArgs),
    /// Make and close run ids
    #[command(subcommand)]
    RunId(RunIdVerb),
    /// Show how gateway and recorder stand
    Status(StatusArgs),
    /// Print a completion script for a shell
    Completion(Completion),
    /// Write man pages into a folder
    Man(ManArgs),
}

impl Verb {
    /// Carries the command out; the exit code when nothing went wrong.
    ///
    /// # Errors
    /// As the command's room says.
    pub async fn run(self) -> Result<u8, Error> {
        match self {
            Self::Up(args) => up::run(*args).await,
            Self::Demo(args) => demo::run(args).await,
            Self::Kill(verb) => kill::run(verb).await,
            Self::Policy(verb) => policy::run(verb).await,
            Self::Approve(args) => approve::run(*args).await,
            Self::Keygen(args) => sign::keygen(&args),
            Self::Idempotency(verb) => idempotency::run(verb).await,
            Self::Bundle(verb) => bundle::run(verb).await,
            Self::Recorder(verb) => recorder::run(verb).await,
            Self::Rollup(args) => rollup::run(args).await,
            Self::Export(verb) => export::run(verb).await,
            Self::Run(args) => run::run(args).await,
            Self::RunId(verb) => run::run_id(verb).await,
            Self::Status(args) => status::run(args).await,
            Self::Completion(args) => shell::completion(&args, &mut Args::command()),
            Self::Man(args) => shell::man(&args, Args::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_slip_is_met_with_a_guess() {
        let said = Args::try_parse_from(["clyra", "bundel"]).unwrap_err().to_string();
        assert!(said.contains("bundle"), "{said}");
        assert_eq!(Args::try_parse_from(["clyra", "up", "--mod", "enforce"]).unwrap_err().exit_code(), 2);
    }
}
