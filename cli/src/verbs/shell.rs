//! `clyra completion` and `clyra man`: what shells and man readers want to know, made from the flags themselves.

use crate::{error::Error, tell};
use clap::Command;
use std::{io, path::PathBuf};

/// Which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  clyra completion bash > ~/.local/share/bash-completion/completions/clyra
  clyra completion zsh > \"${fpath[1]}/_clyra\"
  clyra completion fish > ~/.config/fish/completions/clyra.fish")]
pub struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that people use here.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Where the pages go.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  clyra man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder to write `clyra.1`, `clyra-up.1` … into; made when missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the script.
pub(crate) fn completion(args: &Completion, command: &mut Command) -> Result<u8, Error> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "clyra", &mut script);
    tell::bytes(&script)?;
    Ok(0)
}

/// Writes one page per command.
pub(crate) fn man(args: &ManArgs, command: Command) -> Result<u8, Error> {
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(&args.folder)?;
        clap_mangen::generate_to(command, &args.folder)
    };
    write().map_err(|error| Error::file(&args.folder, "write man pages into it", &error))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let command = Command::new("clyra").subcommand(Command::new("kill").subcommand(Command::new("set")));
        man(&ManArgs { folder: folder.path().join("man1") }, command).unwrap();
        for page in ["clyra.1", "clyra-kill.1", "clyra-kill-set.1"] {
            assert!(folder.path().join("man1").join(page).exists(), "{page}");
        }
    }
}
