//! Where the names of a session lead: its search path, however it is set, and its temporary tables.

use super::{connect, connect_with, fate, house, play};

/// In another schema, a view of the same name as a harmless table shows what is denied.
const TRAP: &str = "
create schema evil; create view evil.goods as select id, word as name from public.secrets;
create table evil.plain (id int);
grant usage on schema evil to public; grant all on all tables in schema evil to public;
create function moves() returns int language plpgsql as
    'begin perform set_config(''search_path'', ''evil, public'', false); return 1; end';
create function inside() returns bigint language sql set search_path = evil as 'select count(*) from goods';";

#[tokio::test]
async fn a_path_is_followed_however_it_is_set() {
    let (house, owner) = house().await;
    owner.batch_execute(TRAP).await.unwrap();
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("select * from goods", "ok"),
            ("set search_path = evil, public", "ok"),
            ("select * from goods", "secret"),
            ("select * from public.goods", "ok"),
            ("select * from plain", "ok"),
            ("reset search_path", "ok"),
            ("select * from goods", "ok"),
            ("set session search_path to 'evil'", "ok"),
            ("select * from goods", "secret"),
            ("discard all", "ok"),
            ("select * from goods", "ok"),
            ("select set_config('search_path', 'evil', false)", "ok"),
            ("select * from goods", "secret"),
            ("select set_config('search_path', 'pub' || 'lic', false)", "ok"),
            ("select * from goods", "ok"),
            ("set search_path = evil; select * from goods", "secret"),
            ("select moves()", "ok"),
            ("select * from goods", "secret"),
            ("reset all", "ok"),
            ("select * from goods", "ok"),
            ("select inside()", "secret"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_path_is_followed_through_the_ends_of_transactions() {
    let (house, owner) = house().await;
    owner.batch_execute(TRAP).await.unwrap();
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("set search_path = evil", "ok"),
            ("begin", "ok"),
            ("set local search_path = public", "ok"),
            ("select * from goods", "ok"),
            ("rollback", "ok"),
            ("select * from goods", "secret"),
            ("begin", "ok"),
            ("savepoint s", "ok"),
            ("set search_path = public", "ok"),
            ("select * from goods", "ok"),
            ("rollback to s", "ok"),
            ("select * from goods", "secret"),
            ("rollback", "ok"),
            ("begin; set search_path = public; commit", "ok"),
            ("select * from goods", "ok"),
            ("begin; set local search_path = evil; commit", "ok"),
            ("select * from goods", "ok"),
            ("set local search_path = evil; select 1", "ok"),
            ("select * from goods", "ok"),
        ],
    )
    .await;
    // What an implicit transaction undoes is undone here, too.
    ann.batch_execute("set search_path = evil").await.unwrap();
    assert_eq!(fate(&ann, "set search_path = public; select 1 / 0").await, "22012");
    assert_eq!(fate(&ann, "select * from goods").await, "secret");
    let statement = ann.prepare("select name from public.goods").await.unwrap();
    ann.batch_execute("set search_path = public").await.unwrap();
    let bare = ann.prepare("select name from goods").await.unwrap();
    assert_eq!(ann.query(&bare, &[]).await.unwrap().len(), 1);
    // The server resolves a prepared statement anew when the path has changed.
    ann.batch_execute("set search_path = evil").await.unwrap();
    assert!(ann.query(&bare, &[]).await.is_err());
    assert_eq!(ann.query(&statement, &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_session_may_begin_with_another_path() {
    let (house, owner) = house().await;
    owner.batch_execute(TRAP).await.unwrap();
    let by_option = connect_with(&house, "ann", "options='-c search_path=evil,public'").await;
    play(&by_option, &[("select * from goods", "secret"), ("set search_path = public", "ok")]).await;
    play(&by_option, &[("select * from goods", "ok"), ("reset search_path", "ok")]).await;
    play(&by_option, &[("select * from goods", "secret")]).await;
    for (set, unset) in [
        ("alter role ann set search_path = evil", "alter role ann reset search_path"),
        ("alter database shop set search_path = evil", "alter database shop reset search_path"),
        ("alter schema evil rename to ann", "alter schema ann rename to evil"),
    ] {
        owner.batch_execute(set).await.unwrap();
        let ann = connect(&house, "ann").await;
        // A schema that was renamed past the gateway is one that the catalog has to be asked for.
        play(&ann, &[("select * from ann.nothing", "secret"), ("select * from goods", "secret")]).await;
        owner.batch_execute(unset).await.unwrap();
    }
    let ann = connect(&house, "ann").await;
    play(&ann, &[("select * from ann.nothing", "secret"), ("select * from goods", "ok")]).await;
}

#[tokio::test]
async fn whoever_makes_a_table_of_the_same_name_gains_nothing() {
    let (house, _owner) = house().await;
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("create schema trick", "ok"),
            ("create table trick.goods (id int)", "ok"),
            ("create view trick.shown as select * from public.secrets", "secret"),
            ("set search_path = trick, public", "ok"),
            ("select * from goods", "ok"),
            ("select * from secrets", "secret"),
            ("create table trick.secrets (id int)", "ok"),
            // Which of the two the server takes depends on rights that nobody knows here.
            ("select * from secrets", "secret"),
            ("select * from trick.secrets", "ok"),
            ("drop schema trick cascade", "ok"),
            ("select * from secrets", "secret"),
            ("select * from goods", "ok"),
        ],
    )
    .await;
}

#[tokio::test]
async fn temporary_tables_are_the_sessions_own() {
    let (house, _owner) = house().await;
    let (ann, cid) = (connect(&house, "ann").await, connect(&house, "cid").await);
    play(
        &ann,
        &[
            ("create temp table notes (id int)", "ok"),
            ("select * from notes", "ok"),
            ("select * from pg_temp.notes", "ok"),
            ("insert into notes values (1)", "ok"),
            ("create temp table secrets as select 1 as id", "ok"),
            ("select * from secrets", "secret"),
            ("select * from pg_temp.secrets", "ok"),
            ("drop table secrets; select * from secrets", "secret"),
            ("drop table pg_temp.secrets", "ok"),
            ("select * from secrets", "secret"),
            ("create temp view seen as select * from public.secrets", "secret"),
            ("begin; create temp table brief (id int) on commit drop", "ok"),
            ("select * from brief", "ok"),
            ("commit", "ok"),
            ("select * from brief", "secret"),
            ("discard temp", "ok"),
            ("select * from notes", "secret"),
        ],
    )
    .await;
    play(
        &cid,
        &[
            ("create temp table pg_temp.scratch (id int)", "ok"),
            ("select * from scratch", "ok"),
            ("create temp table goods (id int)", "ok"),
            ("create temp table copied as select * from secrets", "few"),
        ],
    )
    .await;
}
