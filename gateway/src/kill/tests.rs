//! The switch by itself: turns, scopes, operators and breakers. It opens no socket.

use super::*;
use clyra_seal::key::SigningKey;
use clyra_spec::{ActorKind, KillScope};

fn wish(level: KillLevel, by: &str, at_us: u64) -> Wish {
    Wish {
        id: Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            at_us / 1_000_000,
            fastrand::u32(..1_000_000),
        )),
        scope: Scope::default(),
        class: KillClass::All,
        level,
        reason: "late".into(),
        by: by.into(),
        cause: KillCause::Asked,
        at_us,
        expires_us: None,
        signed: None,
    }
}

fn signed(mut wish: Wish, operator: &Operator) -> Wish {
    wish.by = operator.name.to_string();
    wish.signed =
        Some(Signed { key: operator.key.id().to_owned(), kind: operator.kind, envelope: Vec::new() });
    wish
}

fn operator(name: &str, seed: u8, kind: ActorKind) -> Operator {
    Operator { name: name.into(), key: SigningKey::from_seed(name, &[seed; 32]).unwrap().verifying(), kind }
}

const S: u64 = 1_000_000;

fn fresh() -> (tempfile::TempDir, KillSwitch) {
    let folder = tempfile::tempdir().unwrap();
    let switch = KillSwitch::open(folder.path().join("kill.json")).unwrap();
    (folder, switch)
}

#[test]
fn a_turn_survives_and_damage_is_refused() {
    let (folder, switch) = fresh();
    assert_eq!(switch.level(), KillLevel::Observe);
    assert_eq!(switch.set(&wish(KillLevel::BlockWrites, "ann", S), &[]).unwrap().0.turn, 1);
    let journal = folder.path().join("kill.json");
    let again = KillSwitch::open(journal.clone()).unwrap();
    assert_eq!((again.level(), again.turn()), (KillLevel::BlockWrites, 1));
    std::fs::write(&journal, "{").unwrap();
    assert!(matches!(KillSwitch::open(journal.clone()), Err(Error::Damaged { .. })));
    let first =
        r#"{"level":"block_writes","reason":"r","by":"b","at":"2026-01-01T00:00:00Z","turn":4,"entry":"e"}"#;
    std::fs::write(&journal, first).unwrap();
    let old = KillSwitch::open(journal).unwrap();
    assert_eq!((old.level(), old.turn()), (KillLevel::BlockWrites, 4));
}

#[test]
fn blocking_takes_effect_even_when_the_journal_cannot_be_written() {
    let switch = KillSwitch::open("/nonexistent/kill.json".into()).unwrap();
    assert!(switch.set(&wish(KillLevel::BlockStatements, "ann", S), &[]).is_err());
    assert_eq!(switch.level(), KillLevel::BlockStatements);
    assert!(switch.set(&wish(KillLevel::Observe, "bob", 2 * S), &[]).is_err());
    assert_eq!(switch.level(), KillLevel::BlockStatements, "a release that is not journalled does not hold");
}

#[test]
fn asked_twice_with_one_id_it_is_turned_once() {
    let (_folder, switch) = fresh();
    let asked = wish(KillLevel::BlockWrites, "ann", S);
    assert!(switch.set(&asked, &[]).unwrap().1);
    assert!(!switch.set(&asked, &[]).unwrap().1);
    assert_eq!(switch.turn(), 1);
    let other = Wish { level: KillLevel::Observe, ..asked };
    assert!(matches!(switch.set(&other, &[]), Err(Refused::Malformed(_))));
}

#[test]
fn releasing_takes_another_operator() {
    let (_folder, switch) = fresh();
    let (ann, bob) = (operator("ann", 1, ActorKind::Person), operator("bob", 2, ActorKind::Person));
    let bot = operator("bot", 3, ActorKind::Agent);
    let all = [ann.clone(), bob.clone(), bot.clone()];
    let turn = |wish: &Wish| switch.set(wish, &all).map(|_| ()).map_err(|refused| refused.to_string());
    let at = |level, by: &Operator, at_us| signed(wish(level, "", at_us), by);
    turn(&at(KillLevel::CancelRunning, &ann, S)).unwrap();
    // A mistake may be taken back for 60 s; raising it again does not begin the time anew.
    turn(&at(KillLevel::Observe, &ann, 60 * S)).unwrap();
    turn(&at(KillLevel::BlockWrites, &ann, 100 * S)).unwrap();
    turn(&at(KillLevel::CancelRunning, &ann, 200 * S)).unwrap();
    assert!(turn(&at(KillLevel::Observe, &ann, 210 * S)).unwrap_err().contains("another operator"));
    assert!(turn(&at(KillLevel::BlockWrites, &ann, 210 * S)).unwrap_err().contains("another operator"));
    let sooner = Wish { expires_us: Some(300 * S), ..at(KillLevel::CancelRunning, &ann, 210 * S) };
    assert!(turn(&sooner).unwrap_err().contains("another operator"), "an end is a release, too");
    assert!(turn(&wish(KillLevel::Observe, "bob", 210 * S)).unwrap_err().contains("--key"));
    assert!(turn(&at(KillLevel::Observe, &bot, 210 * S)).unwrap_err().contains("agent"));
    turn(&at(KillLevel::Observe, &bob, 210 * S)).unwrap();
    // Unsigned under one's own name is oneself all the same.
    turn(&wish(KillLevel::BlockWrites, "ann", 300 * S)).unwrap();
    assert!(turn(&at(KillLevel::Observe, &ann, 400 * S)).is_err());
    turn(&at(KillLevel::Disconnect, &bot, 401 * S)).unwrap();
    turn(&at(KillLevel::Observe, &ann, 402 * S)).unwrap();
}

#[test]
fn what_covers_a_session() {
    let (_folder, switch) = fresh();
    let policy = clyra_policy::Policy::parse(
        "name: shop\nversion: 1\ncallers:\n  - {match: {user: ann}, tenant: t1}\nrules:\n  - {id: r, deny_verbs: drop}\n",
        "p",
    )
    .unwrap();
    let login = clyra_policy::Login { user: "ann", database: "db", application: "", tenant: None };
    let caller = policy.caller(&login);
    let view = |switch: &KillSwitch| {
        let of = Of { caller: &caller, database: "db", policy: "shop", route: "h:1" };
        switch.stand().view(&of)
    };
    let set = |scope: &str, class, level| {
        let wish = Wish { scope: Scope::parse(scope).unwrap(), class, ..wish(level, "x", S) };
        switch.set(&wish, &[]).map(|_| ())
    };
    assert!(view(&switch).is_quiet());
    for scope in ["source:other", "tenant:t2", "actor:bob", "policy:other", "route:h:2"] {
        set(scope, KillClass::All, KillLevel::Disconnect).unwrap();
    }
    assert!(view(&switch).is_quiet(), "others' kills are not ours");
    for scope in ["source:db", "tenant:t1", "actor:ann", "policy:shop", "route:h:1", "global"] {
        set(scope, KillClass::All, KillLevel::BlockWrites).unwrap();
        assert_eq!(view(&switch).level(None), KillLevel::BlockWrites, "{scope}");
        set(scope, KillClass::All, KillLevel::Observe).unwrap();
    }
    set("run:r1", KillClass::All, KillLevel::CancelRunning).unwrap();
    let seen = view(&switch);
    assert_eq!((seen.level(None), seen.level(Some("r1"))), (KillLevel::Observe, KillLevel::CancelRunning));
    assert_eq!((seen.stops(None).len(), seen.stops(Some("r1")).len()), (0, 1));
    set("rule:r", KillClass::Ddl, KillLevel::CancelRunning).unwrap();
    assert_eq!(view(&switch).stops(None)[0].rule, Some("r"));
    assert!(matches!(set("rule:r", KillClass::All, KillLevel::Disconnect), Err(Refused::Malformed(_))));
    assert!(matches!(set("global", KillClass::Ddl, KillLevel::Disconnect), Err(Refused::Malformed(_))));
    assert_eq!(Scope::parse("").unwrap().kind, KillScope::Global);
    for bad in ["actor", "global:x", "who:x", "actor:\n"] {
        assert!(Scope::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_breaker_counts_within_its_window() {
    let breakers = Breakers::default();
    let breaker = clyra_policy::Breaker {
        count: 3,
        window_us: 10 * S,
        scope: KillScope::Actor,
        level: KillLevel::BlockStatements,
    };
    let note = |whom: &str, at| breakers.note("r", whom, breaker, at * S);
    assert!(!note("ann", 1) && !note("ann", 2) && !note("bob", 2));
    assert!(!note("ann", 12), "the first two are too old");
    assert!(!note("ann", 13));
    assert!(note("ann", 14));
    assert!(!note("ann", 15), "it begins anew");
}
