//! The values of a Bind, as the server cuts them, and when they are asked about.

use crate::bind::{BoundValue, values};
use crate::{Ask, Refused, Session, Step};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn open() -> Session<&'static str, u8> {
    let mut session = Session::new("t".into());
    session.server(b"Z\0\0\0\x05I").unwrap();
    session.ask_binds(true);
    session
}

/// `select $1` as statement `s`, of these types.
fn parse(session: &mut Session<&'static str, u8>, known: &'static str, types: &[u8]) {
    let text = message(b'P', &[b"s\0select $1\0", types].concat());
    assert_eq!(session.client(&text).unwrap(), Step::Ask(Ask::Parse(b"select $1")));
    session.allow_parse(known);
    assert_eq!(session.client(&text).unwrap(), Step::Forward(text.len()));
}

#[test]
fn values_are_cut_as_the_server_cuts_them() {
    let text = |bytes| BoundValue { binary: false, bytes };
    let binary = |bytes| BoundValue { binary: true, bytes };
    let read = |rest: &[u8]| values(&[b"p\0s\0", rest].concat()).map(|all| format!("{all:?}"));
    let told = |all: &[BoundValue<'_>]| Some(format!("{all:?}"));
    assert_eq!(read(b"\0\0\0\x01\0\0\0\x0242\0\0"), told(&[text(Some(b"42"))]));
    assert_eq!(read(b"\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\0"), told(&[binary(None), binary(Some(b""))]));
    let each = b"\0\x02\0\0\0\x01\0\x02\0\0\0\x01a\0\0\0\x01b";
    assert_eq!(read(each), told(&[text(Some(b"a")), binary(Some(b"b"))]));
    let broken: [&[u8]; 6] = [
        b"",
        b"\0\x01\0\x02\0\x01\0\0\0\x01a",
        b"\0\x02\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x01\0\0\0\x05abcd",
        b"\0\0\0\x01\xff\xff\xff\xfe",
        b"\0\0\0\x01",
    ];
    for rest in broken {
        assert_eq!(values(&[b"p\0s\0", rest].concat()), None, "{}", rest.escape_ascii());
    }
}

#[test]
fn a_bind_is_asked_about_whole_and_its_portal_runs_what_was_allowed() {
    let mut session = open();
    parse(&mut session, "text", b"\0\x01\0\0\0\x17");
    assert_eq!(session.described(), Some(("text", Box::from([23]))));
    let bind = message(b'B', b"p\0s\0\0\0\0\x01\0\0\0\x0142\0\0");
    let half = session.client(&bind[..12]).unwrap();
    assert_eq!(half, Step::Ask(Ask::Bind { prepared: "text", body: None, bytes: bind.len() }));
    session.defer_bind();
    let whole = Ask::Bind { prepared: "text", body: Some(&bind[5..]), bytes: bind.len() };
    assert_eq!(session.client(&bind).unwrap(), Step::Ask(whole));
    session.allow_bind("bound");
    assert_eq!(session.client(&bind).unwrap(), Step::Forward(bind.len()));
    let execute = message(b'E', b"p\0\0\0\0\0");
    assert_eq!(session.client(&execute).unwrap(), Step::Ask(Ask::Execute(Some("bound"))));
}

#[test]
fn a_refused_bind_aborts_on_the_server_too() {
    let mut session = open();
    parse(&mut session, "first", b"\0\0");
    parse(&mut session, "second", b"\0\0");
    let bind = message(b'B', b"\0s\0\0\0\0\0\0\0");
    let asked = session.client(&bind).unwrap();
    assert!(matches!(asked, Step::Ask(Ask::Bind { prepared: "second", .. })), "{asked:?}");
    assert!(matches!(session.refuse(b"E".to_vec()), Refused::Poison(_)));
    assert_eq!(session.client(&bind).unwrap(), Step::Drop(bind.len()));
    let execute = message(b'E', b"\0\0\0\0\0");
    assert_eq!(session.client(&execute).unwrap(), Step::Drop(execute.len()), "up to Sync");
}

#[test]
fn types_are_learned_from_a_description() {
    let mut session = open();
    parse(&mut session, "known", b"\0\0");
    assert_eq!(session.described(), None);
    let describe = message(b'D', b"Ss\0");
    assert_eq!(session.client(&describe).unwrap(), Step::Forward(describe.len()));
    session.server(&message(b'1', b"")).unwrap();
    session.server(&message(b't', b"\0\x02\0\0\0\x17\0\0\0\x19")).unwrap();
    assert_eq!(session.described(), Some(("known", Box::from([23, 25]))));
}

#[test]
fn nobody_is_asked_where_nobody_wants_to_know() {
    let mut session = open();
    session.ask_binds(false);
    parse(&mut session, "known", b"\0\x01\0\0\0\x17");
    let bind = message(b'B', b"\0s\0\0\0\0\0\0\0");
    assert_eq!(session.client(&bind).unwrap(), Step::Forward(bind.len()));
    assert_eq!(session.described(), None);
}
