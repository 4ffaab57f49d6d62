//! The house as text: every file of ours that a person reads. It never reads what tools have made.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A text file of the house.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// What stands in it.
    pub(crate) text: String,
}

impl File {
    /// A file that stands only in a test.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_paper(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// The name of the file without its folder.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The folder, empty for the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether it holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.split('/').rev().skip(1).any(|folder| folder == "tests")
    }
}

/// One fault, with its place.
pub(crate) struct Finding {
    place: String,
    fault: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { place: place.into(), fault: fault.into() }
    }

    pub(crate) fn at(file: &File, line: usize, fault: impl Into<String>) -> Self {
        Self::new(format!("{}:{line}", file.path), fault)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}: {}", self.place, self.fault)
    }
}

/// The root of the work tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the house").to_owned()
}

/// Every text file of the house, in order of path.
pub(crate) fn house() -> Vec<File> {
    let mut files = Vec::new();
    read_folder(&root(), "", &mut files);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(files.iter().any(|file| file.path == "Cargo.toml"), "this is not the house");
    files
}

fn read_folder(folder: &Path, path: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !MADE_BY_TOOLS.contains(&name.as_str()) {
            read_folder(&entry.path(), &path, files);
        } else if kind.is_file() && is_text(&name) {
            // A file that another program is just replacing may be gone by now.
            if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File { path, text });
            }
        }
    }
}

fn is_text(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    TEXT_ENDINGS.contains(&ending) || TEXT_NAMES.contains(&name)
}

const MADE_BY_TOOLS: [&str; 8] =
    [".git", "target", "clyra-data", "__pycache__", "logs", "vectors", "node_modules", "dist"];
const TEXT_ENDINGS: [&str; 14] =
    ["rs", "md", "toml", "proto", "py", "sh", "sql", "yaml", "yml", "csv", "ts", "mjs", "css", "html"];
const TEXT_NAMES: [&str; 4] = ["check", "quickstart", "run", "justfile"];
