//! Rules for manifests, doors and papers: house lints taken, a picture and an example shown, links that lead
//! somewhere. It never follows a link out of the house.

use crate::{File, Finding};

/// The crate of generated code, which answers to no lints of ours.
const GENERATED: &str = "spec/proto/Cargo.toml";

/// A crate's manifest takes lints and version from the workspace.
pub(crate) fn manifest(file: &File) -> Vec<Finding> {
    if file.name() != "Cargo.toml" || !file.text.contains("[package]") || file.path == GENERATED {
        return Vec::new();
    }
    ["[lints]\nworkspace = true", "publish.workspace = true", "version.workspace = true"]
        .into_iter()
        .filter(|line| !file.text.contains(line))
        .map(|line| Finding::new(&file.path, format!("lacks `{}`", line.replace('\n', " "))))
        .collect()
}

/// A crate's `lib.rs` has ten lines of prose, a picture in text and an example that runs.
pub(crate) fn door(file: &File) -> Vec<Finding> {
    if file.name() != "lib.rs" || !file.folder().ends_with("src") {
        return Vec::new();
    }
    let door: Vec<&str> =
        file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let fences: Vec<&str> = door.iter().filter_map(|line| line.strip_prefix("```")).step_by(2).collect();
    let mut findings = Vec::new();
    if door.len() < 10 {
        findings.push(Finding::new(
            &file.path,
            "the door tells too little: ten lines of prose, picture and example",
        ));
    }
    if !fences.contains(&"text") {
        findings.push(Finding::new(&file.path, "the door shows no picture (a `text` block)"));
    }
    if !fences.iter().any(|fence| ["", "rust", "no_run", "rust,no_run"].contains(fence)) {
        findings.push(Finding::new(&file.path, "the door shows no example that runs"));
    }
    findings
}

/// Links of a paper that lead nowhere in the house.
pub(crate) fn links(file: &File, house: &[File]) -> Vec<Finding> {
    if !file.is_paper() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = resolve(file.folder(), target);
            let stands = house.iter().any(|other| other.path == path || other.folder().starts_with(&path));
            if !stands && !UNREAD.contains(&path.as_str()) && !path.starts_with("spec/vectors") {
                findings.push(Finding::at(file, at + 1, format!("`{target}` leads nowhere")));
            }
        }
    }
    findings
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Files that stand in the house and are not read as text.
const UNREAD: [&str; 3] = ["LICENSE", "docs/performance.svg", "docs/performance.json"];

#[cfg(test)]
mod tests {
    use super::{door, links, manifest};
    use crate::File;

    #[test]
    fn a_manifest_without_house_lints_is_found() {
        let good =
            "[package]\nversion.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n";
        assert!(manifest(&File::new("fold/Cargo.toml", good)).is_empty());
        assert_eq!(manifest(&File::new("fold/Cargo.toml", "[package]\nname = \"fold\"\n")).len(), 3);
    }

    #[test]
    fn a_bare_door_is_found() {
        let prose = "//! Sheep.\n".repeat(10);
        let good =
            format!("{prose}//! ```text\n//! a → b\n//! ```\n//!\n//! ```\n//! assert!(true);\n//! ```\n");
        assert!(door(&File::new("fold/src/lib.rs", &good)).is_empty());
        assert_eq!(door(&File::new("fold/src/lib.rs", &prose)).len(), 2);
        assert_eq!(door(&File::new("fold/src/lib.rs", "//! Sheep.\n")).len(), 3);
    }

    #[test]
    fn a_dead_link_is_found() {
        let house = [File::new("docs/a.md", ""), File::new("README.md", ""), File::new("docs/x/1.md", "")];
        let found = |text| links(&File::new("docs/a.md", text), &house).len();
        assert_eq!(found("[b](b.md) and [c](../c.md#head)"), 2);
        assert_eq!(
            found("[a](a.md) [r](../README.md) [x](x/) [self](#head) [out](https://example.com/x)"),
            0
        );
    }
}
