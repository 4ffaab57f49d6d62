//! The tenant fence on real servers: what the proof lets pass, and what the gateway makes of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod binds;
mod changes;
mod forms;
mod maker;
mod pins;
mod random;
mod rewrites;

/// The reason of a refusal, or the server's own words.
fn reason(error: tokio_postgres::Error) -> String {
    let refused = clyra_tests::refusal(error);
    let detail = refused.detail().unwrap_or_default();
    detail
        .split("reason: ")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .unwrap_or(refused.message())
        .to_owned()
}
