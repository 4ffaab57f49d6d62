//! Conversations about a statement whose rows are counted before the client hears of them.

use super::{TOLD, Talk, bind, ended, execute, hear, message, open, ours, parse, query, say, server_error};
use crate::{Far, Heard, Step, command_complete};

/// Any answer; only what was written is asked about.
const WRITES: Far = Far { rows: u64::MAX, bytes: u64::MAX };
const RETURNS: Far = Far { rows: 2, bytes: u64::MAX };

fn told() -> Vec<u8> {
    TOLD.take()
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

fn row() -> Vec<u8> {
    message(b'D', b"\0\0")
}

/// A watched simple query on its way, in a transaction of the gateway's own where `wrapped`.
fn watched(talk: &mut Talk, far: Far, wrapped: bool) {
    let sent = query("update");
    assert!(matches!(talk.client(&sent), Ok(Step::Ask(_))));
    if wrapped {
        talk.own("begin".into()).unwrap();
        let three = message(b'3', b"");
        let begun = [message(b'1', b""), message(b'2', b""), command_complete("BEGIN")].concat();
        hear(talk, &[three.repeat(2), begun, three.repeat(2), ready(b'T')].concat());
        assert!(talk.owned().unwrap().completed());
        assert_eq!(talk.status(), b'T');
    }
    talk.allow_query("update".into());
    talk.watch(far, wrapped);
    assert_eq!(say(talk, &[sent.clone(), query("next")].concat(), |_| true).0, sent, "the next one waits");
}

fn begun() -> Talk {
    let mut talk = open();
    say(&mut talk, &query("begin"), |_| true);
    hear(&mut talk, &[command_complete("BEGIN"), ready(b'T')].concat());
    ended(&mut talk);
    told();
    talk
}

#[test]
fn within_its_budget_a_wrapped_query_is_committed_before_it_is_told() {
    let mut talk = open();
    watched(&mut talk, WRITES, true);
    assert!(hear(&mut talk, &[command_complete("UPDATE 2"), ready(b'T')].concat()).is_empty());
    assert_eq!(told(), query("COMMIT"));
    assert!(ended(&mut talk).is_empty());
    let heard = hear(&mut talk, &[command_complete("COMMIT"), ready(b'I')].concat());
    assert_eq!(heard, [command_complete("UPDATE 2"), ready(b'I')].concat());
    assert!(!ended(&mut talk)[0].1.completions[0].undone && talk.is_idle());
    assert!(matches!(talk.client(&query("next")), Ok(Step::Ask(_))));
}

#[test]
fn over_its_budget_a_wrapped_query_is_rolled_back() {
    let mut talk = open();
    watched(&mut talk, WRITES, true);
    assert!(hear(&mut talk, &[command_complete("UPDATE 3"), ready(b'T')].concat()).is_empty());
    assert_eq!(told(), query("ROLLBACK"));
    let heard = hear(&mut talk, &[command_complete("ROLLBACK"), ready(b'I')].concat());
    assert_eq!(heard, [ours(), ready(b'I')].concat());
    let (_, end) = ended(&mut talk).remove(0);
    assert!(end.completions[0].undone && end.error == Some(*b"42501"));
}

#[test]
fn what_cannot_be_committed_is_read_as_an_error() {
    let mut talk = open();
    watched(&mut talk, WRITES, true);
    hear(&mut talk, &[command_complete("INSERT 0 1"), ready(b'T')].concat());
    let failed = [server_error("23503"), ready(b'I')].concat();
    assert_eq!(hear(&mut talk, &failed), failed, "and nothing of `INSERT 0 1`");
    let (_, end) = ended(&mut talk).remove(0);
    assert!(end.completions[0].undone && end.error == Some(*b"23503"));
    told();
}

#[test]
fn a_wrapped_query_that_fails_is_rolled_back() {
    let mut talk = open();
    watched(&mut talk, WRITES, true);
    let error = server_error("42P01");
    assert_eq!(hear(&mut talk, &[error.clone(), ready(b'E')].concat()), error);
    assert_eq!(told(), query("ROLLBACK"));
    assert_eq!(hear(&mut talk, &[command_complete("ROLLBACK"), ready(b'I')].concat()), ready(b'I'));
    assert_eq!(ended(&mut talk)[0].1.error, Some(*b"42P01"));
}

#[test]
fn over_its_budget_a_query_aborts_the_clients_transaction() {
    let mut talk = begun();
    watched(&mut talk, WRITES, false);
    assert!(hear(&mut talk, &[command_complete("DELETE 9"), ready(b'T')].concat()).is_empty());
    assert!(told().starts_with(b"Q"));
    let heard = hear(&mut talk, &[server_error("42601"), ready(b'E')].concat());
    assert_eq!(heard, [ours(), ready(b'E')].concat());
    assert!(ended(&mut talk)[0].1.completions[0].undone);
    assert_eq!(talk.status(), b'E');
}

#[test]
fn over_its_budget_a_portal_aborts_its_segment() {
    for far in [WRITES, RETURNS] {
        let mut talk = open();
        say(&mut talk, &[parse("", "update"), bind("", "")].concat(), |_| true);
        hear(&mut talk, &[message(b'1', b""), message(b'2', b"")].concat());
        assert!(matches!(talk.client(&execute("")), Ok(Step::Ask(_))));
        talk.allow_execute("update".into());
        talk.watch(far, false);
        let sync = message(b'S', b"");
        let sent = [execute(""), sync.clone()].concat();
        let flushed = [execute(""), message(b'H', b"")].concat();
        assert_eq!(say(&mut talk, &sent, |_| true).0, flushed, "the `Sync` waits");
        let heard = hear(&mut talk, &[row().repeat(3), command_complete("UPDATE 3")].concat());
        assert_eq!(heard, row().repeat(if far == RETURNS { 2 } else { 3 }));
        assert!(told().starts_with(b"P"));
        assert_eq!(hear(&mut talk, &server_error("42601")), ours());
        assert_eq!(say(&mut talk, &[parse("", "more"), sync.clone()].concat(), |_| true).0, sync);
        assert_eq!(hear(&mut talk, &ready(b'I')), ready(b'I'));
        let (_, end) = ended(&mut talk).remove(0);
        assert!(end.completions[0].undone && end.error == Some(*b"42501"));
        assert!(talk.is_idle());
    }
}

#[test]
fn rows_beyond_the_budget_are_kept_from_the_client() {
    let mut talk = open();
    watched(&mut talk, RETURNS, false);
    let rows = [message(b'T', b"\0\0"), row().repeat(5), command_complete("SELECT 5"), ready(b'I')];
    let heard = hear(&mut talk, &rows.concat());
    assert_eq!(heard, [&rows[0][..], &row().repeat(2), &ours(), &ready(b'I')].concat());
    assert!(talk.is_idle() && ended(&mut talk)[0].1.error == Some(*b"42501"));
}

#[test]
fn a_table_made_of_rows_and_a_copy_count_as_written() {
    for (copy, tag) in [(false, "SELECT 3"), (true, "COPY 3")] {
        let mut talk = open();
        watched(&mut talk, WRITES, true);
        if copy {
            hear(&mut talk, &message(b'G', b"\0\0\0"));
            let data = [message(b'd', b"1\n"), message(b'c', b"")].concat();
            assert_eq!(say(&mut talk, &data, |_| true).0, data, "copy data goes through");
        }
        hear(&mut talk, &[command_complete(tag), ready(b'T')].concat());
        assert_eq!(told(), query("ROLLBACK"), "{tag}");
    }
}

#[test]
fn watched_answers_split_anywhere() {
    let bytes = [row(), row(), command_complete("UPDATE 2"), ready(b'T')].concat();
    let after = [command_complete("COMMIT"), ready(b'I')].concat();
    for piece in [1, 2, 3, 5, 7] {
        let mut talk = open();
        watched(&mut talk, WRITES, true);
        let (mut heard, mut buffer) = (Vec::new(), Vec::new());
        for bytes in bytes.chunks(piece).chain(after.chunks(piece)) {
            buffer.extend(bytes);
            let used = super::hear_some(&mut talk, &buffer, &mut heard);
            buffer.drain(..used);
        }
        assert_eq!(heard, [row(), row(), command_complete("UPDATE 2"), ready(b'I')].concat());
        assert_eq!(told(), query("COMMIT"));
    }
}

#[test]
fn a_server_that_aborts_by_itself_is_heard_as_ours() {
    let mut talk = open();
    say(&mut talk, &[parse("", "select"), bind("", "")].concat(), |_| true);
    hear(&mut talk, &[message(b'1', b""), message(b'2', b"")].concat());
    assert!(matches!(talk.client(&execute("")), Ok(Step::Ask(_))));
    talk.allow_execute("select".into());
    talk.watch(RETURNS, false);
    let sync = message(b'S', b"");
    say(&mut talk, &[execute(""), sync.clone()].concat(), |_| true);
    let heard = hear(&mut talk, &[row().repeat(4), server_error("57014")].concat());
    assert_eq!(heard, [row().repeat(2), ours()].concat());
    assert_eq!(say(&mut talk, &sync, |_| true).0, sync);
    hear(&mut talk, &ready(b'I'));
    assert!(told().is_empty() && talk.is_idle());
}

#[test]
fn an_answer_may_be_widened_by_rows_and_bytes() {
    let mut talk = open();
    watched(&mut talk, Far { rows: 1, bytes: u64::MAX }, false);
    let length = row().len();
    assert_eq!(talk.server(&row().repeat(2)), Ok(Heard::Forward(length)));
    assert_eq!(talk.server(&row()), Ok(Heard::Full));
    let (_, place, far) = talk.watched_ticket().unwrap();
    assert_eq!((place, far.rows), (0, 1));
    talk.widen(Far { rows: 9, bytes: far.bytes + 1 });
    assert_eq!(talk.server(&row()), Ok(Heard::Full), "now by its bytes");
    talk.widen(WRITES);
    assert_eq!(talk.server(&row()), Ok(Heard::Forward(length)));
}

#[test]
fn after_copy_data_the_server_is_asked_for_its_answer_again() {
    let mut talk = open();
    say(&mut talk, &[parse("", "copy"), bind("", "")].concat(), |_| true);
    hear(&mut talk, &[message(b'1', b""), message(b'2', b"")].concat());
    assert!(matches!(talk.client(&execute("")), Ok(Step::Ask(_))));
    talk.allow_execute("copy".into());
    talk.watch(WRITES, false);
    say(&mut talk, &execute(""), |_| true);
    hear(&mut talk, &message(b'G', b"\0\0\0"));
    let data = [message(b'd', b"1\n"), message(b'c', b"")].concat();
    let sync = message(b'S', b"");
    let sent = say(&mut talk, &[data.clone(), sync.clone()].concat(), |_| true).0;
    assert_eq!(sent, [data, message(b'H', b"")].concat(), "what would commit waits");
    hear(&mut talk, &command_complete("COPY 1"));
    assert_eq!(say(&mut talk, &sync, |_| true).0, sync);
}
