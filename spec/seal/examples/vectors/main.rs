//! Writes `spec/vectors`: bundles with known outcomes. Run again, it writes the same.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a maker of test data may stop at the first surprise, and lists are long"
)]

mod forge;
mod gateway;
mod keyless;
mod make;
mod recorder;
mod story;
mod switch;

use std::{fs, path::Path};

fn main() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors"));
    fs::create_dir_all(folder).unwrap();
    for (name, content) in make::files() {
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
