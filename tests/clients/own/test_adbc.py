"""What the ADBC driver does on the wire: queries wrapped in copies, ingestion by binary copies, catalog reads.

It runs against any server; the runner compares it directly and through the gateway. It knows nothing of either.
"""

import os

import adbc_driver_postgresql.dbapi as dbapi
import pyarrow as pa
import pytest


@pytest.fixture
def conn():
    with dbapi.connect(os.environ["CLYRA_URI"]) as conn:
        yield conn


def one(conn, sql, values=None):
    with conn.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


def test_values_and_types(conn):
    assert one(conn, "select 1, 'x', null::text, 1.5::float8, true") == (1, "x", None, 1.5, True)
    assert one(conn, "select $1::int4 + 1", (41,)) == (42,)


def test_many_rows_as_arrow(conn):
    with conn.cursor() as cursor:
        cursor.execute("select n, 'row ' || n as name from generate_series(1, 100000) n")
        table = cursor.fetch_arrow_table()
    assert table.num_rows == 100_000 and table["n"][99_999].as_py() == 100_000


def test_batches_of_rows(conn):
    with conn.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": "1000"})
        cursor.execute("select generate_series(1, 5000) n")
        assert sum(batch.num_rows for batch in cursor.fetch_record_batch()) == 5000


def test_ingest_create_append_and_replace(conn):
    data = pa.table({"id": pa.array(range(20_000), pa.int64()), "name": ["x"] * 20_000})
    with conn.cursor() as cursor:
        assert cursor.adbc_ingest("adbc_own", data, mode="create") == 20_000
        assert cursor.adbc_ingest("adbc_own", data, mode="append") == 20_000
        assert one(conn, "select count(*) from adbc_own") == (40_000,)
        assert cursor.adbc_ingest("adbc_own", data.slice(0, 10), mode="replace") == 10
    conn.rollback()


def test_ingest_that_fails(conn):
    with conn.cursor() as cursor:
        cursor.execute("create temp table narrow (id int8 primary key)")
        with pytest.raises(dbapi.Error):
            cursor.adbc_ingest("narrow", pa.table({"id": pa.array([1, 1], pa.int64())}), mode="append")
    conn.rollback()
    assert one(conn, "select 1") == (1,)


def test_statements_for_many_values(conn):
    with conn.cursor() as cursor:
        cursor.execute("create temp table many (id int, name text)")
        cursor.executemany("insert into many values ($1, $2)", [(n, str(n)) for n in range(300)])
    assert one(conn, "select count(*), max(name) from many") == (300, "99")
    conn.rollback()


def test_errors_and_what_follows(conn):
    for sql in ("selct 1", "select * from nowhere", "select 1 / 0"):
        with pytest.raises(dbapi.Error):
            one(conn, sql)
        conn.rollback()
    assert one(conn, "select 1") == (1,)


def test_prepared_statements(conn):
    with conn.cursor() as cursor:
        assert len(cursor.adbc_prepare("select $1::int4, $2::text")) == 2
        cursor.execute("select $1::int4, $2::text", (1, "a"))
        assert cursor.fetchone() == (1, "a")


def test_the_catalog(conn):
    with conn.cursor() as cursor:
        cursor.execute("create table adbc_seen (id int primary key)")
    conn.commit()
    assert "adbc_seen" in str(conn.adbc_get_objects(table_name_filter="adbc_seen").read_all().to_pylist())
    assert conn.adbc_get_table_schema("adbc_seen").names == ["id"]
    with conn.cursor() as cursor:
        cursor.execute("drop table adbc_seen")
    conn.commit()


def test_transactions(conn):
    with conn.cursor() as cursor:
        cursor.execute("create temp table kept (id int)")
    conn.commit()
    with conn.cursor() as cursor:
        cursor.execute("insert into kept values (1)")
    conn.rollback()
    assert one(conn, "select count(*) from kept") == (0,)
