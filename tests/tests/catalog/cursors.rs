//! Cursors are judged by what they were declared for; one that nobody has declared here may read anything.

use super::{connect, house, play};

#[tokio::test]
async fn a_fetch_is_judged_by_its_cursor() {
    let (house, owner) = house().await;
    owner
        .batch_execute(
            "create function opens(c refcursor) returns refcursor language plpgsql as \
             'begin open c for execute ''select * from secrets''; return c; end'",
        )
        .await
        .unwrap();
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("begin", "ok"),
            ("declare c cursor for select * from goods", "ok"),
            ("fetch 1 from c", "ok"),
            ("move backward 1 in c", "ok"),
            ("fetch all from c", "ok"),
            ("fetch prior from c", "ok"),
            ("update goods set name = 'pan' where current of c", "ok"),
            ("close c", "ok"),
            ("fetch 1 from c", "secret"),
            ("rollback", "ok"),
            ("declare h cursor with hold for select * from goods", "ok"),
            ("fetch 1 from h", "ok"),
            ("begin; declare m cursor for select * from goods; fetch 1 from m; commit", "ok"),
            ("fetch 1 from h", "ok"),
            ("fetch 1 from m", "secret"),
            ("fetch 1 from nobody", "secret"),
            ("begin; declare d cursor for select * from secrets; fetch 1 from d", "secret"),
            ("select opens('r')", "secret"),
            ("fetch 1 from \"<unnamed portal 1>\"", "secret"),
            ("close all", "ok"),
            ("fetch 1 from h", "secret"),
        ],
    )
    .await;
    let dan = connect(&house, "dan").await;
    play(&dan, &[("begin", "ok"), ("select opens('r')", "ok"), ("fetch all from r", "ok"), ("commit", "ok")])
        .await;
}

#[tokio::test]
async fn a_portal_of_the_protocol_is_a_cursor_too() {
    let (house, _owner) = house().await;
    let mut ann = connect(&house, "ann").await;
    let transaction = ann.transaction().await.unwrap();
    let portal = transaction.bind("select * from goods", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 1).await.unwrap().len(), 1);
    transaction.batch_execute("declare c cursor for select id from goods").await.unwrap();
    let rows = transaction.query("fetch 1 from c", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    transaction.batch_execute("savepoint s; fetch backward 1 from c; rollback to s").await.unwrap();
    transaction.batch_execute("fetch 1 from c").await.unwrap();
}
