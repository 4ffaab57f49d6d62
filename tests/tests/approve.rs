//! Stories of consent: a statement that needs an approval, and a policy that needs its owner's signature. They play at a
//! real house, through the real commands.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use clyra_tests::{House, receipts, refusal};
use std::process::Output;
use tokio_postgres::error::DbError;

/// Writes to `orders` need the consent of ann, or of the login itself, which never counts.
async fn house() -> (House, String) {
    let house = House::start("name: t\nversion: 1\n").await.unwrap();
    let me = house.through("").await.unwrap();
    let user: String = me.query_one("select current_user::text", &[]).await.unwrap().get(0);
    let policy = format!(
        "name: consent\nversion: 2\nmode: enforce\napprovers:\n  - {{name: ann, key: {}}}\n  - {{name: {user}, key: {}}}\n\
         rules:\n  - id: consent\n    require_approval: true\n    when: {{tables: orders}}\n",
        key(&house, "ann"),
        key(&house, "self"),
    );
    std::fs::write(house.path("policy.yaml"), policy).unwrap();
    reload(&house);
    (house, user)
}

/// Makes a key in the house's folder; the public half.
fn key(house: &House, name: &str) -> String {
    let file = house.path(&format!("{name}.key")).display().to_string();
    let made = std::process::Command::new(clyra_tests::program("clyra").unwrap())
        .args(["keygen", "--name", name, "--out", &file])
        .output()
        .unwrap();
    words(&made).trim().to_owned()
}

fn reload(house: &House) {
    let pid = house.standing["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}

fn words(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn approve(house: &House, digest: &str, by: &str, more: &[&str]) -> Output {
    let key = house.path(&format!("{by}.key")).display().to_string();
    let mut line = vec!["approve", "--digest", digest, "--reason", "ticket 7", "--key", &key];
    line.extend(more);
    house.clyra(&line).unwrap()
}

/// The digest that a refusal names.
fn digest(error: &DbError) -> String {
    let hint = error.hint().unwrap();
    hint.split("--digest ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

async fn refused(house: &House, sql: &str) -> DbError {
    let client = house.through("").await.unwrap();
    refusal(client.batch_execute(sql).await.unwrap_err())
}

/// Waits until the policy that was reloaded refuses.
async fn digest_of(house: &House, sql: &str) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let client = house.through("").await.unwrap();
        match client.batch_execute(sql).await {
            Err(error) => return digest(&refusal(error)),
            Ok(()) => assert!(std::time::Instant::now() < deadline, "the policy was never reloaded"),
        }
    }
}

#[tokio::test]
async fn a_statement_passes_once_for_an_approval() {
    let (house, user) = house().await;
    let sql = "update orders set status = 'paid' where id = 1";
    let named = digest_of(&house, sql).await;
    let error = refused(&house, sql).await;
    assert!(error.detail().unwrap().contains("approval_missing"), "{error:?}");
    assert_eq!(digest(&error), named, "the digest of the same bytes is the same");
    let other = refused(&house, &sql.replace("id = 1", "id = 2")).await;
    assert_ne!(digest(&other), named);
    assert!(words(&house.clyra(&["approve", "list"]).unwrap()).contains(&format!("wanted   {named}")));

    // One's own consent is none, and neither is that of somebody whose key is not listed.
    let own = approve(&house, &named, "self", &["--as", &user]);
    assert!(words(&own).starts_with("given"));
    assert!(refused(&house, sql).await.detail().unwrap().contains("approval_own"));
    key(&house, "eve");
    let eve = approve(&house, &named, "eve", &[]);
    assert!(!eve.status.success() && String::from_utf8_lossy(&eve.stderr).contains("none of the policy's"));

    words(&approve(&house, &named, "ann", &[]));
    let client = house.through("options='-c clyra.run_id=consented'").await.unwrap();
    client.batch_execute(sql).await.unwrap();
    assert!(refused(&house, sql).await.detail().unwrap().contains("approval_own"), "it is used up");
    let list = words(&house.clyra(&["approve", "list", "--json"]).unwrap());
    assert!(list.contains("\"state\":\"used\""), "{list}");
    drop(client);
    words(&house.clyra(&["run-id", "close", "consented"]).unwrap());
    let bundle = house.cut("consented").await.unwrap();
    let receipts = receipts(&bundle);
    let used = receipts[0]["decision"]["approvals"][0].as_str().unwrap();
    assert!(list.contains(used), "the receipt names the approval");
    assert_eq!(house.verify(&bundle).unwrap().0, Some(0));
}

#[tokio::test]
async fn extended_messages_use_it_at_execute_and_bound_values_cannot_have_one() {
    let (house, _) = house().await;
    let sql = "update orders set status = status where id = 2";
    let named = digest_of(&house, sql).await;
    let client = house.through("").await.unwrap();
    assert!(client.prepare(sql).await.is_err(), "what may not run is not prepared");
    words(&approve(&house, &named, "ann", &[]));
    let statement = client.prepare(sql).await.unwrap();
    assert_eq!(client.execute(&statement, &[]).await.unwrap(), 1);
    let again = refusal(client.execute(&statement, &[]).await.unwrap_err());
    assert!(again.detail().unwrap().contains("approval_missing"), "{again:?}");
    // A pipeline of two: the first alone passes.
    words(&approve(&house, &named, "ann", &[]));
    let (first, second) = tokio::join!(client.execute(&statement, &[]), client.execute(&statement, &[]));
    assert!(first.is_ok() && second.is_err(), "{first:?} {second:?}");

    let error = client.prepare("update orders set status = $1 where id = 2").await.map(drop).unwrap_err();
    assert!(refusal(error).detail().unwrap().contains("approval_unbound"));
    for indirect in ["prepare p as delete from orders where id = 1", "prepare q as select 1; execute p"] {
        assert!(client.batch_execute(indirect).await.is_err(), "{indirect}");
    }
    // A message of two statements has one digest, and the approval is for both.
    let two =
        "update orders set status = status where id = 1; update orders set status = status where id = 1";
    words(&approve(&house, &digest(&refused(&house, two).await), "ann", &[]));
    client.batch_execute(two).await.unwrap();
    assert!(client.batch_execute(two).await.is_err());
    // A statement that fails at the server was one attempt, too.
    let bad = "update orders set status = status where id = 1/0";
    words(&approve(&house, &digest(&refused(&house, bad).await), "ann", &[]));
    assert_eq!(refusal(client.batch_execute(bad).await.unwrap_err()).code().code(), "22012");
    assert_eq!(refusal(client.batch_execute(bad).await.unwrap_err()).code().code(), "42501");
}

#[tokio::test]
async fn approvals_outlive_a_crash_and_end_when_taken_back_or_late() {
    let (mut house, _) = house().await;
    let sql = "delete from orders where id = -99";
    let named = digest_of(&house, sql).await;
    words(&approve(&house, &named, "ann", &[]));
    house.kill().unwrap();
    house.up().await.unwrap();
    let client = house.through("").await.unwrap();
    client.batch_execute(sql).await.unwrap();
    house.kill().unwrap();
    house.up().await.unwrap();
    assert!(refused(&house, sql).await.detail().unwrap().contains("approval_missing"), "used stays used");

    let given = words(&approve(&house, &named, "ann", &["--json"]));
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    let id = given["id"].as_str().unwrap();
    words(&house.clyra(&["approve", "revoke", id, "--reason", "wrong table"]).unwrap());
    refused(&house, sql).await;
    assert!(!house.clyra(&["approve", "revoke", id, "--reason", "again"]).unwrap().status.success());

    words(&approve(&house, &named, "ann", &["--expires", "1s"]));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !words(&house.clyra(&["approve", "list"]).unwrap()).contains("expired") {
        assert!(std::time::Instant::now() < deadline, "it never expired");
    }
    refused(&house, sql).await;

    // With the text instead of the digest, and sixteen who want it at once.
    let me = house.through("").await.unwrap();
    let database: String = me.query_one("select current_database()::text", &[]).await.unwrap().get(0);
    let key = house.path("ann.key").display().to_string();
    let line = ["approve", "--sql", sql, "--database", &database, "--reason", "r", "--key", &key];
    words(&house.clyra(&line).unwrap());
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let client = house.through("").await.unwrap();
        tries.spawn(async move { client.batch_execute(sql).await.is_ok() });
    }
    assert_eq!(tries.join_all().await.into_iter().filter(|passed| *passed).count(), 1);
}

const ENFORCE: &str =
    "name: signed\nversion: 1\nmode: enforce\nrules:\n  - {id: no-drop, deny_verbs: [drop]}\n";

#[tokio::test]
async fn a_policy_comes_into_force_with_its_owners_signature() {
    let house = House::start("name: t\nversion: 1\n").await.unwrap();
    let public = key(&house, "owner");
    let file = house.path("policy.yaml");
    std::fs::write(&file, ENFORCE).unwrap();
    let start = |flags: &[&str]| {
        let data = house.path("other");
        std::process::Command::new(clyra_tests::program("clyra").unwrap())
            .args(["up", "--listen", "0", "--admin", "0", "--metrics", "0", "--recorder", "0", "--json"])
            .arg("--upstream")
            .arg(house.standing["upstream"].as_str().unwrap())
            .arg("--data")
            .arg(data)
            .arg("--policy")
            .arg(&file)
            .args(flags)
            .output()
            .unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let unsigned = start(&[]);
    assert_eq!(unsigned.status.code(), Some(2), "{}", said(&unsigned));
    assert!(said(&unsigned).contains("--policy-key") && said(&unsigned).contains("--allow-unsigned"));
    let unsigned = start(&["--policy-key", &public]);
    assert!(said(&unsigned).contains("policy.yaml.sig"), "{}", said(&unsigned));
    drop(house);

    let folder = tempfile::tempdir().unwrap();
    let signed = House::start_in(folder.path(), "name: t\nversion: 1\n", &["--policy-key", &public]).await;
    assert!(signed.is_err(), "a policy in shadow mode must be signed, too, once keys are named");
}

#[tokio::test]
async fn a_reload_without_signature_keeps_what_is_in_force() {
    let keys = tempfile::tempdir().unwrap();
    let owner = keys.path().join("owner.key").display().to_string();
    let clyra = |line: &[&str]| {
        words(
            &std::process::Command::new(clyra_tests::program("clyra").unwrap()).args(line).output().unwrap(),
        )
    };
    let public = clyra(&["keygen", "--name", "owner", "--out", &owner]);
    let mut house = House::start(ENFORCE).await.unwrap();
    house.stop().await.unwrap();
    let file = house.path("policy.yaml");
    clyra(&["policy", "sign", file.to_str().unwrap(), "--key", &owner]);
    house.flag(&["--policy-key", public.trim()]);
    house.up().await.unwrap();
    assert!(refused(&house, "drop table orders").await.detail().unwrap().contains("verb_denied"));
    std::fs::write(&file, ENFORCE.replace("mode: enforce", "mode: shadow")).unwrap();
    reload(&house);
    let log = || std::fs::read_to_string(house.path("up.log")).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !log().contains("the signature is for another text") {
        assert!(std::time::Instant::now() < deadline, "{}", log());
        tokio::task::yield_now().await;
    }
    refused(&house, "drop table orders").await;
}
