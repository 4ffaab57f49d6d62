//! The `clyra` command: reads what was said, lets the rooms do it, ends with their exit code.

use clap::Parser as _;
use clyra_cli::args::Args;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(said) => return clyra_cli::misheard(&said, std::env::args().skip(1)),
    };
    let done = clyra_cli::run(args);
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            clyra_cli::tell::note(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
