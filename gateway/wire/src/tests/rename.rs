//! Conversations in which statements go by other names at the server.

use super::{Talk, bind, execute, hear, message, open, parse, say, server_error};
use crate::{Ask, Prelude, Step};

fn renaming() -> Talk {
    let mut talk = open();
    talk.rename();
    talk
}

/// A statement `a` prepared as `s_one`.
fn prepared(talk: &mut Talk) {
    let sent = parse("a", "one");
    assert!(matches!(talk.client(&sent), Ok(Step::Ask(Ask::Parse(b"one")))));
    let closes = [Box::from(&b"s_one"[..])];
    let prelude = Prelude { closes: &closes, parse: None };
    let (told, used) = talk.allow_parse_named("one".into(), b"s_one", None, prelude, &sent).unwrap();
    assert_eq!(told, [message(b'C', b"Ss_one\0"), b"P\0\0\0\x10s_one\0".to_vec()].concat());
    assert_eq!(sent[used..], b"one\0\0\0"[..]);
    assert!(matches!(talk.client(&sent[used..]), Ok(Step::Forward(6))));
    say(talk, &message(b'S', b""), |_| true);
    let answer = [message(b'3', b""), message(b'1', b""), message(b'Z', b"I")].concat();
    assert_eq!(hear(talk, &answer), [message(b'1', b""), message(b'Z', b"I")].concat());
    assert!(talk.is_quiet());
}

#[test]
fn messages_name_what_the_server_knows() {
    let mut talk = renaming();
    prepared(&mut talk);
    let sent = [bind("p", "a"), message(b'D', b"Sa\0"), execute("p"), message(b'S', b"")].concat();
    let (told, _) = say(&mut talk, &sent, |text| text == "one");
    let expected = [bind("p", "s_one"), message(b'D', b"Ss_one\0"), execute("p"), message(b'S', b"")];
    assert_eq!(told, expected.concat());
    let answer = [
        message(b'2', b""),
        message(b't', b"\0\0"),
        message(b'n', b""),
        message(b'C', b"SELECT 0\0"),
        message(b'Z', b"I"),
    ]
    .concat();
    assert_eq!(hear(&mut talk, &answer), answer);
    let (told, _) = say(&mut talk, &[message(b'C', b"Sa\0"), message(b'S', b"")].concat(), |_| true);
    assert!(told.starts_with(&message(b'C', b"Ss_one\0")));
    hear(&mut talk, &[message(b'3', b""), message(b'Z', b"I")].concat());
    assert_eq!(talk.statement(b"a"), None);
    assert!(say(&mut talk, &bind("", "a"), |_| true).0.windows(5).any(|w| w == b"none\0"));
}

#[test]
fn what_is_prepared_anew_is_not_heard_of() {
    let mut talk = renaming();
    prepared(&mut talk);
    let sent = bind("", "a");
    assert!(matches!(talk.client(&sent), Ok(Step::Refer(_))));
    let closes = [Box::from(&b"old"[..]), Box::from(&b"s_one"[..])];
    let prelude = Prelude { closes: &closes, parse: Some((b"s_one", b"one\0\0\0")) };
    let (told, used) = talk.refer(b"s_one", prelude, &sent).unwrap();
    assert_eq!(told.iter().filter(|byte| **byte == b'P').count(), 1);
    assert!(matches!(talk.client(&sent[used..]), Ok(Step::Forward(_))));
    say(&mut talk, &message(b'S', b""), |_| true);
    let notice = message(b'N', b"SNOTICE\0\0");
    let answers = [message(b'3', b""), notice.clone(), message(b'3', b""), message(b'1', b"")].concat();
    assert_eq!(hear(&mut talk, &answers), notice);
    let rest = [message(b'2', b""), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &rest), rest);
    assert!(talk.is_quiet() && talk.failures() == 0 && talk.segments() == 2);
    // Where that fails, the client reads why.
    let (_, used) = talk.refer(b"s_one", prelude, &sent).unwrap();
    assert!(used > 0);
    let _ = talk.client(&sent[used..]);
    say(&mut talk, &message(b'S', b""), |_| true);
    let failed = [server_error("42P01"), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &[message(b'3', b"").repeat(2), failed.clone()].concat()), failed);
    assert_eq!(talk.failures(), 1);
}
