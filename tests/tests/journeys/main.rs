//! Journeys over the whole house: the real programs, a real PostgreSQL, real clients, evidence checked at the end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod bundles;
mod crash;
mod faults;
mod large;
mod recorder;
mod refusals;
mod robust;
mod switch;

use clyra_tests::{STRICT, refusal, shadow};
