"""What psycopg 3 does on the wire that other drivers do not: pipelines, flushes, copies in every form, long keys.

It runs against any server; the runner compares it directly and through the gateway. It knows nothing of either.
"""

import os
import threading

import psycopg
import pytest
from psycopg import pq

DSN = os.environ["CLYRA_DSN"]


@pytest.fixture
def conn():
    with psycopg.connect(DSN, autocommit=True) as conn:
        conn.execute("create temp table t (id int primary key, name text)")
        yield conn


def rows(conn):
    return conn.execute("select id, name from t order by id").fetchall()


def test_a_pipeline_of_many(conn):
    with conn.pipeline():
        cursors = [conn.execute("select %s::int", [n]) for n in range(300)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(300))


def test_a_pipeline_stops_at_its_error_and_goes_on_after_its_sync(conn):
    with pytest.raises(psycopg.errors.DivisionByZero), conn.pipeline() as pipeline:
        conn.execute("insert into t values (1, 'a')")
        conn.execute("select 1 / %s", [0])
        conn.execute("insert into t values (2, 'b')")
        pipeline.sync()
    assert rows(conn) == []
    with conn.pipeline() as pipeline:
        conn.execute("insert into t values (3, 'c')")
        pipeline.sync()
        with pytest.raises(psycopg.errors.UndefinedTable):
            conn.execute("select from nowhere").fetchall()
        pipeline.sync()
        conn.execute("insert into t values (4, 'd')")
    assert rows(conn) == [(3, "c"), (4, "d")]


def test_a_pipeline_in_a_transaction(conn):
    with pytest.raises(psycopg.errors.SyntaxError), conn.transaction(), conn.pipeline():
        conn.execute("insert into t values (1, 'a')")
        conn.execute("selct")
    with conn.transaction(), conn.pipeline():
        conn.execute("insert into t values (2, 'b')")
        with pytest.raises(psycopg.errors.UndefinedTable), conn.transaction():
            conn.execute("select from nowhere")
        conn.execute("insert into t values (3, 'c')")
    assert rows(conn) == [(2, "b"), (3, "c")]


def test_a_failure_that_only_sync_finds(conn):
    conn.execute("create temp table late (id int unique deferrable initially deferred)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("insert into late values (%s), (%s)", [1, 1])
    assert conn.execute("select count(*) from late").fetchone() == (0,)
    assert conn.info.transaction_status == pq.TransactionStatus.IDLE


def test_many_rows_of_one_statement(conn):
    with conn.cursor() as cursor:
        cursor.executemany("insert into t values (%s, %s) returning id", [(n, "x") for n in range(50)], returning=True)
        found = [cursor.fetchone()[0]]
        while cursor.nextset():
            found.append(cursor.fetchone()[0])
    assert found == list(range(50))
    with pytest.raises(psycopg.errors.UniqueViolation), conn.cursor() as cursor:
        cursor.executemany("insert into t values (%s, 'y')", [(100,), (7,), (101,)])


def test_names_that_come_and_go(conn):
    for n in range(20):
        assert conn.execute("select %s::int + 1", [n], prepare=True).fetchone() == (n + 1,)
    assert conn.pgconn.exec_(b"deallocate all").status == pq.ExecStatus.COMMAND_OK
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        conn.execute("select %s::int + 1", [1], prepare=True)
    conn.execute("deallocate all")
    conn.prepared_max = 2
    for n in range(20):
        conn.execute(f"select {n}, %s::int", [n], prepare=True)


def test_flushes_without_sync(conn):
    raw = conn.pgconn
    raw.enter_pipeline_mode()
    raw.send_query_params(b"select 1", [])
    raw.send_flush_request()
    raw.flush()
    assert raw.get_result().get_value(0, 0) == b"1"
    assert raw.get_result() is None
    raw.send_prepare(b"named", b"selct")
    raw.send_flush_request()
    raw.flush()
    assert raw.get_result().status == pq.ExecStatus.FATAL_ERROR
    assert raw.get_result() is None
    raw.send_query_params(b"select 2", [])
    raw.pipeline_sync()
    raw.flush()
    assert raw.get_result().status == pq.ExecStatus.PIPELINE_ABORTED
    assert raw.get_result() is None
    assert raw.get_result().status == pq.ExecStatus.PIPELINE_SYNC
    raw.exit_pipeline_mode()
    assert conn.execute("select 3").fetchone() == (3,)


def test_row_limits_and_empty_queries(conn):
    raw = conn.pgconn
    for text in (b"", b";", b"-- nothing"):
        assert raw.exec_(text).status == pq.ExecStatus.EMPTY_QUERY
        assert raw.exec_params(text, []).status == pq.ExecStatus.EMPTY_QUERY
    raw.send_query(b"select generate_series(1, 1000)")
    raw.set_single_row_mode()
    singles = 0
    while (result := raw.get_result()) is not None:
        singles += result.ntuples
    assert singles == 1000


def test_portals_and_descriptions(conn):
    raw = conn.pgconn
    raw.prepare(b"p", b"select $1::int, $2::text")
    described = raw.describe_prepared(b"p")
    assert (described.nparams, described.nfields) == (2, 2)
    conn.execute("begin")
    conn.execute("declare c cursor for select generate_series(1, 10)")
    assert raw.describe_portal(b"c").nfields == 1
    assert raw.describe_portal(b"none").status == pq.ExecStatus.FATAL_ERROR
    conn.execute("rollback")
    with conn.transaction(), conn.cursor("named", scrollable=True) as cursor:
        cursor.execute("select generate_series(1, 100)")
        cursor.itersize = 7
        assert sum(row[0] for row in cursor) == 5050
        cursor.scroll(10, mode="absolute")
        assert cursor.fetchone() == (11,)


def test_copies_in_text_and_binary(conn):
    with conn.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
        for n in range(5000):
            copy.write_row((n, "row " * 20))
    with conn.cursor() as cursor, cursor.copy("copy t (id) from stdin (format binary)") as copy:
        copy.set_types(["int4"])
        for n in range(5000, 5100):
            copy.write_row((n,))
    with conn.cursor() as cursor, cursor.copy("copy (select id from t order by id) to stdout (format binary)") as copy:
        copy.set_types(["int4"])
        assert [row[0] for row in copy.rows()] == list(range(5100))
    with conn.cursor() as cursor, cursor.copy("copy (select id from t where id < %s) to stdout", [3]) as copy:
        assert b"".join(copy) == b"0\n1\n2\n"


def test_copies_that_fail(conn):
    with pytest.raises(ZeroDivisionError), conn.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
        copy.write_row((1, "a"))
        raise ZeroDivisionError
    with pytest.raises(psycopg.errors.InvalidTextRepresentation), conn.cursor() as cursor, cursor.copy("copy t from stdin") as copy:
        for _ in range(2000):
            copy.write("not a row\n")
    with pytest.raises(psycopg.errors.UndefinedTable), conn.cursor() as cursor, cursor.copy("copy nowhere from stdin"):
        pass
    with conn.cursor() as cursor, cursor.copy("copy (select generate_series(1, 100000)) to stdout") as copy:
        assert sum(len(piece) for piece in copy) > 500_000
    assert rows(conn) == []


def test_copies_among_other_statements(conn):
    raw = conn.pgconn
    raw.send_query(b"insert into t values (1, 'a'); copy t from stdin; copy t from stdin; select count(*) from t")
    statuses = []
    while (result := raw.get_result()) is not None:
        statuses.append(result.status)
        if result.status == pq.ExecStatus.COPY_IN:
            raw.put_copy_data(f"{len(statuses) + 10}\tx\n".encode())
            raw.put_copy_end()
    assert statuses[-1] == pq.ExecStatus.TUPLES_OK
    assert len(rows(conn)) == 3


def test_notices_notifications_and_settings(conn):
    heard = []
    conn.add_notice_handler(lambda notice: heard.append(notice.message_primary))
    conn.execute("do $$ begin raise notice 'one'; raise warning 'two'; end $$")
    assert heard == ["one", "two"]
    conn.execute("listen bell")
    with psycopg.connect(DSN, autocommit=True) as other:
        other.execute("notify bell, 'ring'")
    assert [note.payload for note in conn.notifies(timeout=5, stop_after=1)] == ["ring"]
    conn.execute("set client_encoding to 'LATIN9'")
    assert conn.execute("select %s::text", ["€"]).fetchone() == ("€",)
    assert conn.execute("select '€'::text").fetchone() == ("€",)
    conn.execute("set standard_conforming_strings to off")
    assert conn.info.parameter_status("standard_conforming_strings") == "off"


def test_cancel_in_every_way(conn):
    for cancel in (conn.cancel, conn.cancel_safe):
        timer = threading.Timer(0.3, cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            conn.execute("select pg_sleep(20)")
        timer.join()
        assert conn.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("version", ["3.0", "3.2", "latest"])
def test_newer_minor_versions(version):
    try:
        with psycopg.connect(DSN, max_protocol_version=version) as conn:
            assert conn.execute("select 1").fetchone() == (1,)
            conn.cancel_safe()
    except psycopg.ProgrammingError:
        pytest.skip("this libpq knows no such parameter")


def test_two_phases(conn):
    conn.autocommit = False
    conn.rollback()
    conn.tpc_begin("clyra-own")
    conn.execute("select 1")
    conn.tpc_prepare()
    conn.tpc_rollback()
    conn.autocommit = True


def test_long_messages(conn):
    text = "x" * (6 << 20)
    assert conn.execute("select length(%s)", [text]).fetchone() == (len(text),)
    assert conn.execute(f"select length('{text}')").fetchone() == (len(text),)
    assert conn.execute(f"select repeat('y', {len(text)})").fetchone() == ("y" * len(text),)


def test_functions_are_called(conn):
    with conn.transaction():
        number = conn.execute("select lo_from_bytea(0, 'abc')").fetchone()[0]
        assert conn.execute("select lo_get(%s)", [number]).fetchone() == (b"abc",)
        conn.execute("select lo_unlink(%s)", [number])


def test_an_end_by_the_server(conn):
    with psycopg.connect(DSN, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [conn.info.backend_pid])
    with pytest.raises(psycopg.errors.AdminShutdown):
        conn.execute("select 1")
    assert conn.closed
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(DSN + " dbname=nowhere")
