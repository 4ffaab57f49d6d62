//! Conversations in which the gateway itself says something: to the server, or in a message's place.

use super::{Talk, bind, ended, execute, hear, message, open, ours, parse, query, say, server_error};
use crate::{Answered, OwnAnswer, OwnQuestion, Refused, Step, command_complete};

/// What a server answers to a question of the gateway's own that gives one row, up to its last message.
fn row(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    [
        closed(2),
        message(b'1', b""),
        message(b'2', b""),
        message(b'D', &[&[0, 1], &length[..], value.as_bytes()].concat()),
        message(b'C', b"SELECT 1\0"),
        closed(2),
    ]
    .concat()
}

fn closed(times: usize) -> Vec<u8> {
    message(b'3', b"").repeat(times)
}

fn is_own(sent: &[u8], end: u8) -> bool {
    sent.starts_with(b"C") && sent.ends_with(&message(end, b"")) && !sent.contains(&b'Q')
}

/// The client's next message is put before the gate.
fn ask(talk: &mut Talk, sent: &[u8]) {
    assert!(matches!(talk.client(sent), Ok(Step::Ask(_))));
}

#[test]
fn the_gateway_asks_and_the_client_hears_nothing() {
    let mut talk = open();
    let sent = query("update t");
    ask(&mut talk, &sent);
    let asked = talk.own("show x".into()).unwrap();
    assert!(is_own(&asked, b'S'));
    assert_eq!(talk.own("show y".into()), None, "one question at a time");
    assert_eq!(talk.client(&sent), Ok(Step::Hold));
    let notice = message(b'N', b"SNOTICE\0\0");
    let changed = message(b'S', b"client_encoding\0LATIN1\0");
    let heard = hear(&mut talk, &[notice.clone(), row("a"), changed.clone(), message(b'Z', b"I")].concat());
    assert_eq!(heard, [notice, changed].concat(), "the rest is the gateway's own");
    assert!(!talk.reads_as_default("é".as_bytes()));
    let answer = talk.owned().unwrap();
    assert_eq!(
        (answer.value(), answer.tag.as_str(), answer.completed()),
        (Some(&b"a"[..]), "SELECT 1", true)
    );
    assert_eq!(talk.owned(), None);
    assert_eq!(say(&mut talk, &sent, |_| true), (sent, vec![]));
    let answer = [message(b'C', b"UPDATE 3\0"), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &answer), answer);
    assert_eq!(ended(&mut talk)[0].1.completions[0].rows, Some(3));
}

#[test]
fn within_a_segment_the_gateway_flushes_and_leaves_it_open() {
    let mut talk = open();
    say(&mut talk, &[parse("", "insert"), bind("", "")].concat(), |_| true);
    ask(&mut talk, &execute(""));
    let asked = talk.own(OwnQuestion { sql: b"x", types: &[], parameters: &[] }).unwrap();
    assert!(is_own(&asked, b'H'), "no `Sync`, which would commit");
    let heard = hear(&mut talk, &[message(b'1', b""), message(b'2', b""), row("a")].concat());
    assert_eq!(heard, [message(b'1', b""), message(b'2', b"")].concat());
    assert!(talk.owned().unwrap().completed());
    let rest = [execute(""), message(b'S', b"")].concat();
    assert_eq!(say(&mut talk, &rest, |_| true).0, rest);
    hear(&mut talk, &[message(b'C', b"INSERT 0 1\0"), message(b'Z', b"I")].concat());
    assert!(talk.is_idle());
}

#[test]
fn a_question_that_fails_outside_of_a_segment_hurts_nobody() {
    let mut talk = open();
    ask(&mut talk, &query("update"));
    talk.own("nonsense".into()).unwrap();
    let heard = hear(&mut talk, &[closed(2), server_error("42601"), message(b'Z', b"I")].concat());
    assert!(heard.is_empty());
    let answer = talk.owned().unwrap();
    assert_eq!(answer.error.map(|error| (error.sqlstate, error.message)), Some((*b"42601", "server".into())));
    assert_eq!(say(&mut talk, &query("update"), |_| true).0, query("update"));
}

#[test]
fn a_question_that_fails_within_a_segment_is_told_once() {
    for refused in [true, false] {
        let mut talk = open();
        say(&mut talk, &[parse("", "insert"), bind("", "")].concat(), |_| true);
        ask(&mut talk, &execute(""));
        talk.own("nonsense".into()).unwrap();
        let parts = [message(b'1', b""), message(b'2', b""), closed(2), server_error("42601")];
        assert_eq!(hear(&mut talk, &parts.concat()), parts[..2].concat());
        assert!(!talk.owned().unwrap().completed());
        assert_eq!(talk.own("again".into()), None, "the server skips");
        let rest = [execute(""), parse("", "more"), message(b'S', b"")].concat();
        let mut told = Vec::new();
        if refused {
            assert_eq!(talk.refuse(ours()), Refused::Answer(ours()));
            told = ours();
        } else {
            talk.allow_execute("insert".into());
        }
        let (to_server, to_client) = say(&mut talk, &rest, |_| true);
        told.extend(to_client);
        assert_eq!(told, if refused { ours() } else { server_error("42601") });
        assert!(to_server.ends_with(&message(b'S', b"")) && !to_server.contains(&b'P'));
        assert_eq!(hear(&mut talk, &message(b'Z', b"I")), message(b'Z', b"I"));
        assert!(talk.is_idle());
        assert!(ended(&mut talk).iter().all(|(_, end)| end.skipped));
    }
}

#[test]
fn a_question_behind_a_failed_message_never_runs() {
    let mut talk = open();
    say(&mut talk, &[parse("", "insert"), bind("", "")].concat(), |_| true);
    ask(&mut talk, &execute(""));
    talk.own("show x".into()).unwrap();
    assert_eq!(hear(&mut talk, &server_error("42P01")), server_error("42P01"), "the client's own error");
    assert_eq!(talk.owned(), Some(OwnAnswer { skipped: true, ..OwnAnswer::default() }));
    let rest = [execute(""), message(b'S', b"")].concat();
    assert!(say(&mut talk, &rest, |_| false).1.is_empty(), "an error has been read already");
    hear(&mut talk, &message(b'Z', b"I"));
    assert!(talk.is_idle());
}

#[test]
fn a_server_that_takes_its_leave_is_heard_by_both() {
    let mut talk = open();
    ask(&mut talk, &query("update"));
    talk.own("show x".into()).unwrap();
    let fatal = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0");
    assert_eq!(hear(&mut talk, &fatal), fatal);
    assert!(!talk.owned().unwrap().completed());
}

#[test]
fn long_answers_are_cut() {
    let mut talk = open();
    ask(&mut talk, &query("update"));
    talk.own("many".into()).unwrap();
    let long = "x".repeat(200_000);
    let rows = [row(&long), message(b'D', &[0, 1, 0, 0, 0, 1, b'y']).repeat(2_000)].concat();
    assert!(hear(&mut talk, &rows).is_empty());
    assert!(hear(&mut talk, &message(b'Z', b"I")).is_empty());
    let answer = talk.owned().unwrap();
    assert!(answer.truncated && answer.rows.len() <= 1_000);
}

/// An answer of ours after whole and after pipelined messages.
#[test]
fn the_gateway_answers_a_query_in_its_turn() {
    let mut talk = open();
    ask(&mut talk, &query("set clyra.run_id = 'r'"));
    let set = command_complete("SET");
    assert_eq!(talk.answer(set.clone()), Answered::Now([&set[..], &message(b'Z', b"I")].concat()));
    assert!(matches!(talk.client(&query("set clyra.run_id = 'r'")), Ok(Step::Drop(_))));
    say(&mut talk, &query("begin"), |_| true);
    ask(&mut talk, &query("set clyra.x"));
    assert_eq!(talk.answer(set.clone()), Answered::Later, "the first answer is still due");
    assert!(!talk.is_idle());
    let begun = [message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat();
    let heard = hear(&mut talk, &begun);
    assert_eq!(heard, [&begun[..], &set, &message(b'Z', b"T")].concat(), "with the status it has by then");
}

#[test]
fn the_gateway_answers_a_portal_in_its_turn() {
    let mut talk = open();
    let mut sent = [parse("", "insert"), bind("", "")].concat();
    say(&mut talk, &sent, |_| true);
    ask(&mut talk, &execute(""));
    assert_eq!(talk.answer(command_complete("INSERT 0 7")), Answered::Later);
    sent = [execute(""), message(b'S', b"")].concat();
    assert_eq!(say(&mut talk, &sent, |_| true).0, message(b'S', b""), "the server does not run it");
    let heard = hear(&mut talk, &[message(b'1', b""), message(b'2', b""), message(b'Z', b"I")].concat());
    let parts = [message(b'1', b""), message(b'2', b""), command_complete("INSERT 0 7"), message(b'Z', b"I")];
    assert_eq!(heard, parts.concat());
    assert!(talk.is_idle());
    // Behind an error of the segment it is never said.
    say(&mut talk, &[parse("", "insert"), bind("", "")].concat(), |_| true);
    ask(&mut talk, &execute(""));
    talk.answer(command_complete("INSERT 0 7"));
    say(&mut talk, &sent, |_| true);
    let failed = [server_error("42P01"), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &failed), failed);
}

#[test]
fn a_query_answered_within_a_segment_ends_it_on_the_server() {
    let mut talk = open();
    say(&mut talk, &[parse("", "insert"), bind("", ""), execute("")].concat(), |_| true);
    ask(&mut talk, &query("set clyra.x"));
    let empty = query("");
    assert_eq!(talk.answer(command_complete("SET")), Answered::Tell(empty));
    let insert = [message(b'1', b""), message(b'2', b""), message(b'C', b"INSERT 0 1\0")].concat();
    let heard = hear(&mut talk, &[&insert[..], &message(b'I', b""), &message(b'Z', b"I")].concat());
    assert_eq!(heard, [&insert[..], &command_complete("SET"), &message(b'Z', b"I")].concat());
    assert!(!ended(&mut talk)[0].1.completions[0].undone);
}

#[test]
fn another_text_goes_in_a_message_s_place() {
    let mut talk = open();
    let sent = query("select *");
    ask(&mut talk, &sent);
    assert_eq!(talk.allow_query_as("t".into(), b"select a"), query("select a"));
    assert_eq!(talk.client(&sent), Ok(Step::Drop(sent.len())));
    hear(&mut talk, &[message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat());
    assert_eq!(ended(&mut talk)[0].0, "t");
    let typed = message(b'P', b"a\0select $1\0\0\x01\0\0\0\x17");
    ask(&mut talk, &typed);
    let instead = talk.allow_parse_as("p".into(), b"select b", &typed);
    assert_eq!(instead, message(b'P', b"a\0select b\0\0\x01\0\0\0\x17"));
    assert_eq!(talk.client(&typed), Ok(Step::Drop(typed.len())));
}

#[test]
fn the_client_is_held_until_all_is_answered() {
    let mut talk = open();
    say(&mut talk, &[parse("", "insert"), bind("", ""), execute("")].concat(), |_| true);
    ask(&mut talk, &query("next"));
    assert_eq!(talk.hold_until_settled(), Some(message(b'H', b"")));
    assert_eq!(talk.client(&query("next")), Ok(Step::Hold));
    hear(&mut talk, &[message(b'1', b""), message(b'2', b""), message(b'C', b"INSERT 0 1\0")].concat());
    ask(&mut talk, &query("next"));
}

/// A notice that is half passed on is not broken by an answer of ours.
#[test]
fn an_answer_of_ours_waits_for_the_rest_of_a_message() {
    let mut talk = open();
    let notice = message(b'N', &[b'x'; 100]);
    assert_eq!(hear(&mut talk, &notice[..50]), notice[..50]);
    assert_eq!(say(&mut talk, &query("drop"), |_| false), (vec![], vec![]));
    let heard = hear(&mut talk, &notice[50..]);
    assert_eq!(heard, [&notice[50..], &ours(), &message(b'Z', b"I")].concat());
    assert_eq!(hear(&mut talk, &notice[..50]), notice[..50]);
    let refused = [parse("", "drop"), message(b'S', b"")].concat();
    assert_eq!(say(&mut talk, &refused, |_| false), (vec![], vec![]));
    let heard = hear(&mut talk, &notice[50..]);
    assert_eq!(heard, [&notice[50..], &ours(), &message(b'Z', b"I")].concat());
    assert!(talk.is_idle());
}

/// The server's bytes in any pieces give the client the same.
#[test]
fn answers_split_anywhere() {
    let bytes = [
        message(b'1', b""),
        message(b'2', b""),
        row("a"),
        message(b'C', b"INSERT 0 1\0"),
        message(b'N', &[b'x'; 40]),
        message(b'Z', b"I"),
    ]
    .concat();
    let heard = |piece: usize| {
        let mut talk = open();
        say(&mut talk, &[parse("", "insert"), bind("", "")].concat(), |_| true);
        ask(&mut talk, &execute(""));
        talk.own("x".into()).unwrap();
        let (mut heard, mut buffer, mut told) = (Vec::new(), Vec::new(), false);
        for bytes in bytes.chunks(piece) {
            buffer.extend(bytes);
            let used = super::hear_some(&mut talk, &buffer, &mut heard);
            buffer.drain(..used);
            if !told && talk.owned().is_some() {
                told = true;
                say(&mut talk, &execute(""), |_| true);
                ask(&mut talk, &execute(""));
                talk.answer(command_complete("INSERT 0 2"));
                say(&mut talk, &[execute(""), message(b'S', b"")].concat(), |_| true);
            }
        }
        assert!(told && talk.is_idle() && buffer.is_empty());
        heard
    };
    let expected = [
        message(b'1', b""),
        message(b'2', b""),
        message(b'C', b"INSERT 0 1\0"),
        command_complete("INSERT 0 2"),
        message(b'N', &[b'x'; 40]),
        message(b'Z', b"I"),
    ]
    .concat();
    for piece in [1, 2, 3, 5, 7, 11] {
        assert_eq!(heard(piece), expected, "pieces of {piece}");
    }
}
