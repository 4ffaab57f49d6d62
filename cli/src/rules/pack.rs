//! `clyra policy init` and `clyra policy schema`: what somebody needs who begins a policy. It overwrites nothing unasked.

use crate::{
    error::Error,
    tell,
    verbs::{bundle::write_new, say},
};
use clap::Args;
use clyra_policy::tools;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Which pack, and where to.
#[derive(Debug, Args)]
pub struct Init {
    /// The pack to begin with; `--list` names them
    #[arg(long, value_name = "NAME", default_value = "starter")]
    pack: String,
    /// The policy file to write; its cases go beside it, as `….cases.yaml`
    #[arg(long, value_name = "FILE", default_value = "policy.yaml")]
    out: PathBuf,
    /// Replace both files when they exist
    #[arg(long)]
    force: bool,
    /// List the packs, and write nothing
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Writes a pack and its cases, or lists the packs.
pub(crate) fn init(args: &Init) -> Result<u8, Error> {
    if args.list {
        for (name, policy, _) in tools::PACKS {
            let purpose = purpose(policy);
            say(args.json, &json!({"pack": name, "purpose": purpose}), || format!("{name:<20} {purpose}"))?;
        }
        return Ok(0);
    }
    let names = || tools::PACKS.map(|(name, ..)| name).join(", ");
    let Some((_, policy, cases)) = tools::PACKS.into_iter().find(|(name, ..)| *name == args.pack) else {
        return Err(Error::Usage(format!("--pack `{}` is no pack; allowed: {}", args.pack, names())));
    };
    let beside = args.out.with_extension("cases.yaml");
    for path in [&args.out, &beside] {
        if path.exists() && !args.force {
            return Err(Error::Usage(format!("`{}` exists; --force replaces it", path.display())));
        }
    }
    write_new(&args.out, policy.as_bytes(), args.force)?;
    write_new(&beside, cases.as_bytes(), args.force)?;
    say(args.json, &json!({"pack": args.pack, "policy": args.out, "cases": beside}), || {
        told(&args.pack, &args.out, &beside)
    })?;
    Ok(0)
}

fn told(pack: &str, policy: &Path, cases: &Path) -> String {
    let (policy, cases) = (policy.display(), cases.display());
    format!(
        "{policy}: the pack {pack}; make its logins and tables yours\n\
         {cases}: what it does, by example\n\
         next: clyra policy test --policy {policy} {cases}"
    )
}

/// The first sentence of the comment at the head of a pack.
fn purpose(policy: &str) -> String {
    let head = policy.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let words: Vec<&str> = head.take_while(|line| !line.is_empty()).collect();
    let whole = words.join(" ");
    whole.split_once(". ").map_or(whole.clone(), |(first, _)| format!("{first}."))
}

/// Prints the schema of policy files.
pub(crate) fn schema() -> Result<u8, Error> {
    tell::bytes(tools::SCHEMA.as_bytes())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{self, Test};

    fn of(pack: &str, out: &Path, force: bool) -> Init {
        Init { pack: pack.into(), out: out.into(), force, list: false, json: false }
    }

    #[test]
    fn every_pack_is_written_once_and_passes_its_cases() {
        let folder = tempfile::tempdir().unwrap();
        for (name, ..) in tools::PACKS {
            let out = folder.path().join(format!("{name}.yaml"));
            assert_eq!(init(&of(name, &out, false)).unwrap(), 0);
            let again = init(&of(name, &out, false)).unwrap_err();
            assert_eq!((again.exit_code(), again.to_string().contains("--force")), (2, true));
            assert_eq!(init(&of(name, &out, true)).unwrap(), 0);
            let cases = vec![out.with_extension("cases.yaml")];
            assert_eq!(rules::test(&Test { policy: out, cases, json: true }).unwrap(), 0, "{name}");
        }
    }

    #[test]
    fn a_pack_that_is_none_is_answered_with_those_that_are() {
        let error = init(&of("basline", Path::new("/nowhere/p.yaml"), false)).unwrap_err().to_string();
        assert!(
            error.contains("`basline` is no pack; allowed: starter, ") && error.contains("dbt"),
            "{error}"
        );
        for (name, policy, _) in tools::PACKS {
            assert!(purpose(policy).ends_with('.'), "{name}: {}", purpose(policy));
        }
    }
}
