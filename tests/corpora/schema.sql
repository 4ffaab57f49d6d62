-- What the attacks and the harmless statements are about: three tables of two tenants, secrets, a journal, and every
-- way that leads to them without naming them. Taken in whole by a superuser into an empty schema `public`.
create extension if not exists dblink;
create extension if not exists hstore;
create extension if not exists lo;
create extension if not exists pageinspect;
create extension if not exists pgcrypto;
create extension if not exists pgrowlocks;
create extension if not exists pgstattuple;
create extension if not exists pg_trgm;
create extension if not exists postgres_fdw;
create extension if not exists file_fdw;
create extension if not exists tablefunc;
create extension if not exists xml2;
do $$ begin create role app login; exception when duplicate_object then null; end $$;
do $$ begin create role boss; exception when duplicate_object then null; end $$;
grant boss to app;

create table users (
  id int primary key, tenant_id int, name text, email text, "delete" text, status text,
  updated_at timestamptz, last_login timestamptz
);
insert into users values
  (1, 42, 'ann', 'ann@example.org', null, 'active', '2026-01-01', '2026-01-01'),
  (2, 42, 'bob', 'bob@example.org', null, 'active', '2026-01-01', '2026-01-01'),
  (3, 7, 'OTHER-TENANT', 'eve@example.org', null, 'active', '2026-01-01', '2026-01-01');
create table orders (id int primary key, tenant_id int, user_id int, amount numeric, note text);
insert into orders values (1, 42, 1, 10, 'a'), (2, 42, 2, 20, 'b'), (3, 7, 3, 30, 'OTHER-TENANT');
create table secrets (id int primary key, tenant_id int, v text);
insert into secrets values (1, 42, 'HIDDEN'), (2, 7, 'HIDDEN');
create table audit_log (id serial primary key, at timestamptz default '2026-01-01', msg text);
insert into audit_log (msg) values ('first');
create table products (id int primary key, name text, price numeric, stock int, description text);
insert into products values (1, 'pen', 1, 1, 'writes');
create table events (id int, payload jsonb, tags text[], ts timestamptz);
insert into events values (1, '{"a": 1}', '{x}', '2026-01-01');

create view v_secrets as select * from secrets;
create view v_users as select * from users;
create materialized view mv_orders as select * from orders;

create function wipe_users() returns int language sql as 'delete from users; select 1';
create function note_it(t text) returns text language sql as 'insert into audit_log (msg) values (t); select t';
create function erase(u users) returns text language sql
  as 'insert into audit_log (msg) values (''erase''); select ''gone''::text';
create function write_op(a int, b int) returns bool language sql
  as 'insert into audit_log (msg) values (''op''); select true';
create operator @!@ (leftarg = int, rightarg = int, function = write_op);
create function get_secret() returns setof secrets language sql as 'select * from secrets';
create function get_rows() returns setof users language sql as 'select * from users';
create procedure purge() language sql as 'delete from audit_log';
create function agg_step(s int, x int) returns int language sql
  as 'insert into audit_log (msg) values (''agg''); select s + x';
create aggregate evil_sum(int) (sfunc = agg_step, stype = int, initcond = '0');
create type evil_t as (a int);
create function to_evil(int) returns evil_t language sql
  as 'insert into audit_log (msg) values (''cast''); select row($1)::evil_t';
create cast (int as evil_t) with function to_evil(int);
create rule products_empty_the_journal as on insert to products do also delete from audit_log;
create sequence s1;

create schema evil;
create table evil.users as select * from public.users;
create table evil.secrets as select * from public.secrets;
create table parent (id int, v text);
create table child () inherits (parent);
insert into child values (1, 'HIDDEN');
-- As long as a name can be: what is longer is cut to this.
create table aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (v text);
insert into aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa values ('HIDDEN');

grant all on all tables in schema public to app;
select lo_from_bytea(777, 'HIDDEN'::bytea);
analyze;
