//! The vectors in the repository are those that the maker makes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a maker of test data may stop at the first surprise, and lists are long"
)]

#[path = "../examples/vectors/make.rs"]
mod make;
#[path = "../examples/vectors/story.rs"]
mod story;

use std::{fs, path::Path};

#[test]
fn vectors_are_as_they_are_made() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors"));
    let made = make::files();
    for (name, content) in &made {
        assert!(fs::read(folder.join(name)).unwrap() == *content, "{name}: run the example `vectors` again");
    }
    let found = fs::read_dir(folder).unwrap().count();
    assert_eq!(found, made.len() + 1, "README.md and the vectors, nothing else");
}
