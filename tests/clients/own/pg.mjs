// What node-postgres does on the wire: values or none, names, cursors, streams, copies in both directions, pools.
// It runs against any server at CLYRA_PORT and writes an outcome for every test into CLYRA_OUTCOMES.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
// The packages stand where the program is started, not beside this file.
const require = createRequire(process.cwd() + "/");
const pg = require("pg"), Cursor = require("pg-cursor"), QueryStream = require("pg-query-stream"), copies = require("pg-copy-streams");

const place = { host: "127.0.0.1", port: Number(process.env.CLYRA_PORT), user: "postgres", database: "postgres" };
const outcomes = {};
const only = process.argv.slice(2);

async function test(name, body) {
  if (only.length && !only.includes(name)) return;
  const client = new pg.Client(place);
  client.on("error", () => {});
  const late = new Promise((_, no) => setTimeout(() => no(new Error("took longer than 60 s")), 60_000).unref());
  try {
    await client.connect();
    await client.query("create temp table t (id int primary key, name text)");
    await Promise.race([body(client), late]);
    outcomes[name] = "passed";
  } catch (error) {
    outcomes[name] = `failed: ${error.code ?? ""} ${error.message}`;
  } finally {
    await client.end().catch(() => {});
  }
}
const code = (wanted) => (error) => error.code === wanted;
const one = async (client, ...words) => Object.values((await client.query(...words)).rows[0])[0];

await test("a query without values", async (c) => assert.equal(await one(c, "select 1"), 1));
await test("several statements in one", async (c) => {
  const results = await c.query("select 1 as a; select 2 as b; insert into t values (1, 'x')");
  assert.deepEqual(results.map((result) => result.command), ["SELECT", "SELECT", "INSERT"]);
});
await test("several statements, one wrong", async (c) => {
  await assert.rejects(c.query("insert into t values (1); select 1/0; select 2"), code("22012"));
  assert.equal(await one(c, "select count(*)::int from t"), 0);
});
await test("several statements with values", (c) => assert.rejects(c.query("select $1::int; select 2", [1]), code("42601")));
await test("values of many types", async (c) => {
  const values = [1, "text", null, true, new Date(0), Buffer.from([0, 255]), [1, 2], { a: 1 }];
  const { rows } = await c.query("select $1::int a, $2::text b, $3::text c, $4::bool d, $5::timestamptz e, $6::bytea f, $7::int[] g, $8::json h", values);
  assert.deepEqual(Object.values(rows[0]), values);
});
await test("a name used again", async (c) => {
  for (let n = 0; n < 20; n++) assert.equal(await one(c, { name: "again", text: "select $1::int", values: [n] }), n);
});
await test("a name with another text", async (c) => {
  await c.query({ name: "n", text: "select 1" });
  await assert.rejects(c.query({ name: "n", text: "select 2" }), /unique|different/i);
});
await test("a name forgotten by deallocate", async (c) => {
  await c.query({ name: "gone", text: "select 1" });
  await c.query("deallocate all");
  await assert.rejects(c.query({ name: "gone", text: "select 1" }), code("26000"));
  assert.equal(await one(c, "select 3"), 3);
});
await test("errors with all their fields", async (c) => {
  await c.query("insert into t values (1)");
  const error = await c.query("insert into t values ($1)", [1]).catch((error) => error);
  assert.deepEqual([error.code, error.constraint, error.table, error.severity], ["23505", "t_pkey", "t", "ERROR"]);
  assert.equal((await c.query("selct 1").catch((error) => error)).position, "1");
});
await test("a queue of two hundred", async (c) => {
  const found = await Promise.all(Array.from({ length: 200 }, (_, n) => one(c, "select $1::int", [n])));
  assert.deepEqual(found, Array.from({ length: 200 }, (_, n) => n));
});
await test("errors within a queue", async (c) => {
  const found = await Promise.allSettled([one(c, "select 1"), one(c, "selct"), one(c, "select 1/$1::int", [0]), one(c, "select 2")]);
  assert.deepEqual(found.map((each) => each.value ?? each.reason.code), [1, "42601", "22012", 2]);
});
await test("empty queries", async (c) => {
  for (const text of ["", ";", "-- nothing"]) assert.equal((await c.query(text)).command, null);
  assert.equal((await c.query({ text: "", values: [], queryMode: "extended" })).command, null);
});
await test("a transaction that fails", async (c) => {
  await c.query("begin");
  await assert.rejects(c.query("select * from nowhere"), code("42P01"));
  await assert.rejects(c.query("select 1"), code("25P02"));
  await c.query("rollback");
  assert.equal(await one(c, "select 1"), 1);
});
await test("savepoints", async (c) => {
  await c.query("begin; savepoint s; insert into t values (1)");
  await assert.rejects(c.query("insert into t values (1)"), code("23505"));
  await c.query("rollback to s; insert into t values (2); commit");
  assert.equal(await one(c, "select id from t"), 2);
});
await test("rows as arrays", async (c) => {
  assert.deepEqual((await c.query({ text: "select 1, 1", rowMode: "array" })).rows, [[1, 1]]);
});
await test("results in binary", async (c) => assert.equal(await one(c, { text: "select $1::int4", values: [7], binary: true }), 7));
await test("a portal in pieces", async (c) => {
  const cursor = c.query(new Cursor("select generate_series(1, $1::int) n", [100]));
  assert.equal((await cursor.read(7)).length, 7);
  assert.equal((await cursor.read(90)).at(-1).n, 97);
  assert.equal((await cursor.read(10)).length, 3);
  assert.equal((await cursor.read(10)).length, 0);
  await cursor.close();
});
await test("a portal closed early", async (c) => {
  const cursor = c.query(new Cursor("select generate_series(1, 100000)"));
  await cursor.read(1);
  await cursor.close();
  assert.equal(await one(c, "select 1"), 1);
});
await test("a portal that fails midway", async (c) => {
  const cursor = c.query(new Cursor("select 10 / (50 - n) from generate_series(1, 100) n"));
  assert.equal((await cursor.read(10)).length, 10);
  await assert.rejects(cursor.read(100), code("22012"));
  assert.equal(await one(c, "select 1"), 1);
});
await test("rows as a stream", async (c) => {
  let sum = 0;
  for await (const row of c.query(new QueryStream("select generate_series(1, $1) n", [20000], { batchSize: 100 }))) sum += row.n;
  assert.equal(sum, 200010000);
});
await test("a stream left early", async (c) => {
  for await (const row of c.query(new QueryStream("select generate_series(1, 100000) n"))) if (row.n === 150) break;
  assert.equal(await one(c, "select 1"), 1);
});
await test("a copy in", async (c) => {
  const rows = function* () { for (let n = 0; n < 20000; n++) yield `${n}\trow ${n}\n`; };
  const into = c.query(copies.from("copy t from stdin"));
  await pipeline(Readable.from(rows()), into);
  assert.equal(into.rowCount, 20000);
});
await test("a copy in that fails", async (c) => {
  await assert.rejects(pipeline(Readable.from(["1\ta\n", "no number\tb\n"]), c.query(copies.from("copy t from stdin"))), code("22P02"));
  assert.equal(await one(c, "select count(*)::int from t"), 0);
});
await test("a copy in that is given up", async (c) => {
  const rows = async function* () { yield "1\ta\n"; throw new Error("given up"); };
  await assert.rejects(pipeline(Readable.from(rows()), c.query(copies.from("copy t from stdin"))));
  assert.equal(await one(c, "select count(*)::int from t"), 0);
});
await test("a copy out", async (c) => {
  let bytes = 0;
  for await (const piece of c.query(copies.to("copy (select generate_series(1, 50000)) to stdout"))) bytes += piece.length;
  assert.equal(bytes, 288894);
});
await test("a copy from nowhere", async (c) => {
  await assert.rejects(pipeline(Readable.from(["1\n"]), c.query(copies.from("copy nowhere from stdin"))), code("42P01"));
  assert.equal(await one(c, "select 1"), 1);
});
await test("notices", async (c) => {
  const heard = [];
  c.on("notice", (notice) => heard.push(notice.message));
  await c.query("do $$ begin raise notice 'one'; raise warning 'two'; end $$");
  assert.deepEqual(heard, ["one", "two"]);
});
await test("notifications", async (c) => {
  const heard = new Promise((yes) => c.on("notification", (note) => yes(note.payload)));
  await c.query("listen bell");
  const other = new pg.Client(place);
  await other.connect();
  await other.query("select pg_notify('bell', $1)", ["ring"]);
  await other.end();
  assert.equal(await heard, "ring");
});
await test("a value of eight megabytes", async (c) => {
  const text = "x".repeat(8 << 20);
  assert.equal(await one(c, "select length($1)", [text]), text.length);
  assert.equal(await one(c, "select $1::text", [text]), text);
});
await test("a time limit of the server", async (c) => {
  await c.query("set statement_timeout = 100");
  await assert.rejects(c.query("select pg_sleep(30)"), code("57014"));
  assert.equal(await one(c, "select 1"), 1);
});
await test("an end by the server", async (c) => {
  const ended = new Promise((yes) => c.once("end", yes));
  await assert.rejects(c.query("select pg_terminate_backend(pg_backend_pid())"), code("57P01"));
  await ended;
});
await test("a pool", async () => {
  const pool = new pg.Pool({ ...place, max: 4 });
  const found = await Promise.all(Array.from({ length: 60 }, (_, n) => one(pool, "select $1::int", [n])));
  assert.equal(found.reduce((sum, n) => sum + n, 0), 1770);
  await pool.end();
});
await test("a database that is not there", () =>
  assert.rejects(new pg.Client({ ...place, database: "nowhere" }).connect(), code("3D000")));
await test("settings at the start", async () => {
  const client = new pg.Client({ ...place, application_name: "own", options: "-c work_mem=7MB", statement_timeout: 5000 });
  await client.connect();
  const { rows } = await client.query("select current_setting('application_name') a, current_setting('work_mem') b, current_setting('statement_timeout') c");
  assert.deepEqual(rows, [{ a: "own", b: "7MB", c: "5s" }]);
  await client.end();
});

writeFileSync(process.env.CLYRA_OUTCOMES, JSON.stringify(outcomes));
