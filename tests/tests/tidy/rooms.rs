//! Rules for rooms and folders: sizes, depth, names, the sentence at the head. Layout only, never content.

use crate::{File, Finding};
use std::collections::BTreeMap;

/// Most lines of a room, its tests not counted.
const ROOM_LINES_MAX: usize = 500;
/// Most lines of tests inside a room.
const INLINE_TEST_LINES_MAX: usize = 100;
/// Most rooms in a folder, besides its face and its tests.
const FOLDER_ROOMS_MAX: usize = 8;
/// The faces of folders and crates, and tests beside a room.
const NOT_COUNTED: [&str; 4] = ["mod.rs", "lib.rs", "main.rs", "tests.rs"];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 11] = [
    "util", "utils", "common", "helper", "helpers", "types", "prelude", "misc", "shared", "stuff", "manager",
];

/// What is wrong with one room.
pub(crate) fn findings(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines: Vec<&str> = file.text.lines().collect();
    if !lines.first().is_some_and(|line| line.starts_with("//! ") && line.len() > 20) {
        findings.push(Finding::at(
            file,
            1,
            "a room begins with a `//!` sentence: what it does, what it never does",
        ));
    }
    let tests_at = inline_tests(&lines).unwrap_or(lines.len());
    if !file.is_test() && tests_at > ROOM_LINES_MAX {
        let fault = format!("{tests_at} lines before the tests; at most {ROOM_LINES_MAX}");
        findings.push(Finding::at(file, ROOM_LINES_MAX, fault));
    }
    let test_lines = lines.len() - tests_at;
    if test_lines > INLINE_TEST_LINES_MAX {
        let fault =
            format!("{test_lines} lines of tests; beyond {INLINE_TEST_LINES_MAX} they stand in `tests.rs`");
        findings.push(Finding::at(file, tests_at + 1, fault));
    }
    for part in file.path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            findings
                .push(Finding::new(&file.path, format!("`{part}` says nothing; name the room by its work")));
        }
    }
    findings
}

/// Where tests begin that stand inside the room.
fn inline_tests(lines: &[&str]) -> Option<usize> {
    let at = lines.iter().rposition(|line| *line == "#[cfg(test)]")?;
    let module = lines.iter().skip(at).find(|line| line.starts_with("mod "))?;
    module.ends_with('{').then_some(at)
}

/// What is wrong with the folders.
pub(crate) fn folders(house: &[File]) -> Vec<Finding> {
    let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in house.iter().filter(|file| file.is_rust()) {
        if !NOT_COUNTED.contains(&file.name()) {
            *rooms.entry(file.folder()).or_default() += 1;
        }
        if let Some((_, inside)) = file.path.rsplit_once("/src/")
            && inside.matches('/').count() > 1
        {
            findings.push(Finding::new(&file.path, "deeper than crate/src/folder/file"));
        }
    }
    for (folder, count) in rooms {
        if count > FOLDER_ROOMS_MAX {
            let fault = format!("{count} rooms; a folder holds at most {FOLDER_ROOMS_MAX}");
            findings.push(Finding::new(folder, fault));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{findings, folders};
    use crate::File;

    const HEAD: &str = "//! Counts sheep, and never sleeps.\n";

    #[test]
    fn a_good_room_passes() {
        let text = format!("{HEAD}{}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(499), "\n".repeat(97));
        assert!(findings(&File::new("fold/src/sheep.rs", &text)).is_empty());
    }

    #[test]
    fn a_long_room_is_found_but_not_long_tests_beside_it() {
        let text = format!("{HEAD}{}", "\n".repeat(500));
        assert_eq!(findings(&File::new("fold/src/sheep.rs", &text)).len(), 1);
        assert!(findings(&File::new("fold/src/sheep/tests.rs", &text)).is_empty());
        assert!(findings(&File::new("fold/tests/sheep.rs", &text)).is_empty());
    }

    #[test]
    fn long_inline_tests_are_found() {
        let text = format!("{HEAD}#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(99));
        assert_eq!(findings(&File::new("fold/src/sheep.rs", &text)).len(), 1);
    }

    #[test]
    fn a_missing_head_and_an_empty_name_are_found() {
        assert_eq!(findings(&File::new("fold/src/sheep.rs", "use std::fmt;\n")).len(), 1);
        assert_eq!(findings(&File::new("fold/src/utils.rs", HEAD)).len(), 1);
        assert_eq!(findings(&File::new("fold/src/common/sheep.rs", HEAD)).len(), 1);
    }

    #[test]
    fn full_and_deep_folders_are_found() {
        let rooms =
            |count| (0..count).map(|n| File::new(&format!("fold/src/r{n}.rs"), HEAD)).collect::<Vec<_>>();
        assert!(folders(&rooms(8)).is_empty());
        assert_eq!(folders(&rooms(9)).len(), 1);
        assert_eq!(folders(&[File::new("fold/src/a/b/c.rs", HEAD)]).len(), 1);
        assert!(folders(&[File::new("fold/src/a/b.rs", HEAD)]).is_empty());
    }
}
