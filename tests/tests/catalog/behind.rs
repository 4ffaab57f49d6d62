//! What stands behind a name: views, functions, triggers, parents.

use super::{connect, house, play};

const MORE: &str = "
create view peek as select word from secrets;
create view peek_again as select * from peek;
create view shown as select name from goods;
create function told() returns text language sql as 'select max(word) from secrets';
create function told_by_text(t text) returns int language plpgsql as 'begin execute t; return 1; end';
create function count_goods() returns bigint language sql as 'select count(*) from goods';
create function sell() returns int language plpgsql as 'begin delete from goods where id = 99; return 1; end';
create table parent (id int, word text); alter table secrets inherit parent;
create function copies() returns trigger language plpgsql as 'begin insert into secrets values (2); return new; end';
create table inbox (id int); create trigger copies after insert on inbox for each row execute function copies();
create operator @@! (function = told_by_text, rightarg = text);
grant all on all tables in schema public to public;";

#[tokio::test]
async fn a_denied_table_is_seen_through_everything() {
    let (house, owner) = house().await;
    owner.batch_execute(MORE).await.unwrap();
    let ann = connect(&house, "ann").await;
    play(
        &ann,
        &[
            ("select * from secrets", "secret"),
            ("select * from peek", "secret"),
            ("select * from peek_again", "secret"),
            ("select told()", "secret"),
            ("select told_by_text('select 1')", "secret"),
            ("select @@! 'select 1'", "secret"),
            ("select * from parent", "secret"),
            ("insert into inbox values (1)", "secret"),
            ("update peek set word = ''", "secret"),
            ("copy (select * from peek) to stdout", "secret"),
            ("explain analyze select * from peek", "secret"),
            ("prepare p as select * from peek", "secret"),
            ("declare c cursor for select * from peek", "secret"),
            ("create view mine as select * from peek", "secret"),
            ("select * from no_such_table", "secret"),
            ("select * from shown", "ok"),
            ("select count_goods(), count(*) from goods", "ok"),
            ("select relname from pg_class limit 1", "ok"),
            ("select table_name from information_schema.tables limit 1", "ok"),
        ],
    )
    .await;
    assert!(ann.query("select word from peek where word = $1", &[&"x"]).await.is_err());
    assert_eq!(ann.query("select name from shown where name = $1", &[&"pot"]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_reader_calls_what_reads_and_nothing_that_writes() {
    let (house, owner) = house().await;
    owner.batch_execute(MORE).await.unwrap();
    let bob = connect(&house, "bob").await;
    play(
        &bob,
        &[
            ("select count_goods()", "ok"),
            ("select * from shown", "ok"),
            ("select told()", "ok"),
            ("select sell()", "reads"),
            ("select told_by_text('delete from goods')", "reads"),
            ("select @@! 'delete from goods'", "reads"),
            ("select no_such_function()", "reads"),
        ],
    )
    .await;
    let cid = connect(&house, "cid").await;
    play(
        &cid,
        &[
            ("select * from goods", "ok"),
            ("select * from public.goods", "ok"),
            ("insert into goods values (2, 'pan')", "ok"),
            ("select * from secrets", "few"),
            ("select * from shown", "few"),
            ("create temp table scratch (id int); insert into scratch values (1)", "few"),
        ],
    )
    .await;
}
