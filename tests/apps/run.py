#!/usr/bin/env python3
"""Plays an application's story directly and through a gateway that enforces, and compares what it saw and what it left.

    run.py django|sqlalchemy --clyra PATH

The application migrates with a login of its own, then works with another. It never judges a statement itself.
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../dbt_shop"), os.path.join(HERE, "../clients")]
import fetch  # noqa: E402
import run as shop  # noqa: E402

NEEDS = {
    "django": ("django-5.2.19", "Django==5.2.19", "psycopg[binary]==3.3.9"),
    "sqlalchemy": ("alchemy-2.0.58", "SQLAlchemy==2.0.58", "alembic==1.16.5", "psycopg[binary]==3.3.9"),
}


class Asked:
    mode = "enforce"
    policy = os.path.join(HERE, "../../policy/packs/app.yaml")
    clyra = None


def main():
    story, Asked.clyra = sys.argv[1], sys.argv[3]
    python = fetch.venv(*NEEDS[story])
    with tempfile.TemporaryDirectory(prefix="clyra-apps-") as work:
        os.chmod(work, 0o755)
        children = []
        try:
            direct = shop.start_postgres(work, children)
            for role in ("app", "app_migrate"):
                shop.psql(direct, "postgres", f"create role {role} login")
            for way in ("direct", "through"):
                shop.psql(direct, "postgres", f"create database {way} owner app_migrate")
                shop.psql(direct, way, "grant create, usage on schema public to app_migrate")
                shop.psql(direct, way, "alter default privileges for role app_migrate grant all on tables to app")
                shop.psql(direct, way, "alter default privileges for role app_migrate grant all on sequences to app")
            through = shop.start_clyra(Asked, direct, work, children)
            seen = {way: play(python, story, way, where) for way, where in (("direct", direct), ("through", through))}
            left = {way: content(direct, way) for way in seen}
        finally:
            for child in reversed(children):
                shop.stop(child)
    if seen["direct"] != seen["through"] or left["direct"] != left["through"]:
        for one, other in zip(seen["direct"] + left["direct"], seen["through"] + left["through"]):
            if one != other:
                print(f"direct   {one}\nthrough  {other}")
        return 1
    print(f"{story}: {len(seen['direct'])} steps and {len(left['direct'])} tables, the same")
    return 0


def play(python, story, way, where):
    host, port = where.rsplit(":", 1)
    environment = {**os.environ, "APP_HOST": host, "APP_PORT": port, "APP_DATABASE": way}
    ran = subprocess.run([python, os.path.join(HERE, f"{story}_app.py")], env=environment, capture_output=True,
                         text=True, timeout=120, cwd=HERE)
    if ran.returncode != 0:
        raise SystemExit(f"{story}, {way}:\n{ran.stdout}\n{ran.stderr}")
    steps = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("[")]
    if len(steps) < 15:
        raise SystemExit(f"{story}, {way}: only {len(steps)} steps\n{ran.stdout}\n{ran.stderr}")
    return steps


def content(server, database):
    """Every table with its number of rows and its columns."""
    tables = shop.psql(server, database, "select relname from pg_class where relnamespace = 'public'::regnamespace"
                       " and relkind = 'r' order by 1")
    columns = ("select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' order by attnum) from"
               " pg_attribute where attnum > 0 and attrelid = '\"{}\"'::regclass")
    return [[table, *shop.psql(server, database, f'select count(*) from "{table}"'),
             *shop.psql(server, database, columns.format(table))] for table in tables]


if __name__ == "__main__":
    sys.exit(main())
