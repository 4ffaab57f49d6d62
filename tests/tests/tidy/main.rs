//! The house rules, as a test: what `CONTRIBUTING.md` promises and a machine can see. It reads the work tree as it
//! stands and never changes it, whatever has been committed or not.
//!
//! Every rule is a pure function from text to [`Finding`]s, with a test of its own that shows it can fail.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod edges;
mod house;
mod papers;
mod rooms;
mod words;

use house::{File, Finding, house};

#[test]
fn every_room_has_its_size_and_its_head() {
    assert_tidy(house().iter().filter(|file| file.is_rust()).flat_map(rooms::findings));
}

#[test]
fn every_folder_is_small_and_shallow() {
    assert_tidy(rooms::folders(&house()));
}

#[test]
fn no_forbidden_mark_is_left() {
    assert_tidy(house().iter().flat_map(words::marks));
}

#[test]
fn one_word_per_thing() {
    let house = house();
    let glossary = house.iter().find(|file| file.path == words::GLOSSARY).expect("there is a glossary");
    let avoided = words::avoided(&glossary.text);
    assert!(avoided.len() >= 10, "the glossary's third column names the words to avoid");
    assert_tidy(house.iter().flat_map(|file| words::second_words(file, &avoided)));
}

#[test]
fn crates_import_only_whom_they_may() {
    assert_tidy(edges::imports(&edges::packages(&edges::metadata())));
}

#[test]
fn thinking_crates_reach_no_runtime() {
    for package in edges::THINKERS {
        assert_tidy(edges::runtimes(package, &edges::tree(package)));
    }
}

#[test]
fn only_facts_know_the_parser() {
    assert_tidy(house().iter().flat_map(edges::parser_outside_facts));
}

#[test]
fn every_crate_takes_the_house_lints() {
    assert_tidy(house().iter().flat_map(papers::manifest));
}

#[test]
fn every_door_shows_a_picture_and_an_example() {
    assert_tidy(house().iter().flat_map(papers::door));
}

#[test]
fn links_in_papers_lead_somewhere() {
    let house = house();
    assert_tidy(house.iter().flat_map(|file| papers::links(file, &house)));
}

fn assert_tidy(findings: impl IntoIterator<Item = Finding>) {
    let told: Vec<String> = findings.into_iter().map(|finding| finding.to_string()).collect();
    assert!(told.is_empty(), "{} against the house rules:\n{}", told.len(), told.join("\n"));
}
