//! Single texts: each attack in both protocols, refused by the rule that is there for it, with the server untouched; and
//! everything harmless, which passes. Conversations of several messages stand in `talks`.

use crate::{Attack, Caller, Harmless, Said, Stand, corpus};

#[tokio::test]
async fn no_attack_passes_and_nothing_happens() {
    let stand = Stand::start().await;
    let mut before = stand.digest().await;
    let mut faults = Vec::new();
    let mut played = 0;
    for (class, attacks) in corpus::attacks() {
        let yaml = corpus::policy_against(&class, &attacks);
        let rules = rules(&yaml);
        stand.take(&yaml).await;
        let mut caller = stand.caller().await;
        for some in attacks.chunks(SOME) {
            for attack in some.iter().filter(|attack| !UNDECIDED.contains(&attack.id.as_str())) {
                played += 1;
                for extended in [false, true] {
                    let said = play(&mut caller, attack, extended).await;
                    // A refused message leaves the session as it was.
                    if attack.before.is_some() || said.gone || said.refusal().is_none() {
                        caller = stand.caller().await;
                    }
                    if let Some(fault) = fault(attack, &said, &rules) {
                        faults.push(format!(
                            "{} {class} extended={extended} {}\n      {fault}",
                            attack.id, attack.sql
                        ));
                    }
                }
            }
            let after = stand.digest().await;
            if after != before {
                before = after;
                let some: Vec<&str> = some.iter().map(|attack| &*attack.sql).collect();
                faults
                    .push(format!("{class}: the server changed by one of\n      {}", some.join("\n      ")));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults over {played} attacks:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn nothing_harmless_is_refused() {
    let stand = Stand::start().await;
    let mut faults = Vec::new();
    let mut played = 0;
    for (class, texts) in corpus::harmless() {
        stand.take(&corpus::policy(&class)).await;
        let mut caller = stand.caller().await;
        for Harmless { id, sql } in texts {
            played += 1;
            for extended in [false, true] {
                if let Some(cursor) = fetched(&sql) {
                    caller.simple("begin").await;
                    caller.simple(&format!("declare {cursor} cursor for select 1")).await;
                }
                let said = match extended {
                    true => caller.extended(&sql, &[]).await,
                    false => caller.simple(&sql).await,
                };
                if let Some((code, detail)) = said.refusal() {
                    faults.push(format!("{id} {class} extended={extended} {sql}\n      {code} {detail}"));
                }
                if said.gone {
                    caller = stand.caller().await;
                } else {
                    caller.rest(&said).await;
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} refused of {played}:\n{}", faults.len(), faults.join("\n"));
}

/// What is wrong about the answer to an attack.
fn fault(attack: &Attack, said: &Said, rules: &[String]) -> Option<String> {
    let Some((code, detail)) = said.refusal() else {
        return (!attack.either).then(|| format!("passes: {:?}", said.errors()));
    };
    let named = rules.iter().any(|rule| detail.starts_with(&format!("Rule: {rule};")));
    let known = ["42501", "42601", "0A000"].contains(&code.as_str());
    (!named || !known).then(|| format!("refused otherwise: {code} {detail}"))
}

async fn play(caller: &mut Caller, attack: &Attack, extended: bool) -> Said {
    if let Some(before) = &attack.before {
        let said = caller.simple(before).await;
        if said.refusal().is_some() {
            return said;
        }
    }
    match extended {
        true => caller.extended(&attack.sql, &attack.values).await,
        false => caller.simple(&attack.sql).await,
    }
}

/// The cursor from which a text fetches; it was declared before.
fn fetched(sql: &str) -> Option<&str> {
    let cursor = sql.trim_end_matches(';').rsplit(' ').next();
    cursor.filter(|_| sql.starts_with("FETCH ") || sql.starts_with("fetch "))
}

/// Ids of the rules of a policy, and what is never understood.
fn rules(yaml: &str) -> Vec<String> {
    let own = yaml.lines().filter_map(|line| line.trim().strip_prefix("- id: "));
    own.chain(["unparsed", "core"]).map(str::to_owned).collect()
}

/// Attacks that cannot be decided, each with its reason in `docs/attacks.md`.
const UNDECIDED: [&str; 3] = ["always-true-1", "always-true-2", "always-true-3"];
/// Attacks after which the server is looked at.
const SOME: usize = 20;
