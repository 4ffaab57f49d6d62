//! The proof: stories over the whole house, and the house rules.
//!
//! What is pure is tested beside its room. What stands here needs the built programs, a real PostgreSQL, real
//! clients, or a look at the whole work tree. Tests find the programs beside themselves, so they test what was just
//! built and never something that happens to be installed.
//!
//! ```text
//! tests/tests/tidy/   the house rules: sizes, names, walls, words, links
//! tests/tests/journeys/   stories: a house is started, callers speak, evidence is checked
//! tests/tests/wire/       PostgreSQL's own tools and protocol through the gate
//! tests/tests/dbt.rs  ─▶ tests/dbt_shop/run.py ─▶ dbt ─▶ clyra up ─▶ PostgreSQL
//!                                              └▶ dbt ──────────────▶ the same, directly: must be equal
//! ```
//!
//! ```
//! let missing = clyra_tests::program("no-such-program").unwrap_err();
//! assert!(missing.to_string().contains("`no-such-program`"));
//! ```

mod bare;
mod house;
pub mod raw;
mod server;
mod story;

pub use bare::{BareServer, Manner};
pub use house::{House, connect, open_folder};
pub use server::Server;
pub use story::{SPEAKS_TLS, STRICT, entries, receipts, refusal, shadow};

use std::io;
use std::path::PathBuf;

/// The program of this name that was built beside the running test, in the same profile.
///
/// # Errors
/// When it has not been built; the message says how to.
pub fn program(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // A test runs from <target>/<profile>/deps, the programs stand one folder up.
    let built = test.ancestors().skip(1).take(3).map(|folder| folder.join(name)).find(|path| path.is_file());
    built.ok_or_else(|| {
        let say = format!("`{name}` is not built; run `cargo build -p clyra-cli -p clyra-verifier` first");
        io::Error::new(io::ErrorKind::NotFound, say)
    })
}
