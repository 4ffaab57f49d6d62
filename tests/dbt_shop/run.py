#!/usr/bin/env python3
"""Plays one story of dbt commands directly and through a gateway, and compares what came of them.

    run.py                                        direct only, on a PostgreSQL of its own: is the project well?
    run.py --clyra PATH [--mode shadow|enforce]   starts `clyra up` before it and compares both ways
    run.py --direct HOST:PORT --through HOST:PORT on servers that run already (user postgres)

Compared after every command: exit code, and per node status, rows affected and failures. Compared at the end: every
table's and view's contents, comments and indexes. Timestamps differ between any two runs, so only whether they are
null is compared, and dbt_scd_id, which is made of them, is left out.

It never touches a database other than shop_direct and shop_through, and never a server's settings.
"""

import argparse
import fcntl
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DBT_CORE, DBT_POSTGRES = "1.11.16", "1.11.0"
PROJECT = os.path.dirname(os.path.abspath(__file__))
DEADLINE_S = 120
LATER = json.dumps({"loaded_until": "2026-05-31"})
# A word that starts with `sql:` is said to the database by hand, always directly.
STORY = [
    ["seed"],
    ["run"],
    ["test"],
    ["snapshot"],
    ["build", "--vars", LATER],
    ["sql:update {schema}.orders set status = 'shipped', note = note || '!' where order_id % 7 = 0"],
    ["sql:delete from {schema}.orders where order_id = 11; delete from {schema}.payments where order_id = 11"],
    ["snapshot"],
    ["run", "--vars", LATER],
    ["test"],
    ["seed", "--full-refresh"],
    ["run", "--full-refresh"],
    ["build"],
]
SCHEMA = "dbt_shop"


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clyra", help="the program; `clyra up` is started before an own PostgreSQL")
    words.add_argument("--mode", choices=["shadow", "enforce"], default="enforce")
    words.add_argument("--policy", default=os.path.join(PROJECT, "policy.yaml"))
    words.add_argument("--direct", help="HOST:PORT of a PostgreSQL that runs already")
    words.add_argument("--through", help="HOST:PORT of a gateway before it")
    words.add_argument("--threads", type=int, default=2)
    asked = words.parse_args()
    if asked.through and not asked.direct:
        words.error("--through needs --direct, the server behind it")

    dbt = venv()
    with tempfile.TemporaryDirectory(prefix="clyra-dbt-") as work:
        os.chmod(work, 0o755)
        children = []
        try:
            direct = asked.direct or start_postgres(work, children)
            through = asked.through or (start_clyra(asked, direct, work, children) if asked.clyra else None)
            return compare(dbt, direct, through, work)
        finally:
            for child in reversed(children):
                stop(child)


def compare(dbt, direct, through, work):
    ways = {"direct": direct}
    if through:
        ways["through"] = through
    results, contents = {}, {}
    for way, where in ways.items():
        psql(direct, "postgres", f"drop database if exists shop_{way}")
        psql(direct, "postgres", f"create database shop_{way} template template0 encoding 'UTF8' locale 'C.UTF-8'")
        results[way] = play(dbt, way, where, direct, work)
        contents[way] = read(direct, f"shop_{way}")
    same = report(results, contents)
    passed = sum(same)
    print(f"{passed} passed, {len(same) - passed} failed")
    return 0 if all(same) else 1


def report(results, contents):
    """Prints a line a step and a line a relation; answers for each whether it is well."""
    same = []
    nothing = Step(command="(not reached)", exit=None, nodes={}, said="")
    for number, step in enumerate(results["direct"]):
        others = [way[number] if number < len(way) else nothing for way in results.values()]
        well = step["exit"] == 0 and all(other == step for other in others)
        same.append(well)
        print(f"{'ok' if well else 'BAD':4} {step['command']:60} {len(step['nodes']):3} nodes, exit {step['exit']}")
        if not well:
            for way, other in zip(results, others):
                show_step(way, other, step)
    for name in sorted(set().union(*contents.values())):
        rows = [content.get(name) for content in contents.values()]
        well = all(row == rows[0] and row is not None for row in rows)
        same.append(well)
        print(f"{'ok' if well else 'BAD':4} {name:60} {len(rows[0] or []):3} rows")
        if not well:
            for way, content in contents.items():
                others = [row for other, rows in contents.items() if other != way for row in rows.get(name) or []]
                mine = content.get(name)
                print(f"     only {way}: {[row for row in mine if row not in others][:5] if mine else 'missing'}")
    return same


def show_step(way, step, expected):
    print(f"     {way}: exit {step['exit']}")
    for node, outcome in sorted(step["nodes"].items()):
        if outcome != expected["nodes"].get(node) or outcome[0] not in ("success", "pass"):
            print(f"       {node}: {outcome}")
    if step["exit"]:
        print("\n".join("       | " + line for line in step["said"].splitlines()[-40:]))


class Step(dict):
    """What a command came to; what it said in between is no part of the comparison."""

    def __eq__(self, other):
        return (self["exit"], self["nodes"]) == (other["exit"], other["nodes"])

    def __ne__(self, other):
        return not self == other


def play(dbt, way, where, direct, work):
    host, port = where.rsplit(":", 1)
    environment = {
        **os.environ,
        "SHOP_HOST": host,
        "SHOP_PORT": port,
        "SHOP_DBNAME": f"shop_{way}",
        "SHOP_SCHEMA": SCHEMA,
        "DBT_PROFILES_DIR": PROJECT,
        "DBT_PROJECT_DIR": PROJECT,
        "DBT_TARGET_PATH": os.path.join(work, way, "target"),
        "DBT_LOG_PATH": os.path.join(work, way, "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PGSSLMODE": "prefer",
    }
    os.makedirs(environment["DBT_TARGET_PATH"])
    steps = []
    for command in STORY:
        if command[0].startswith("sql:"):
            psql(direct, f"shop_{way}", command[0][4:].format(schema=SCHEMA))
            continue
        outcome = os.path.join(environment["DBT_TARGET_PATH"], "run_results.json")
        if os.path.exists(outcome):
            os.remove(outcome)
        ran = subprocess.run(
            [dbt, "--no-use-colors", *command], env=environment, cwd=work, capture_output=True, text=True, timeout=900
        )
        nodes = {}
        if os.path.exists(outcome):
            with open(outcome, encoding="utf-8") as file:
                for node in json.load(file)["results"]:
                    rows = node["adapter_response"].get("rows_affected")
                    nodes[node["unique_id"]] = (node["status"], rows, node["failures"])
        said = ran.stdout + ran.stderr
        steps.append(Step(command="dbt " + " ".join(command), exit=ran.returncode, nodes=nodes, said=said))
        if ran.returncode != 0:
            break  # What follows would only fail after it.
    return steps


def read(server, database):
    """Every relation of the schema as sorted lines, and what hangs on them."""
    contents = {}
    columns = psql(
        server,
        database,
        "select table_name, string_agg(case when data_type like 'timestamp%' then format('(%I is null)::text', column_name)"
        " else quote_ident(column_name) end, ', ' order by ordinal_position)"
        f" from information_schema.columns where table_schema = '{SCHEMA}' and column_name <> 'dbt_scd_id' group by 1",
    )
    for line in columns:
        table, listed = line.split("\t", 1)
        contents[table] = sorted(psql(server, database, f'select {listed} from {SCHEMA}."{table}"'))
    contents["(relations)"] = psql(
        server, database,
        f"select relname, relkind from pg_class where relnamespace = '{SCHEMA}'::regnamespace order by 1",
    )
    contents["(comments)"] = psql(
        server, database,
        "select relname, objsubid, description from pg_description join pg_class c on c.oid = objoid"
        f" where relnamespace = '{SCHEMA}'::regnamespace order by 1, 2",
    )
    contents["(indexes)"] = psql(
        server, database, f"select indexdef from pg_indexes where schemaname = '{SCHEMA}' order by 1"
    )
    return contents


def psql(server, database, sql):
    host, port = server.rsplit(":", 1)
    ran = subprocess.run(
        ["psql", "-X", "-q", "-At", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", "postgres",
         "-d", database, "-c", sql],
        capture_output=True, text=True, timeout=DEADLINE_S,
    )
    if ran.returncode != 0:
        raise SystemExit(f"psql said `{ran.stderr.strip()}` to `{sql}`")
    return ran.stdout.splitlines()


def venv():
    """The dbt of our pinned versions; made once and kept. Of two runners at once, one makes it and the other waits."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    home = os.path.join(cache, "clyra", f"venv-dbt-{DBT_CORE}-{DBT_POSTGRES}")
    os.makedirs(os.path.dirname(home), exist_ok=True)
    with open(home + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make_venv(home)


def make_venv(home):
    dbt = os.path.join(home, "bin", "dbt")
    if os.path.exists(os.path.join(home, "complete")):
        return dbt
    print(f"installing dbt-core {DBT_CORE} and dbt-postgres {DBT_POSTGRES}", file=sys.stderr)
    shutil.rmtree(home, ignore_errors=True)
    # The system's own Python, when there: it is the one that the venv package belongs to.
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    subprocess.run([python, "-m", "venv", home], check=True)
    subprocess.run(
        [os.path.join(home, "bin", "pip"), "install", "-q", "--disable-pip-version-check",
         f"dbt-core=={DBT_CORE}", f"dbt-postgres=={DBT_POSTGRES}"],
        check=True,
    )
    with open(os.path.join(home, "complete"), "w", encoding="utf-8"):
        pass
    return dbt


def start_postgres(work, children):
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4].split(".")[0]))
    initdb = shutil.which("initdb") or os.path.join(binaries[-1], "initdb")
    postgres = os.path.join(os.path.dirname(os.path.realpath(initdb)), "postgres")
    data = os.path.join(work, "postgres")
    os.makedirs(data, mode=0o700)
    as_user = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
        user = pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    quiet = {"stdout": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_user, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                    "--no-sync"], check=True, **quiet)
    port = free_port()
    with open(os.path.join(work, "postgres.log"), "wb") as log:
        server = subprocess.Popen([*as_user, postgres, "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                                   "-c", "fsync=off", "-c", f"unix_socket_directories={data}"], stderr=log, **quiet)
    children.append(server)
    wait_for(lambda: subprocess.run(["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0,
             server, os.path.join(work, "postgres.log"))
    return f"127.0.0.1:{port}"


def start_clyra(asked, direct, work, children):
    data, log = os.path.join(work, "clyra"), os.path.join(work, "clyra.log")
    with open(log, "wb") as out:
        clyra = subprocess.Popen(
            [asked.clyra, "up", "--allow-unsigned", "--upstream", f"postgres://{direct}/postgres", "--policy", asked.policy,
             "--mode", asked.mode, "--data", data,
             *(word for door in ("listen", "admin", "metrics", "recorder") for word in (f"--{door}", "127.0.0.1:0"))],
            stdout=out, stderr=subprocess.STDOUT,
        )
    children.append(clyra)
    up = os.path.join(data, "up.json")
    wait_for(lambda: os.path.exists(up), clyra, log)
    with open(up, encoding="utf-8") as file:
        return json.load(file)["listen"]


def wait_for(ready, child, log):
    began = time.monotonic()
    while not ready():
        if child.poll() is not None or time.monotonic() - began > DEADLINE_S:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise SystemExit(f"`{child.args[0]}` did not come up:\n{file.read()}")
        time.sleep(0.05)


def stop(child):
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
