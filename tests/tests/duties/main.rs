//! Duties over the whole house: bounds of rows and cost, and velocity caps, with real clients and the evidence.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod caps;
mod clients;
mod cost;
mod keys;
mod kills;
mod rows;

use clyra_tests::{House, receipts};
use serde_json::Value;

/// A policy of one rule.
fn policy(mode: &str, guard: &str) -> String {
    format!("name: duties\nversion: 1\nmode: {mode}\nevidence: strict\nrules:\n  - id: bound\n    {guard}\n")
}

/// The receipts of a run, once the verifier has passed them: outcomes and refusals, not intents.
async fn verified(house: &House, run: &str) -> Vec<Value> {
    house.settled().await.unwrap();
    house.clyra(&["run-id", "close", run]).unwrap();
    let bundle = house.cut(run).await.unwrap();
    let (code, report) = house.verify(&bundle).unwrap();
    assert_eq!(code, Some(0), "{report}");
    receipts(&bundle).into_iter().filter(|receipt| receipt["phase"] != "intent").collect()
}

/// Verb, verdict, first reason, status and rows of a receipt.
fn told(receipt: &Value) -> String {
    let decision = &receipt["decision"];
    let outcome = &receipt["outcome"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = outcome["rows"].as_u64().map_or("-".to_owned(), |rows| rows.to_string());
    format!(
        "{} {} {} {} {rows}",
        text(&receipt["action"]["verb"]),
        text(&decision["verdict"]),
        text(&decision["rules"][0]["reason"]),
        text(&outcome["status"]),
    )
}
