//! Callers whom the policy names by their certificate or token: tenant and kind come from what is proved, and whoever
//! cannot be named stays outside.

use crate::{
    logins::{BY_SCRAM, Scene, WHO, tls, token, words},
    papers::Papers,
    psql, soon,
};
use std::{process::Command, time::Instant};

const POLICY: &str = "\
name: callers
version: 1
mode: enforce
callers:
  - match: {cert_san: 'spiffe://shop.example/{tenant}/agents/{actor}'}
    kind: agent
  - match: {cert_cn: 'svc-{actor}'}
    tenant: '{user}'
  - match: {jwt: {iss: 'https://id.shop.example', claim: {team: data}}}
    kind: '{claim.kind}'
    tenant: '{claim.tenant}'
rules:
  - id: acme-keeps
    when: {tenant: acme}
    deny_verbs: [drop]
  - id: agents-read
    when: {kind: agent}
    deny_verbs: [create]
  - id: seven-only
    when: {actor: seven}
    deny_verbs: [truncate]
";

#[tokio::test]
async fn certificates_name_callers() {
    let (scene, papers) = (Scene::new("trust").await, Papers::new());
    let (mut flags, options) = tls(&papers);
    flags.extend(["--tls-client-ca".to_owned(), papers.file("ca.pem")]);
    papers.sign("seven", "/CN=robot", "URI:spiffe://shop.example/acme/agents/seven");
    papers.sign(
        "torn",
        "/CN=robot",
        "URI:spiffe://shop.example/acme/agents/a,URI:spiffe://shop.example/other/agents/b",
    );
    papers.sign("svc", "/CN=svc-load", "URI:urn:other");
    let house = scene.house_under(POLICY, BY_SCRAM, &words(&flags)).await;
    let gate = house.addr("listen").unwrap();
    let say = |name: &str, sql: &str| {
        let (cert, key) = (papers.file(&format!("{name}.pem")), papers.file(&format!("{name}.key")));
        Command::new("chmod").args(["600", &key]).status().unwrap();
        psql(
            gate,
            &format!("{options} user=ann sslcert={cert} sslkey={key} options='-c clyra.run_id={name}'"),
            sql,
        )
    };
    for (sql, rule) in
        [("drop table t", "acme-keeps"), ("create table t ()", "agents-read"), ("truncate t", "seven-only")]
    {
        let (done, said) = say("seven", sql);
        assert!(!done && said.contains(&format!("rule `{rule}`")), "{said}");
    }
    let (done, said) = say("svc", "drop table if exists t");
    assert!(done, "another tenant: {said}");
    let (done, said) = say("torn", WHO);
    assert!(
        !done && said.contains("cannot say who this caller is") && said.contains("they differ"),
        "{said}"
    );
    let caller = crate::first_receipt(&house, "seven").await["caller"].clone();
    assert_eq!((&caller["actor_kind"], &caller["auth"]), (&"agent".into(), &"scram".into()));
    assert_ne!(caller["tenant"], crate::first_receipt(&house, "svc").await["caller"]["tenant"]);
}

#[tokio::test]
async fn tokens_name_callers_and_what_they_lack_is_told() {
    let (scene, papers) = (Scene::new("scram-sha-256").await, Papers::new());
    let (flags, options) = tls(&papers);
    let folder = scene.folder.path();
    let mut tokens = [
        r#"{"team": ["web", "data"], "tenant": "acme", "kind": "agent"}"#,
        r#"{"team": "data", "kind": "agent"}"#,
        r#"{"team": "data", "kind": "robot", "tenant": "acme"}"#,
        r#"{"team": "data", "kind": "agent", "tenant": ["acme", "other"]}"#,
        r#"{"team": "web"}"#,
    ]
    .map(|claims| token(folder, claims));
    let login = "jwt: {jwks: jwks.json, issuer: 'https://id.shop.example', audience: clyra}\n\
                 upstream: {user: app, password_file: password}\n";
    let house = scene.house_under(POLICY, login, &words(&flags)).await;
    let gate = house.addr("listen").unwrap();
    let mut say = |which: usize, sql: &str| {
        let token = std::mem::take(&mut tokens[which]);
        let said = psql(gate, &format!("{options} user=ann password={token}"), sql);
        tokens[which] = token;
        said
    };
    assert!(say(0, "drop table t").1.contains("rule `acme-keeps`"));
    assert!(say(0, "create table t ()").1.contains("rule `agents-read`"));
    for (which, why) in
        [(1, "no claim `tenant`"), (2, "`robot` is no kind"), (3, "no claim `tenant` with one value")]
    {
        let (done, said) = say(which, WHO);
        assert!(!done && said.contains("cannot say who") && said.contains(why), "{said}");
    }
    assert_eq!(
        say(4, "drop table if exists t"),
        (true, "NOTICE:  table \"t\" does not exist, skipping".into())
    );
    // In shadow, the same is only recorded.
    std::fs::write(house.path("policy.yaml"), POLICY.replace("mode: enforce", "mode: shadow")).unwrap();
    Command::new("kill").args(["-HUP", &house.standing["pid"].to_string()]).status().unwrap();
    let deadline = soon();
    while !say(1, WHO).0 {
        assert!(Instant::now() < deadline, "the shadow policy is not in force");
    }
}
