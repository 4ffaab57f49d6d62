//! What is judged while the database changes: behind a change that passed the gateway nobody is judged by an older
//! catalog.

use super::{connect, fate, house, play};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_change_through_the_gateway_counts_at_once() {
    let (house, _owner) = house().await;
    let (ann, dan) = (connect(&house, "ann").await, connect(&house, "dan").await);
    play(&ann, &[("select * from goods", "ok"), ("select * from secrets", "secret")]).await;
    for round in 0..5 {
        let view = format!("create or replace view v{round} as select id from goods");
        play(&dan, &[(view.as_str(), "ok")]).await;
        let asked = format!("select * from v{round}");
        assert_eq!(fate(&ann, &asked).await, "ok");
        let replaced = format!("create or replace view v{round} as select id from secrets");
        play(&dan, &[(replaced.as_str(), "ok")]).await;
        assert_eq!(fate(&ann, &asked).await, "secret", "round {round}");
    }
    play(
        &dan,
        &[
            ("create function f() returns bigint language sql as 'select count(*) from goods'", "ok"),
            ("create view w as select id from goods", "ok"),
        ],
    )
    .await;
    play(&ann, &[("select f()", "ok"), ("select * from w", "ok")]).await;
    play(
        &dan,
        &[
            ("create or replace function f() returns bigint language sql as 'select count(*) from secrets'", "ok"),
            ("alter table goods rename to wares; alter table secrets rename to goods", "ok"),
        ],
    )
    .await;
    // The rule is about a name: what bears it now is what it means.
    play(&ann, &[("select f()", "secret"), ("select * from goods", "ok"), ("select * from wares", "ok")])
        .await;
    play(&dan, &[("alter table goods rename to secrets", "ok")]).await;
    play(&ann, &[("select * from secrets", "secret"), ("select * from goods", "secret")]).await;
}

#[tokio::test]
async fn a_change_counts_from_its_commit_on() {
    let (house, _owner) = house().await;
    let (ann, dan) = (connect(&house, "ann").await, connect(&house, "dan").await);
    play(&dan, &[("create view v as select id from goods", "ok")]).await;
    play(&ann, &[("select * from v", "ok")]).await;
    play(&dan, &[("begin", "ok"), ("create table late as select * from secrets", "ok")]).await;
    play(&dan, &[("create view w as select id from secrets", "ok")]).await;
    // Others are not kept from what they do by a change that may never be.
    play(&ann, &[("select * from v", "ok"), ("select * from w", "secret")]).await;
    play(&dan, &[("commit", "ok")]).await;
    play(&ann, &[("select * from w", "secret"), ("select * from late", "ok"), ("select * from v", "ok")])
        .await;
    play(&dan, &[("begin; drop view w; create view w as select id from goods", "ok"), ("rollback", "ok")])
        .await;
    play(&ann, &[("select * from w", "secret")]).await;
}

#[tokio::test]
async fn a_session_uses_what_it_has_made_and_not_committed() {
    let (house, _owner) = house().await;
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("begin", "ok"),
            ("create table steps (id int)", "ok"),
            ("insert into steps values (1)", "ok"),
            ("create table more as select * from steps", "ok"),
            ("select * from more", "ok"),
            ("commit", "ok"),
            ("select * from steps, more", "ok"),
            ("create table plan (id int); insert into plan values (1); select * from plan", "ok"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_change_past_the_gateway_counts_soon() {
    let house = clyra_tests::House::start_with(super::POLICY, &["--catalog-refresh", "1"]).await.unwrap();
    let owner = house.directly().await.unwrap();
    owner.batch_execute(super::SCHEMA).await.unwrap();
    owner.batch_execute("create view v as select id from goods").await.unwrap();
    let ann = connect(&house, "ann").await;
    // A name that the catalog lacks has the database looked at before it is judged.
    assert_eq!(fate(&ann, "select * from v").await, "ok");
    owner.batch_execute("create or replace view v as select id from secrets").await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while fate(&ann, "select * from v").await != "secret" {
        assert!(Instant::now() < deadline, "the view is never looked at again");
    }
}
