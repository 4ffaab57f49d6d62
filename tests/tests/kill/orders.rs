//! Signed orders: anybody raises, another operator releases, agents never do; it all stands in the log.

use crate::{code, key, kill, try_kill};
use clyra_tests::{House, entries};

#[tokio::test]
async fn releasing_takes_another_operator_and_all_is_in_the_report() {
    let mut house = House::start("name: t\nversion: 1\n").await.unwrap();
    let keys = ["ann", "bob", "bot"].map(|name| key(&house, name));
    let policy = format!(
        "name: ops\nversion: 2\nmode: enforce\noperators:\n  - {{name: ann, key: {}}}\n  - {{name: bob, key: {}}}\n  \
         - {{name: bot, key: {}, kind: agent}}\n",
        keys[0], keys[1], keys[2]
    );
    std::fs::write(house.path("policy.yaml"), policy).unwrap();
    house.stop().await.unwrap();
    house.up().await.unwrap();
    let by = |name: &str| house.path(&format!("{name}.key")).display().to_string();
    let (ann, bob, bot) = (by("ann"), by("bob"), by("bot"));
    let client = house.through("options='-c clyra.run_id=ops'").await.unwrap();
    client.batch_execute("select 1").await.unwrap();

    kill(&house, &["set", "--level", "block_statements", "--reason", "it runs away", "--key", &bot]);
    assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "ZC100");
    let refused = |words: &[&str], why: &str| {
        let output = try_kill(&house, &[&["release", "--reason", "over"], words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused(&["--key", &bot], "agent");
    refused(&[], "--key");
    key(&house, "eve");
    refused(&["--key", &house.path("eve.key").display().to_string()], "none of the policy's `operators`");
    kill(&house, &["release", "--reason", "looked at", "--key", &ann]);
    // Within a minute a mistake may be taken back; what was lowered is a release, too.
    kill(&house, &["set", "--scope", "actor:etl", "--reason", "slip", "--key", &ann]);
    kill(&house, &["release", "--scope", "actor:etl", "--reason", "slip", "--key", &ann]);
    kill(&house, &["set", "--level", "4", "--scope", "run:other", "--reason", "late", "--key", &ann]);
    kill(&house, &["set", "--level", "1", "--scope", "run:other", "--reason", "less", "--key", &bob]);
    let said = kill(&house, &["status"]);
    assert!(said.contains("run:other") && said.contains("bob (signed)"), "{said}");
    client.batch_execute("select 1").await.unwrap();
    drop(client);

    assert!(house.clyra(&["run-id", "close", "ops"]).unwrap().status.success());
    let bundle = house.cut("ops").await.unwrap();
    let turns: Vec<_> = entries(&bundle).into_iter().filter(|one| one["kind"] == "switch").collect();
    assert_eq!(turns.len(), 6);
    assert!(turns.iter().all(|turn| turn["dsse"]["signatures"][0]["keyid"].is_string()));
    let actor = turns.iter().find(|turn| turn["scope"] == "actor").unwrap();
    assert_eq!(actor["name"].as_str().unwrap().len(), 32, "no name of a person is in the log");
    assert!(!turns.iter().any(|turn| turn.to_string().contains("etl")));
    let (exit, said) = house.verify(&bundle).unwrap();
    assert_eq!(exit, Some(0), "{said:#}");
    let shown = said["summary"]["switches"].as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]["by"], &shown[0]["checked"]), (6, &"bot".into(), &false.into()));

    // A reader who lists the operators has their signatures checked.
    let trust = house.data().join("trust.txt");
    let listed: String = keys.iter().map(|key| format!("maker operator {key}\n")).collect();
    std::fs::write(&trust, std::fs::read_to_string(&trust).unwrap() + &listed).unwrap();
    let (exit, said) = house.verify(&bundle).unwrap();
    assert_eq!((exit, &said["summary"]["switches"][0]["checked"]), (Some(0), &true.into()), "{said:#}");
}

#[tokio::test]
async fn it_survives_kill_nine() {
    let mut house = House::start(crate::OPEN).await.unwrap();
    kill(&house, &["set", "--level", "disconnect", "--reason", "stop"]);
    kill(&house, &["set", "--scope", "source:other", "--class", "ddl", "--level", "2", "--reason", "sale"]);
    house.kill().unwrap();
    house.up().await.unwrap();
    assert!(house.through("").await.is_err(), "it is on from the first moment");
    let said = kill(&house, &["status", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["level"], &said["turn"]), (&"disconnect".into(), &2.into()));
    assert_eq!(
        (said["standing"].as_array().unwrap().len(), &said["standing"][1]["class"]),
        (2, &"ddl".into())
    );
}
