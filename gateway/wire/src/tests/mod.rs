//! Conversations: what both sides say, byte for byte, and what the session makes of it.

mod bind;
mod own;
mod rename;
mod watch;

use crate::{
    Ask, Completion, End, Heard, Prelude, Refusal, Refused, Session, Step, WireError, error_response,
};

thread_local! {
    /// What the session said to the server while the server spoke.
    static TOLD: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

type Talk = Session<String, String>;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend(body);
    message
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

fn execute(portal: &str) -> Vec<u8> {
    message(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

fn server_error(sqlstate: &str) -> Vec<u8> {
    error_response(&Refusal { sqlstate, message: "server", detail: "", hint: "", position: None })
}

fn ours() -> Vec<u8> {
    error_response(&Refusal { sqlstate: "42501", message: "ours", detail: "", hint: "", position: None })
}

fn open() -> Talk {
    let mut talk = Talk::new("t0ken".into());
    hear(&mut talk, &message(b'R', &[0, 0, 0, 0]));
    hear(&mut talk, b"Z\0\0\0\x05I");
    talk
}

/// Drives the client's bytes; `judge` allows (true) or refuses. Returns what went to the server and to the client.
fn say(talk: &mut Talk, bytes: &[u8], judge: impl Fn(&str) -> bool) -> (Vec<u8>, Vec<u8>) {
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        let step = talk.client(&bytes[at..]).unwrap();
        let (text, parse) = match &step {
            Step::More(_) | Step::Hold => return (to_server, to_client),
            Step::Forward(n) | Step::Leave(n) => {
                to_server.extend(&bytes[at..at + n]);
                at += n;
                continue;
            }
            Step::Drop(n) => {
                at += n;
                continue;
            }
            Step::Refer(refer) => {
                let name = refer.prepared.clone().map_or("none".into(), |text| format!("s_{text}"));
                let (sent, used) = talk.refer(name.as_bytes(), Prelude::default(), &bytes[at..]).unwrap();
                to_server.extend(sent);
                at += used;
                continue;
            }
            Step::Tell(told) => {
                to_server.extend(told);
                continue;
            }
            Step::Answer(n, answer) => {
                to_client.extend(answer);
                at += n;
                continue;
            }
            Step::Ask(Ask::Query(sql)) => (String::from_utf8_lossy(sql).into_owned(), 'q'),
            Step::Ask(Ask::Parse(sql)) => (String::from_utf8_lossy(sql).into_owned(), 'p'),
            Step::Ask(Ask::Bind { .. }) => panic!("nobody asked for it"),
            Step::Ask(Ask::Execute(known)) => (known.clone().unwrap_or("?".into()), 'e'),
            Step::Ask(Ask::Function(oid)) => (format!("fn {oid}"), 'f'),
            Step::Ask(Ask::TooLong { bytes, parse }) => {
                (format!("long {bytes}"), if *parse { 'p' } else { 'q' })
            }
        };
        if judge(&text) {
            match parse {
                'q' => talk.allow_query(text),
                'p' => talk.allow_parse(text),
                'e' => talk.allow_execute(text),
                _ => talk.allow_function(text),
            }
            continue;
        }
        match talk.refuse(ours()) {
            Refused::Answer(answer) => to_client.extend(answer),
            Refused::Poison(poison) => to_server.extend(poison),
            Refused::Silent => {}
        }
    }
}

/// Drives the server's bytes; returns what goes to the client.
fn hear(talk: &mut Talk, bytes: &[u8]) -> Vec<u8> {
    let mut to_client = Vec::new();
    hear_some(talk, bytes, &mut to_client);
    to_client
}

/// Like `hear`, but says how many of the bytes were dealt with.
fn hear_some(talk: &mut Talk, bytes: &[u8], to_client: &mut Vec<u8>) -> usize {
    let mut at = 0;
    loop {
        match talk.server(&bytes[at..]).unwrap() {
            Heard::More => return at,
            Heard::Forward(n) => {
                to_client.extend(&bytes[at..at + n]);
                at += n;
            }
            Heard::Drop(n) => at += n,
            // More than two rows are too many.
            Heard::Completed(done) if done.rows.is_none_or(|rows| rows <= 2) => talk.let_complete(),
            Heard::Full | Heard::Completed(_) => talk.cut(ours()),
            Heard::Tell(told) => TOLD.with_borrow_mut(|all| all.extend(told)),
            Heard::Replace(n, answer) => {
                to_client.extend(answer);
                at += n;
            }
        }
    }
}

fn ended(talk: &mut Talk) -> Vec<(String, End)> {
    std::iter::from_fn(|| talk.ended()).collect()
}

fn drops(text: &str) -> bool {
    !text.contains("drop")
}

#[test]
fn a_query_and_its_rows() {
    let mut talk = open();
    let sent = query("select 1");
    assert_eq!(say(&mut talk, &sent, drops), (sent.clone(), vec![]));
    let answer =
        [message(b'T', b"\0\0"), message(b'D', b"\0\0"), message(b'C', b"SELECT 1\0"), message(b'Z', b"I")]
            .concat();
    assert_eq!(hear(&mut talk, &answer), answer, "not a byte is changed");
    let bytes = u64::try_from(answer.len()).unwrap() - 6;
    let done = Completion { rows: Some(1), returned: 1, bytes, undone: false };
    assert_eq!(ended(&mut talk), [("select 1".into(), End { completions: vec![done], ..End::default() })]);
    assert!(talk.is_idle());
}

#[test]
fn a_refused_query_never_reaches_an_idle_server() {
    let mut talk = open();
    let (to_server, to_client) = say(&mut talk, &query("drop table t"), drops);
    assert!(to_server.is_empty());
    assert_eq!(to_client, [ours(), message(b'Z', b"I")].concat());
}

#[test]
fn a_refusal_in_a_transaction_aborts_it_on_the_server() {
    let mut talk = open();
    say(&mut talk, &query("begin"), drops);
    hear(&mut talk, &[message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat());
    let (to_server, to_client) = say(&mut talk, &query("drop table t"), drops);
    assert!(to_client.is_empty(), "the server's status is waited for");
    assert!(to_server.starts_with(b"Q") && !to_server.windows(4).any(|w| w == b"drop"));
    let answer = hear(&mut talk, &[server_error("42601"), message(b'Z', b"E")].concat());
    assert_eq!(answer, [ours(), message(b'Z', b"E")].concat());
    assert_eq!(talk.status(), b'E');
}

#[test]
fn a_refused_parse_in_a_pipeline_undoes_the_segment() {
    let mut talk = open();
    let sync = message(b'S', b"");
    let segment = [parse("", "insert"), bind("", ""), execute("")].concat();
    let sent = [&segment, &parse("", "drop"), &bind("", ""), &execute(""), &sync].map(Vec::as_slice).concat();
    let (to_server, to_client) = say(&mut talk, &sent, drops);
    assert!(to_client.is_empty());
    assert!(to_server.starts_with(&segment) && to_server.ends_with(&sync));
    assert!(!to_server.windows(4).any(|w| w == b"drop"));
    let head = [message(b'1', b""), message(b'2', b""), message(b'C', b"INSERT 0 1\0")].concat();
    let answer = [head.clone(), server_error("42601"), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &answer), [head, ours(), message(b'Z', b"I")].concat());
    let ended = ended(&mut talk);
    assert_eq!(ended.len(), 1);
    assert!(ended[0].1.completions[0].undone, "the insert did not last");
}

#[test]
fn an_error_before_a_refused_message_is_the_one_that_is_read() {
    let mut talk = open();
    let sent = [bind("", "nothing"), parse("", "drop"), message(b'S', b"")].concat();
    say(&mut talk, &sent, drops);
    let answer = [server_error("26000"), message(b'Z', b"I")].concat();
    assert_eq!(hear(&mut talk, &answer), answer);
    assert!(talk.is_idle());
}

#[test]
fn a_refused_first_parse_is_answered_alone_up_to_sync() {
    let mut talk = open();
    let sent =
        [parse("", "drop"), bind("", ""), execute(""), message(b'H', b""), message(b'S', b"")].concat();
    let (to_server, to_client) = say(&mut talk, &sent, drops);
    assert!(to_server.is_empty());
    assert_eq!(to_client, [ours(), message(b'Z', b"I")].concat());
    // Without Sync, but after a Flush, the implicit transaction is open: the server must abort it.
    say(&mut talk, &[parse("", "insert"), bind("", ""), execute(""), message(b'H', b"")].concat(), drops);
    hear(&mut talk, &[message(b'1', b""), message(b'2', b""), message(b'C', b"INSERT 0 1\0")].concat());
    let (to_server, _) = say(&mut talk, &parse("", "drop"), drops);
    assert!(to_server.starts_with(b"P"));
}

#[test]
fn names_follow_what_the_server_accepted() {
    let mut talk = open();
    let sync = message(b'S', b"");
    say(&mut talk, &[parse("a", "one"), sync.clone()].concat(), drops);
    hear(&mut talk, &[message(b'1', b""), message(b'Z', b"I")].concat());
    // A second Parse of the name fails: the first stands.
    say(&mut talk, &[parse("a", "two"), sync.clone()].concat(), drops);
    hear(&mut talk, &[server_error("42P05"), message(b'Z', b"I")].concat());
    assert_eq!(talk.statement(b"a").map(String::as_str), Some("one"));
    say(&mut talk, &[bind("p", "a"), execute("p"), sync].concat(), drops);
    hear(&mut talk, &[message(b'2', b""), message(b's', b""), message(b'Z', b"T")].concat());
    assert_eq!(ended(&mut talk)[0].0, "one");
    assert!(matches!(talk.client(&execute("p")), Ok(Step::Ask(Ask::Execute(Some(sql)))) if sql == "one"));
    assert!(matches!(talk.client(&execute("q")), Ok(Step::Ask(Ask::Execute(None)))));
}

#[test]
fn copy_data_swallows_the_first_sync() {
    let mut talk = open();
    let sync = message(b'S', b"");
    let start = [parse("", "copy"), bind("", ""), execute(""), sync.clone()].concat();
    say(&mut talk, &start, drops);
    hear(&mut talk, &[message(b'1', b""), message(b'2', b""), message(b'G', b"\0\0\0")].concat());
    let data = [message(b'd', b"1\n"), message(b'c', b""), sync].concat();
    assert_eq!(say(&mut talk, &data, drops).0, data);
    hear(&mut talk, &[message(b'C', b"COPY 1\0"), message(b'Z', b"I")].concat());
    assert_eq!(ended(&mut talk)[0].1.completions[0].rows, Some(1));
    assert!(talk.is_idle());
    // All at once, before the server answers.
    say(&mut talk, &[start, data].concat(), drops);
    let answer = [
        message(b'1', b""),
        message(b'2', b""),
        message(b'G', b"\0\0\0"),
        message(b'C', b"COPY 1\0"),
        message(b'Z', b"I"),
    ];
    hear(&mut talk, &answer.concat());
    assert!(talk.is_idle());
}

/// The extended copy with the `Sync` that a client sends before it knows that it is one.
fn copy_begun(talk: &mut Talk) {
    say(talk, &[parse("", "copy"), bind("", ""), execute(""), message(b'S', b"")].concat(), drops);
    hear(talk, &[message(b'1', b""), message(b'2', b""), message(b'G', b"\0\0\0")].concat());
}

#[test]
fn a_failed_copy_leaves_open_which_sync_is_answered() {
    let end = [message(b'c', b""), message(b'S', b"")].concat();
    let ready = message(b'Z', b"I");
    // The first `Sync` was read over; or not yet, as when the copy failed before the first row.
    for answers in [1, 2] {
        let mut talk = open();
        copy_begun(&mut talk);
        say(&mut talk, &message(b'd', b"x\n"), drops);
        hear(&mut talk, &server_error("22P02"));
        assert_eq!(say(&mut talk, &query("select 1"), drops).0, b"", "it might be skipped");
        assert_eq!(say(&mut talk, &end, drops).0, end);
        let told = ready.repeat(answers);
        let (first, second) = told.split_at(ready.len());
        assert_eq!(hear(&mut talk, first), first);
        assert_eq!(ended(&mut talk)[0].1.error, Some(*b"22P02"));
        assert!(talk.probe().is_some(), "whether there is another is to be found out");
        assert_eq!(say(&mut talk, &query("select 1"), drops).0, b"");
        let of_probe = [message(b'3', b""), message(b'Z', b"I")].concat();
        assert_eq!(hear(&mut talk, &[second, &of_probe].concat()), second);
        assert!(talk.is_idle());
        say(&mut talk, &query("select 1"), drops);
        hear(&mut talk, &[message(b'C', b"SELECT 1\0"), ready.clone()].concat());
        assert_eq!(ended(&mut talk)[0].0, "select 1");
        assert!(talk.is_idle());
    }
}

#[test]
fn a_failed_copy_answered_at_its_first_sync_is_over() {
    let mut talk = open();
    copy_begun(&mut talk);
    hear(&mut talk, &[server_error("42809"), message(b'Z', b"I")].concat());
    assert_eq!(ended(&mut talk)[0].1.error, Some(*b"42809"));
    assert!(talk.is_idle());
    say(&mut talk, &[message(b'c', b""), message(b'S', b"")].concat(), drops);
    hear(&mut talk, &message(b'Z', b"I"));
    assert!(talk.is_idle());
}

#[test]
fn answers_that_may_be_of_either_end_the_session() {
    let mut talk = open();
    copy_begun(&mut talk);
    say(&mut talk, &[message(b'c', b""), parse("", "select 1"), message(b'S', b"")].concat(), drops);
    assert!(talk.server(&server_error("22P02")).is_err());
}

#[test]
fn what_is_sent_behind_a_copy_is_the_servers_to_refuse() {
    for behind in [query("select 1"), [parse("", "select 1"), message(b'S', b"")].concat()] {
        let mut talk = open();
        say(&mut talk, &[query("copy"), behind].concat(), drops);
        let answer = [message(b'G', b"\0\0\0"), server_error("08P01"), server_error("08P01")].concat();
        assert_eq!(hear(&mut talk, &answer), answer);
        assert!(!talk.abandon().is_empty());
    }
}

#[test]
fn two_copies_of_one_query_each_have_their_end() {
    let mut talk = open();
    let (data, end) = (message(b'd', b"1\n"), message(b'c', b""));
    say(&mut talk, &[query("copy; copy"), data.clone(), end.clone(), data, end].concat(), drops);
    let copy = [message(b'G', b"\0\0\0"), message(b'C', b"COPY 1\0")].concat();
    hear(&mut talk, &[copy.clone(), copy, message(b'Z', b"I")].concat());
    assert_eq!(ended(&mut talk)[0].1.completions.len(), 2);
    assert!(talk.is_idle());
}

#[test]
fn a_stray_end_of_copy_hides_no_refusal() {
    let mut talk = open();
    say(&mut talk, &message(b'c', b""), drops);
    let (poison, _) = say(&mut talk, &query("drop"), drops);
    assert!(!poison.is_empty());
    assert_eq!(
        hear(&mut talk, &[server_error("42601"), message(b'Z', b"I")].concat()),
        [ours(), message(b'Z', b"I")].concat()
    );
    assert!(talk.is_idle());
}

#[test]
fn a_deferred_failure_at_sync_is_the_statements_failure() {
    let mut talk = open();
    say(&mut talk, &[parse("", "insert"), bind("", ""), execute(""), message(b'S', b"")].concat(), drops);
    let answer = [
        message(b'1', b""),
        message(b'2', b""),
        message(b'C', b"INSERT 0 1\0"),
        server_error("23503"),
        message(b'Z', b"I"),
    ];
    hear(&mut talk, &answer.concat());
    let (_, end) = ended(&mut talk).remove(0);
    assert_eq!(end.error, Some(*b"23503"));
    assert!(end.completions[0].undone);
}

#[test]
fn what_comes_during_login_waits() {
    let mut talk = Talk::new("t0ken".into());
    assert!(matches!(talk.client(&query("select 1")), Ok(Step::Hold)));
    hear(&mut talk, &message(b'R', &[0, 0, 0, 10]));
    assert_eq!(talk.auth_code(), 10);
    assert!(matches!(talk.client(&message(b'p', b"x\0")), Ok(Step::Forward(_))));
}

#[test]
fn other_encodings_and_strings_are_noticed() {
    let mut talk = open();
    assert!(talk.reads_as_default("é".as_bytes()));
    hear(&mut talk, &message(b'S', b"client_encoding\0LATIN1\0"));
    assert!(!talk.reads_as_default("é".as_bytes()) && talk.reads_as_default(b"e"));
    hear(&mut talk, &message(b'S', b"standard_conforming_strings\0off\0"));
    assert!(!talk.reads_as_default(b"e"));
}

#[test]
fn sync_and_terminate_have_no_body() {
    // Whoever skipped or waited for a body that never comes would hold its memory, or deal with bytes not there.
    for tag in [b'S', b'X'] {
        let long = [tag, 0x3f, 0, 0, 0];
        assert!(matches!(open().client(&long), Err(WireError::Malformed { .. })));
        let mut refused = open();
        say(&mut refused, &parse("", "drop"), drops);
        assert!(matches!(refused.client(&long), Err(WireError::Malformed { .. })));
    }
}

#[test]
fn a_name_too_long_in_pieces_is_too_long_at_once() {
    let long = "p".repeat(20_000);
    assert!(matches!(open().client(&bind(&long, "")), Err(WireError::Malformed { .. })));
    assert!(matches!(open().client(&bind(&long, "")[..17_000]), Err(WireError::Malformed { .. })));
}

/// The same bytes in any pieces give the same moves.
#[test]
fn split_anywhere() {
    let sent = [
        query("select 1"),
        parse("a", "insert"),
        bind("", "a"),
        execute(""),
        message(b'D', b"Sa\0"),
        message(b'S', b""),
        parse("", "drop"),
        bind("", ""),
        message(b'S', b""),
        message(b'd', &[7; 300]),
        query("x"),
    ]
    .concat();
    let whole = say(&mut open(), &sent, drops);
    for piece in [1, 2, 3, 5, 7, 64] {
        let mut talk = open();
        let (mut to_server, mut to_client, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        for bytes in sent.chunks(piece) {
            buffer.extend(bytes);
            let used = drive(&mut talk, &buffer, &mut to_server, &mut to_client);
            buffer.drain(..used);
        }
        assert_eq!((to_server, to_client), whole, "pieces of {piece}");
    }
}

/// Like `say`, but keeps what is not yet whole; returns the bytes dealt with.
fn drive(talk: &mut Talk, bytes: &[u8], to_server: &mut Vec<u8>, to_client: &mut Vec<u8>) -> usize {
    let mut at = 0;
    loop {
        let (used, server, client) = match talk.client(&bytes[at..]).unwrap() {
            Step::More(_) | Step::Hold => return at,
            Step::Forward(n) | Step::Leave(n) => (n, bytes[at..at + n].to_vec(), vec![]),
            Step::Drop(n) => (n, vec![], vec![]),
            Step::Tell(told) => (0, told, vec![]),
            Step::Refer(refer) => panic!("{refer:?}"),
            Step::Answer(n, answer) => (n, vec![], answer),
            Step::Ask(Ask::Query(sql)) => {
                let sql = String::from_utf8_lossy(sql).into_owned();
                talk.allow_query(sql);
                continue;
            }
            Step::Ask(Ask::Parse(b"drop")) => match talk.refuse(ours()) {
                Refused::Answer(answer) => (0, vec![], answer),
                Refused::Poison(poison) => (0, poison, vec![]),
                Refused::Silent => continue,
            },
            Step::Ask(Ask::Parse(sql)) => {
                let sql = String::from_utf8_lossy(sql).into_owned();
                talk.allow_parse(sql);
                continue;
            }
            Step::Ask(Ask::Execute(known)) => {
                talk.allow_execute(known.unwrap_or_default());
                continue;
            }
            Step::Ask(other) => panic!("{other:?}"),
        };
        to_server.extend(server);
        to_client.extend(client);
        at += used;
    }
}
