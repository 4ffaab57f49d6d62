//! Prepared statements have one namespace for SQL and protocol, as at the server.

use super::{connect, fate, house, play};
use clyra_tests::raw;

#[tokio::test]
async fn what_sql_prepares_is_known_by_name() {
    let (house, owner) = house().await;
    owner.batch_execute("create view peek as select id from goods").await.unwrap();
    let (ann, dan) = (connect(&house, "ann").await, connect(&house, "dan").await);
    play(
        &ann,
        &[
            ("prepare p as select * from peek", "ok"),
            ("execute p", "ok"),
            ("explain execute p", "ok"),
            ("prepare bad as select * from secrets", "secret"),
            ("execute bad", "0A000"),
            ("prepare p as select 1", "42P05"),
            ("execute p", "ok"),
            ("begin; prepare q as select * from goods; rollback", "ok"),
            // The server does not undo it.
            ("execute q", "ok"),
            ("deallocate q", "ok"),
            ("execute q", "0A000"),
        ],
    )
    .await;
    // What stands behind the name may change; the statement is judged by what it is then.
    play(&dan, &[("create or replace view peek as select id from secrets", "ok")]).await;
    play(&ann, &[("execute p", "secret")]).await;
    play(&dan, &[("create or replace view peek as select id from goods", "ok")]).await;
    play(
        &ann,
        &[
            ("execute p", "ok"),
            ("deallocate all", "ok"),
            ("execute p", "0A000"),
            ("prepare p as select 2", "ok"),
            ("execute p", "ok"),
            ("discard all", "ok"),
            ("execute p", "0A000"),
        ],
    )
    .await;
}

#[tokio::test]
async fn sql_and_protocol_share_their_names() {
    let (house, _owner) = house().await;
    let ann = connect(&house, "ann").await;
    let statement = ann.prepare("select name from goods").await.unwrap();
    assert_eq!(ann.query(&statement, &[]).await.unwrap().len(), 1);
    // tokio-postgres numbers its statements from s0 on.
    let names = ann.query("select name from pg_prepared_statements", &[]).await.unwrap();
    let name = names.iter().map(|row| row.get::<_, String>(0)).find(|name| name.starts_with('s')).unwrap();
    let by_name = format!("execute {name}");
    assert_eq!(fate(&ann, &by_name).await, "ok");
    play(&ann, &[("deallocate all", "ok")]).await;
    assert_eq!(fate(&ann, &by_name).await, "0A000");
    assert!(ann.query(&statement, &[]).await.is_err(), "the server has forgotten it");
}

#[tokio::test]
async fn a_bind_finds_what_sql_has_prepared() {
    let (house, _owner) = house().await;
    let mut client = raw::Raw::connect(house.addr("listen").unwrap()).await.unwrap();
    client.say(&raw::query("prepare p as select name from goods")).await.unwrap();
    client.answer(b"Z").await.unwrap();
    let run = |name: &str| {
        let bind = raw::message(b'B', format!("\0{name}\0\0\0\0\0\0\0").as_bytes());
        [bind, raw::message(b'E', b"\0\0\0\0\0"), raw::message(b'S', b"")].concat()
    };
    client.say(&run("p")).await.unwrap();
    let heard = client.answer(b"Z").await.unwrap();
    assert!(heard.windows(3).any(|part| part == b"pot"), "{}", heard.escape_ascii());
    client.say(&raw::query("deallocate p")).await.unwrap();
    client.answer(b"Z").await.unwrap();
    client.say(&run("p")).await.unwrap();
    let heard = client.answer(b"Z").await.unwrap();
    assert_eq!(heard.first(), Some(&b'E'), "{}", heard.escape_ascii());
}
