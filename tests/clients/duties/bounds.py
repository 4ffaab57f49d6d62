"""What psycopg 3 sees of a bound of three rows written: text, binary, pipelined, in and out of transactions.

Asks nothing but CLYRA_DSN, and fails with the first thing that is not as it should be.
"""

import os

import psycopg
from psycopg import pq

DSN = os.environ["CLYRA_DSN"]
MANY = "insert into n select generate_series(1, %s)"


def refused(run, sqlstate="54000"):
    try:
        run()
    except psycopg.Error as error:
        assert error.sqlstate == sqlstate, (error.sqlstate, str(error))
        return
    raise AssertionError("it passed")


def rows(conn):
    return conn.execute("select count(*) from n").fetchone()[0]


with psycopg.connect(DSN, autocommit=True) as conn:
    conn.execute("drop table if exists n")
    conn.execute("create table n (v int)")
    for binary in (False, True):
        with conn.cursor(binary=binary) as cursor:
            cursor.execute(MANY, [3], binary=binary)
            refused(lambda: cursor.execute(MANY, [4], binary=binary))
    assert rows(conn) == 6
    # Prepared by name, and run again.
    for _ in range(3):
        conn.execute(MANY, [2], prepare=True)
        refused(lambda: conn.execute(MANY, [9], prepare=True))
    assert rows(conn) == 12
    # In a transaction, all of it goes.
    refused(lambda: [conn.execute("begin"), conn.execute(MANY, [1]), conn.execute(MANY, [5])])
    assert conn.info.transaction_status == pq.TransactionStatus.INERROR
    conn.execute("rollback")
    # Within a savepoint, only what is behind it.
    with conn.transaction():
        conn.execute(MANY, [1])
        try:
            with conn.transaction():
                conn.execute(MANY, [8])
        except psycopg.errors.ProgramLimitExceeded:
            pass
        conn.execute(MANY, [2])
    assert rows(conn) == 15
    # A pipeline: one segment is one transaction, and what comes behind the refusal does not run.
    def pipelined():
        with conn.pipeline():
            conn.execute(MANY, [1])
            conn.execute(MANY, [7])
            conn.execute(MANY, [1])
    refused(pipelined)
    assert rows(conn) == 15, rows(conn)
    with conn.pipeline() as pipeline:
        conn.execute(MANY, [1])
        pipeline.sync()
        conn.execute(MANY, [2])
    assert rows(conn) == 18
    # Many rows of a list are statements of their own.
    with conn.cursor() as cursor:
        cursor.executemany("insert into n values (%s)", [[number] for number in range(20)])
    assert rows(conn) == 38
    # Copies, text and binary.
    for form in ("", " (format binary)"):
        with conn.cursor() as cursor:
            def copied(lines):
                with cursor.copy("copy n from stdin" + form) as copy:
                    if form:
                        copy.set_types(["int4"])
                    for number in range(lines):
                        copy.write_row([number])
            copied(3)
            refused(lambda: copied(4))
    assert rows(conn) == 44
    with conn.cursor() as cursor, cursor.copy("copy n to stdout (format binary)") as copy:
        assert sum(1 for _ in copy.rows()) >= 44
    # A simple query of several statements.
    refused(lambda: conn.execute("insert into n values (1); insert into n select generate_series(1, 4)"))
    assert rows(conn) == 44
    assert conn.info.transaction_status == pq.TransactionStatus.IDLE

with psycopg.connect(DSN) as conn:
    # The driver begins transactions by itself.
    conn.execute(MANY, [3])
    refused(lambda: conn.execute(MANY, [4]))
    conn.rollback()
    conn.execute(MANY, [1])
    conn.commit()
    assert rows(conn) == 45
print("as it should be")
