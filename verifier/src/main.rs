//! The command `clyra-verify`: reads files, asks the library, prints the answer; only as a witness does it listen.

use clap::{Args, CommandFactory, Parser, Subcommand};
use clyra_verifier::witness::{Door, Witness};
use clyra_verifier::{
    Error, LOG_CHECKS, Name, Outcome, ROLLUP_CHECKS, Report, Trust, verify_bundle, verify_log, verify_rollups,
};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Checks evidence offline: nothing but the file, your keys, SHA-256, BLAKE3 and Ed25519.
///
/// The last line says PASS, FAIL or UNABLE. Exit code: 0 pass, 2 fail, 3 unable, 6 bad input.
#[derive(Parser)]
#[command(name = "clyra-verify", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    question: Question,
}

#[derive(Subcommand)]
enum Question {
    /// Check the evidence of one run.
    Bundle {
        /// The bundle.
        file: PathBuf,
        #[command(flatten)]
        with: With,
    },
    /// Check a whole log: every entry, every tile, every batch.
    Log {
        /// The log's folder, the one that holds `checkpoint`.
        dir: PathBuf,
        #[command(flatten)]
        with: With,
    },
    /// Check daily rollups: who signed them, that none is missing between them, and that the log adds up to them.
    Rollup {
        /// The folder of rollups, or one of them.
        path: PathBuf,
        /// The log's folder, to count again; without it nothing more than the chain can be said.
        #[arg(long)]
        log: Option<PathBuf>,
        #[command(flatten)]
        with: With,
    },
    /// Be a witness of logs: sign each checkpoint that goes on from the last one seen, and no other
    #[command(subcommand)]
    Witness(WitnessVerb),
    /// List every check with what it proves.
    Checks,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum WitnessVerb {
    /// Answer `POST /add-checkpoint` (C2SP tlog-witness) over plain HTTP until it is ended
    #[command(after_help = "\
Prints the `witness` line for trust files first. The key and the last checkpoint of each log stand in --data; what is in there must
never be set back.

Example:
  clyra-verify witness serve --name example.org/w1 --data witness --log clyra-log-0a1b2c3d+52a1c9e0+AQ…")]
    Serve {
        /// Where to listen.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7380")]
        listen: std::net::SocketAddr,
        /// The witness's name, part of its key; a key that is there must have it.
        #[arg(long)]
        name: String,
        /// Folder of the key and of what was seen; made on first use.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Key of a log to watch; may be given more than once.
        #[arg(long = "log", value_name = "VKEY", required = true)]
        logs: Vec<String>,
    },
}

#[derive(Args)]
struct With {
    /// The keys that you trust, got by a way of its own.
    #[arg(long)]
    trust: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Nothing is left to tell when even this cannot be printed.
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::from(BAD_INPUT) } else { ExitCode::SUCCESS };
        }
    };
    match answer(&cli.question) {
        Ok((text, code)) => match writeln!(io::stdout().lock(), "{text}") {
            Ok(()) => ExitCode::from(code),
            // A reader that went away early (`| head`) does not change the answer.
            Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(code),
            Err(_) => ExitCode::from(BAD_INPUT),
        },
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "clyra-verify: {error}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn answer(question: &Question) -> Result<(String, u8), Error> {
    match question {
        Question::Bundle { file, with } => {
            let trust = trust(&with.trust)?;
            let report = verify_bundle(&read(file, clyra_verifier::BUNDLE_BYTES_MAX)?, &trust);
            Ok(told(&report, with.json))
        }
        Question::Log { dir, with } => {
            let report = verify_log(dir, &trust(&with.trust)?)?;
            Ok(told(&report, with.json))
        }
        Question::Rollup { path, log, with } => {
            let report = verify_rollups(path, log.as_deref(), &trust(&with.trust)?)?;
            Ok(told(&report, with.json))
        }
        Question::Witness(WitnessVerb::Serve { listen, name, data, logs }) => {
            let witness = Witness::open(data, name, logs)?;
            let door = Door::open(*listen)?;
            let line = format!("witness at http://{}\nwitness {name} {}", door.addr(), witness.vkey());
            // Whoever started it may have stopped reading; the witness goes on.
            let _heard = writeln!(io::stdout().lock(), "{line}");
            door.serve(witness)
        }
        Question::Checks => Ok((checks(), Outcome::Pass.exit_code())),
        Question::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "clyra-verify", &mut script);
            let script = String::from_utf8_lossy(&script).trim_end().to_owned();
            Ok((script, Outcome::Pass.exit_code()))
        }
    }
}

fn told(report: &Report, json: bool) -> (String, u8) {
    let text = if json { report.to_json() } else { report.to_string() };
    (text, report.outcome().exit_code())
}

fn checks() -> String {
    let mut text = String::from("clyra-verify bundle\n");
    for name in Name::ALL {
        text.push_str(&format!("  {:<21} {}\n", name.as_str(), name.proves()));
    }
    text.push_str("\nclyra-verify log");
    for (name, proves) in LOG_CHECKS {
        text.push_str(&format!("\n  {name:<21} {proves}"));
    }
    text.push_str("\n\nclyra-verify rollup");
    for (name, proves) in ROLLUP_CHECKS {
        text.push_str(&format!("\n  {name:<21} {proves}"));
    }
    text
}

fn trust(path: &Path) -> Result<Trust, Error> {
    let content = read(path, TRUST_BYTES_MAX)?;
    let flaw = |_| Error::Trust { line: 0, flaw: "not UTF-8".to_owned() };
    String::from_utf8(content).map_err(flaw)?.parse()
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > max {
        return Err(Error::TooLarge { path: path.to_owned(), bytes, max });
    }
    fs::read(path).map_err(unreadable)
}

const BAD_INPUT: u8 = 6;
const TRUST_BYTES_MAX: u64 = 1 << 20;
