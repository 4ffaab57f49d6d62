//! The schema that editors use, held against the parser: what one takes, the other takes; each knows the other's keys; and
//! what the schema lets pass that the parser refuses is listed by name.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use clyra_policy::{Policy, Verbs, tools};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;

/// Files with a fault that no schema can say: it stands between two places, or in the meaning of a text.
const BEYOND: [&str; 16] = [
    "approval_unknown_approver",
    "approval_without_approvers",
    "approver_key_damaged",
    "approver_twice",
    "caller_claim_without_token",
    "caller_place_unknown",
    "caller_places_touch",
    "columns_empty_part",
    "idempotency_ttl_short",
    "key_twice",
    "lock_core",
    "not_yaml",
    "rule_id_twice",
    "tables_three_parts",
    "velocity_window_long",
    "window_freeze_back",
];

/// Where unknown keys can stand: a policy with `?` in such a place, and where the schema lists the keys of that place.
const PLACES: [(&str, &str); 23] = [
    ("?: 1\nname: a\nversion: 1\n", ""),
    ("name: a\nversion: 1\napprovers:\n  - {?: 1}\n", "/$defs/approver"),
    ("name: a\nversion: 1\noperators:\n  - {?: 1}\n", "/$defs/operator"),
    ("name: a\nversion: 1\nrules:\n  - {id: r, on_denials: {?: 1}}\n", "/$defs/rule/properties/on_denials"),
    ("name: a\nversion: 1\ncallers:\n  - {?: 1}\n", "/$defs/caller"),
    ("name: a\nversion: 1\ncallers:\n  - {match: {?: 1}}\n", "/$defs/caller/properties/match"),
    (
        "name: a\nversion: 1\ncallers:\n  - {match: {jwt: {?: 1}}}\n",
        "/$defs/caller/properties/match/properties/jwt",
    ),
    ("name: a\nversion: 1\nrules:\n  - {id: r, ?: 1}\n", "/$defs/rule"),
    ("name: a\nversion: 1\nrules:\n  - {id: r, when: {?: 1}}\n", "/$defs/rule/properties/when"),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, require_where: {?: 1}}\n",
        "/$defs/rule/properties/require_where/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, deny_functions: {?: 1}}\n",
        "/$defs/rule/properties/deny_functions/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, allow_functions: {?: 1}}\n",
        "/$defs/rule/properties/allow_functions/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, read_only: {?: 1}}\n",
        "/$defs/rule/properties/read_only/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, session_lock: {?: 1}}\n",
        "/$defs/rule/properties/session_lock/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, require_limit: {?: 1}}\n",
        "/$defs/rule/properties/require_limit/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, change_window: {?: 1}}\n",
        "/$defs/rule/properties/change_window",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, change_window: {freeze: {?: 1}}}\n",
        "/$defs/rule/properties/change_window/properties/freeze/oneOf/0",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, require_intent: {?: 1}}\n",
        "/$defs/rule/properties/require_intent/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, require_approval: {?: 1}}\n",
        "/$defs/rule/properties/require_approval/oneOf/1",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, tenant_fence: {?: 1}}\n",
        "/$defs/rule/properties/tenant_fence/oneOf",
    ),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, max_cost: {?: 1}}\n",
        "/$defs/rule/properties/max_cost/oneOf/1",
    ),
    ("name: a\nversion: 1\nrules:\n  - {id: r, velocity: {?: 1}}\n", "/$defs/rule/properties/velocity"),
    (
        "name: a\nversion: 1\nrules:\n  - {id: r, idempotency: {?: 1}}\n",
        "/$defs/rule/properties/idempotency/oneOf/1",
    ),
];

#[test]
fn what_the_parser_takes_the_schema_takes() {
    let schema = schema();
    let mut seen = 0;
    for path in files("packs").into_iter().filter(|path| !path.ends_with(".cases.yaml")) {
        let yaml = fs::read_to_string(&path).unwrap();
        assert!(Policy::parse(&yaml, &path).is_ok(), "{path}");
        assert_eq!(fault(&schema, &schema, &tree(&yaml).unwrap()), None, "{path}");
        seen += 1;
    }
    assert!(seen >= 7);
    let yaml = include_str!("all_keys.yaml");
    if let Err(error) = Policy::parse(yaml, "all_keys.yaml") {
        panic!("{error}");
    }
    assert_eq!(fault(&schema, &schema, &tree(yaml).unwrap()), None);
}

#[test]
fn what_has_a_wrong_shape_the_schema_refuses() {
    let schema = schema();
    let mut passed = BTreeSet::new();
    for path in files("tests/bad") {
        let yaml = fs::read_to_string(&path).unwrap();
        let refused = tree(&yaml).is_some_and(|tree| fault(&schema, &schema, &tree).is_some());
        if !refused {
            let name = path.rsplit('/').next().unwrap().trim_end_matches(".yaml").to_owned();
            passed.insert(name);
        }
    }
    let beyond: BTreeSet<String> = BEYOND.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(passed, beyond);
}

#[test]
fn both_know_the_same_keys() {
    let schema = schema();
    for (yaml, at) in PLACES {
        let error = Policy::parse(&yaml.replace('?', "zzz"), "a.yaml").unwrap_err();
        let told = error
            .message()
            .strip_prefix("unknown key `zzz`; allowed: ")
            .unwrap_or_else(|| panic!("{at}: {error}"));
        let parser: BTreeSet<&str> = told.split("; ").next().unwrap().split(", ").collect();
        let here = schema.pointer(at).unwrap_or_else(|| panic!("the schema has no `{at}`"));
        let either = here.as_array().map_or_else(|| std::slice::from_ref(here), Vec::as_slice);
        let keys = either.iter().flat_map(|one| one["properties"].as_object().unwrap().keys());
        assert_eq!(parser, keys.map(String::as_str).collect(), "{at}");
    }
}

#[test]
fn both_know_the_same_verbs_and_describe_every_key() {
    let schema = schema();
    let listed = schema["$defs"]["verb"]["enum"].as_array().unwrap();
    let words: Vec<&str> = listed.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words, Verbs::words().collect::<Vec<_>>());
    let mut bare = Vec::new();
    undescribed(&schema, "", &mut bare);
    assert!(bare.is_empty(), "{bare:?}");
    for yaml in [Policy::STARTER, include_str!("all_keys.yaml")] {
        let mut known = tree(yaml).unwrap();
        known["rules"][0]["deny_verb"] = Value::from("drop");
        assert!(fault(&schema, &schema, &known).is_some());
    }
}

fn schema() -> Value {
    serde_json::from_str(tools::SCHEMA).unwrap()
}

fn files(folder: &str) -> Vec<String> {
    let folder = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let found = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut all: Vec<String> = found.filter(|path| path.ends_with(".yaml")).collect();
    all.sort();
    all
}

fn tree(yaml: &str) -> Option<Value> {
    serde_saphyr::from_str(yaml).ok()
}

fn undescribed(schema: &Value, at: &str, bare: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (key, value) in properties {
            if value.get("description").is_none() {
                bare.push(format!("{at}/{key}"));
            }
        }
    }
    let inner: Vec<(String, &Value)> = match schema {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    inner.iter().for_each(|(key, value)| undescribed(value, &format!("{at}/{key}"), bare));
}

/// The first fault of a value, by the words of JSON Schema that our schema uses; another word is a fault of the schema.
fn fault(root: &Value, schema: &Value, value: &Value) -> Option<String> {
    let words: &Map<String, Value> = schema.as_object().unwrap();
    words.iter().find_map(|(word, said)| {
        word_fault(root, schema, (word, said), value).map(|why| format!("{word}: {why}"))
    })
}

fn word_fault(root: &Value, schema: &Value, (word, said): (&str, &Value), value: &Value) -> Option<String> {
    let or = |holds: bool| (!holds).then(|| format!("{value} against {said}"));
    let holds = |one: &Value| fault(root, one, value).is_none();
    let all = || said.as_array().unwrap();
    let number = || usize::try_from(said.as_u64().unwrap()).unwrap();
    match word {
        "$schema" | "$id" | "$defs" | "title" | "description" | "examples" | "format" => None,
        "$ref" => fault(root, root.pointer(said.as_str().unwrap().trim_start_matches('#')).unwrap(), value),
        "type" => or(match said.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64() || value.is_i64(),
            other => panic!("type {other}"),
        }),
        "const" => or(value == said),
        "enum" => or(all().contains(value)),
        "oneOf" => or(all().iter().filter(|one| holds(one)).count() == 1),
        "anyOf" => or(all().iter().any(holds)),
        "not" => or(!holds(said)),
        "pattern" => or(value.as_str().is_none_or(|text| pattern(said.as_str().unwrap(), text))),
        "minLength" => or(value.as_str().is_none_or(|text| text.chars().count() >= number())),
        "maxLength" => or(value.as_str().is_none_or(|text| text.chars().count() <= number())),
        "minimum" => or(value.as_i64().is_none_or(|one| one >= said.as_i64().unwrap())),
        "maximum" => or(value.as_i64().is_none_or(|one| one <= said.as_i64().unwrap())),
        "minItems" => or(value.as_array().is_none_or(|list| list.len() >= number())),
        "maxItems" => or(value.as_array().is_none_or(|list| list.len() <= number())),
        "minProperties" => or(value.as_object().is_none_or(|map| map.len() >= number())),
        "items" => value.as_array()?.iter().find_map(|one| fault(root, said, one)),
        "required" => or(value
            .as_object()
            .is_none_or(|map| all().iter().all(|key| map.contains_key(key.as_str().unwrap())))),
        "properties" => {
            let known = said.as_object().unwrap();
            value.as_object()?.iter().find_map(|(key, one)| fault(root, known.get(key)?, one))
        }
        "additionalProperties" => {
            let known = schema.get("properties").and_then(Value::as_object);
            let other = value
                .as_object()?
                .iter()
                .filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
            match said {
                Value::Bool(false) => other.map(|(key, _)| key.clone()).next(),
                said => other.map(|(_, one)| one).find_map(|one| fault(root, said, one)),
            }
        }
        other => panic!("the schema uses `{other}`, which this test does not know"),
    }
}

/// One pattern looks ahead, which this library does not.
fn pattern(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix("^(?!clyra\\.)") {
        Some(rest) => !text.starts_with("clyra.") && Regex::new(&format!("^{rest}")).unwrap().is_match(text),
        None => Regex::new(pattern).unwrap().is_match(text),
    }
}
