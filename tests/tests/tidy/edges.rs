//! Rules for walls: which crate may import which, and who never reaches a runtime. It asks cargo and never guesses
//! from source.

use crate::house::root;
use crate::{File, Finding};
use serde_json::Value;
use std::process::Command;

/// Whom of ours each crate may import; the same table stands in `ARCHITECTURE.md`.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("clyra-spec", &[]),
    ("clyra-proto", &[]),
    ("clyra-seal", &["clyra-spec"]),
    ("clyra-policy", &["clyra-spec"]),
    ("clyra-wire", &[]),
    ("clyra-gateway", &["clyra-wire", "clyra-policy", "clyra-seal", "clyra-proto", "clyra-spec"]),
    ("clyra-recorder", &["clyra-seal", "clyra-proto", "clyra-spec"]),
    ("clyra-verifier", &["clyra-spec"]),
    ("clyra-cli", EVERYONE),
    ("clyra-tests", EVERYONE),
    ("clyra-bench", EVERYONE),
];
/// Every crate that may be imported at all.
const EVERYONE: &[&str] = &[
    "clyra-spec",
    "clyra-proto",
    "clyra-seal",
    "clyra-policy",
    "clyra-wire",
    "clyra-gateway",
    "clyra-recorder",
    "clyra-verifier",
];
/// Crates that think and never wait.
pub(crate) const THINKERS: [&str; 5] =
    ["clyra-spec", "clyra-seal", "clyra-policy", "clyra-wire", "clyra-verifier"];
/// Runtimes and network crates.
const RUNTIMES: [&str; 13] = [
    "tokio",
    "tonic",
    "hyper",
    "mio",
    "h2",
    "axum",
    "tower",
    "reqwest",
    "async-std",
    "smol",
    "socket2",
    "rustls",
    "ureq",
];

/// A crate of ours with whom it imports.
pub(crate) struct Package {
    name: String,
    imports: Vec<String>,
}

/// What cargo knows of the workspace.
pub(crate) fn metadata() -> Value {
    serde_json::from_slice(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap()
}

/// The crates of ours in cargo's answer.
pub(crate) fn packages(metadata: &Value) -> Vec<Package> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: name(package),
            imports: list(&package["dependencies"])
                .iter()
                .map(name)
                .filter(|name| name.starts_with("clyra-"))
                .collect(),
        })
        .collect()
}

/// Imports that the table does not allow, for building and for tests alike.
pub(crate) fn imports(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::new(&package.name, "is not in the table of who may import whom"));
            continue;
        };
        for import in &package.imports {
            if !allowed.contains(&import.as_str()) {
                let fault = format!("may not import `{import}`; allowed: {}", allowed.join(", "));
                findings.push(Finding::new(&package.name, fault));
            }
        }
    }
    findings
}

/// Everything that a crate is built from, one `name version` a line.
pub(crate) fn tree(package: &str) -> String {
    let told = cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none", "--format", "{p}"]);
    String::from_utf8(told).unwrap()
}

/// Runtimes in a crate's tree.
pub(crate) fn runtimes(package: &str, tree: &str) -> Vec<Finding> {
    tree.lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| {
            RUNTIMES.iter().any(|runtime| name == runtime || name.strip_prefix(runtime).is_some_and(is_part))
        })
        .map(|name| {
            Finding::new(package, format!("is built from `{name}`; it must not reach a runtime or a network"))
        })
        .collect()
}

/// `tokio-util` is a part of `tokio`.
fn is_part(rest: &str) -> bool {
    rest.starts_with('-')
}

/// Where statements are read.
const PARSER_ROOMS: [&str; 4] =
    ["policy/src/facts/", "policy/src/detail/", "policy/src/blocks/", "policy/src/dialect/"];

/// The parser's name outside the folders that alone may know it.
pub(crate) fn parser_outside_facts(file: &File) -> Vec<Finding> {
    let inside = PARSER_ROOMS.iter().any(|room| file.path.starts_with(room));
    let ours = file.path.contains("/src/") && file.is_rust() && !inside;
    let parsers = [concat!("pg_raw", "_parse::"), concat!("sql", "parser::")];
    if ours && parsers.iter().any(|parser| file.text.contains(parser)) {
        return vec![Finding::new(
            &file.path,
            "only `facts`, `detail`, `blocks` and `dialect` of `policy` may know a parser",
        )];
    }
    Vec::new()
}

fn cargo(words: &[&str]) -> Vec<u8> {
    let ran = Command::new(env!("CARGO")).args(words).current_dir(root()).output().unwrap();
    assert!(ran.status.success(), "cargo {words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

#[cfg(test)]
mod tests {
    use super::{imports, packages, parser_outside_facts, runtimes};
    use crate::File;
    use serde_json::json;

    fn importing(name: &str, import: &str) -> usize {
        let told = json!({"packages": [{"name": name, "dependencies": [{"name": import, "kind": "dev"}]}]});
        imports(&packages(&told)).len()
    }

    #[test]
    fn a_forbidden_import_is_found() {
        assert_eq!(importing("clyra-verifier", "clyra-seal"), 1);
        assert_eq!(importing("clyra-recorder", "clyra-policy"), 1);
        assert_eq!(importing("clyra-wire", "clyra-spec"), 1);
        assert_eq!(importing("clyra-tests", "clyra-cli"), 1);
        assert_eq!(importing("clyra-verifier", "clyra-spec"), 0);
        assert_eq!(importing("clyra-verifier", "serde"), 0);
    }

    #[test]
    fn an_unknown_crate_is_found() {
        assert_eq!(importing("clyra-mystery", "serde"), 1);
    }

    #[test]
    fn a_runtime_is_found() {
        assert_eq!(runtimes("clyra-seal", "clyra-seal v0.1.0\nsha2 v0.11.1\nserde v1.0.0\n").len(), 0);
        assert_eq!(runtimes("clyra-seal", "sha2 v0.11.1\ntokio-util v0.7.0\nhyper v1.0.0\n").len(), 2);
        assert_eq!(runtimes("clyra-seal", "mimalloc v0.1.0\nh2o v1.0.0\n").len(), 0);
    }

    #[test]
    fn the_parser_is_found_outside_its_folder() {
        let text = concat!("use pg_raw", "_parse::parse;\n");
        assert_eq!(parser_outside_facts(&File::new("policy/src/engine.rs", text)).len(), 1);
        assert!(parser_outside_facts(&File::new("policy/src/facts/mod.rs", text)).is_empty());
    }
}
