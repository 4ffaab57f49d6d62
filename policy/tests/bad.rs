//! Policy files that must not be read, each with its fault in the first line: `# line:column: message`, where `…` stands
//! for any text.

use clyra_policy::Policy;
use std::fs;

#[test]
#[expect(clippy::disallowed_methods, reason = "GOLDEN=write is asked of the one who runs tests")]
fn every_bad_file_is_refused_with_its_place() {
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 15);
    let mut wrong = Vec::new();
    for path in files {
        let yaml = fs::read_to_string(&path).unwrap();
        let expected = yaml.lines().next().unwrap().trim_start_matches("# ");
        let found = match Policy::parse(&yaml, "bad.yaml") {
            Ok(_) => "no fault".to_owned(),
            Err(error) => format!("{}:{}: {}", error.line(), error.column(), error.message()),
        };
        let fits = fits(expected, &found);
        if !fits && std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
            fs::write(&path, yaml.replacen(expected, &found, 1)).unwrap();
        } else if !fits {
            wrong.push(format!("{}\n  expected {expected}\n  found    {found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the text is as expected; lists that grow are cut short with `…`.
fn fits(expected: &str, found: &str) -> bool {
    match expected.split_once('…') {
        None => expected == found,
        Some((begin, end)) => {
            found.len() >= begin.len() + end.len() && found.starts_with(begin) && found.ends_with(end)
        }
    }
}

#[test]
fn the_message_has_a_snippet() {
    let error = Policy::parse("name: a\nversion: 1\nmodes: shadow\n", "shop.yaml").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("shop.yaml:3:1: unknown key `modes`; allowed: name, version, mode"), "{text}");
    assert!(text.ends_with(" 3 | modes: shadow\n   | ^"), "{text}");
}
