//! Single texts: each attack in both protocols, refused by the rule that is there for it, with the server untouched; and
//! everything harmless, which passes. Conversations of several messages stand in `talks`.

use crate::{Attack, Harmless, Said, Stand, corpus};

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
        for attack in attacks {
            if UNDECIDED.contains(&attack.id.as_str()) {
                continue;
            }
            played += 1;
            for extended in [false, true] {
                let said = play(&stand, &attack, extended).await;
                let found = match said.refusal() {
                    None if attack.either => None,
                    None => Some(format!("passes: {:?}", said.errors())),
                    Some((code, detail)) if !["42501", "42601", "0A000"].contains(&code.as_str()) => {
                        Some(format!("{code} {detail}"))
                    }
                    Some((_, detail)) => {
                        let named = rules.iter().any(|rule| detail.starts_with(&format!("Rule: {rule};")));
                        (!named).then(|| format!("by another rule: {detail}"))
                    }
                };
                if let Some(found) = found {
                    faults.push(format!(
                        "{} {class} extended={extended} {}\n      {found}",
                        attack.id, attack.sql
                    ));
                }
                let after = stand.digest().await;
                if after != before {
                    before = after;
                    faults.push(format!("{} {class} changed the server: {}", attack.id, attack.sql));
                }
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

async fn play(stand: &Stand, attack: &Attack, extended: bool) -> Said {
    let mut caller = stand.caller().await;
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

/// Ids of the rules of a policy, and what is never understood.
fn rules(yaml: &str) -> Vec<String> {
    let own = yaml.lines().filter_map(|line| line.trim().strip_prefix("- id: "));
    own.chain(["unparsed", "core"]).map(str::to_owned).collect()
}

/// Attacks that cannot be decided, each with its reason in `docs/attacks.md`.
const UNDECIDED: [&str; 3] = ["B074", "B363", "B425"];
