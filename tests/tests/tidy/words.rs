//! Rules for words: marks that nobody may leave behind, and second words for things that have one. It never judges
//! grammar.

use crate::{File, Finding};

/// Where the words are told.
pub(crate) const GLOSSARY: &str = "docs/glossary.md";

/// What may not stand in any file. Written in pieces, so that this list does not find itself.
const MARKS: [(&str, &str); 9] = [
    (concat!("TO", "DO"), "do it, or file it"),
    (concat!("FIX", "ME"), "fix it, or file it"),
    (concat!("XX", "X:"), "say what is meant"),
    (concat!("HA", "CK:"), "say why it has to be so"),
    (concat!("#[ig", "nore"), "a test that does not run is no test"),
    (concat!("to", "do!("), "a stub is not done"),
    (concat!("Under con", "struction"), "a stub is not done"),
    (concat!("/wo", "rk/"), "a path of one machine means nothing on another"),
    (concat!("/ho", "me/"), "a path of one machine means nothing on another"),
];

/// Marks left in a file.
pub(crate) fn marks(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for (mark, remedy) in MARKS {
            if line.contains(mark) {
                findings.push(Finding::at(file, at + 1, format!("`{mark}`: {remedy}")));
            }
        }
    }
    findings
}

/// The words to avoid, each with the word to use: the third and the first column of the glossary's table.
pub(crate) fn avoided(glossary: &str) -> Vec<(String, String)> {
    let mut avoided = Vec::new();
    for line in glossary.lines().filter(|line| line.starts_with("| **")) {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let (Some(word), Some(instead_of)) = (columns.get(1), columns.get(3)) else { continue };
        for second in instead_of.split(',').map(str::trim).filter(|second| !second.is_empty()) {
            avoided.push((second.to_lowercase(), word.trim_matches('*').to_owned()));
        }
    }
    avoided
}

/// Second words used in papers and in the comments of rooms.
pub(crate) fn second_words(file: &File, avoided: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.path == GLOSSARY || !(file.is_rust() || file.is_paper()) {
        return findings;
    }
    for (at, line) in file.text.lines().enumerate() {
        let said = if file.is_paper() { line } else { comment(line) };
        let said = said.to_lowercase();
        for (second, word) in avoided {
            if has_word(&said, second) {
                findings.push(Finding::at(file, at + 1, format!("`{second}`: the word is `{word}`")));
            }
        }
    }
    findings
}

fn comment(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { line } else { "" }
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        [before, after].into_iter().flatten().all(|next| !next.is_alphanumeric() && next != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::{MARKS, avoided, marks, second_words};
    use crate::File;

    const TABLE: &str =
        "| word | meaning | not |\n|---|---|---|\n| **ewe** | a she | mrs sheep, lady sheep |\n";

    #[test]
    fn each_mark_is_found_in_any_kind_of_file() {
        for (mark, _) in MARKS {
            for path in ["fold/src/sheep.rs", "docs/sheep.md", "check"] {
                assert!(!marks(&File::new(path, &format!("a\n  {mark} b\n"))).is_empty(), "{mark} in {path}");
            }
        }
        assert!(marks(&File::new("docs/sheep.md", "nothing to do here\n")).is_empty());
    }

    #[test]
    fn second_words_are_found_in_papers_and_comments_only() {
        let avoided = avoided(TABLE);
        assert_eq!(avoided.len(), 2);
        let found = |path, text| second_words(&File::new(path, text), &avoided).len();
        assert_eq!(found("docs/sheep.md", "Our Lady Sheep says\n"), 1);
        assert_eq!(found("fold/src/sheep.rs", "    /// The mrs sheep.\n"), 1);
        assert_eq!(found("fold/src/sheep.rs", "let lady = \"lady sheep\";\n"), 0);
        assert_eq!(found("docs/sheep.md", "lady sheepish\n"), 0);
        assert_eq!(found("docs/glossary.md", TABLE), 0);
    }
}
