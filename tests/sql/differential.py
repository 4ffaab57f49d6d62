#!/usr/bin/env python3
"""Runs PostgreSQL's own regression tests through psql, and holds our facts of every statement against the server.

    differential.py --clyra PATH                              everything
    differential.py --clyra PATH --statements 1500 --seed 7   tests chosen by the seed until there are so many
    differential.py --clyra PATH --own                        our own statements, which need nothing but a server

Of each statement that the server accepts: our grammar reads it; our facts name no fewer relations, written relations,
functions and users' operators than the server's analysed tree; the verb fits the server's command tag; what reads by
our facts changes no row; what DDL touches is written by our facts; what the planner touches behind views, rules and
inheritance is told once the facts have a snapshot of the catalog. What differs and must stands in known.txt.

Exit codes: 0 nothing differs, 1 differences, 2 wrong usage, 3 PostgreSQL's sources cannot be had here.
"""

import argparse
import collections
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "clients"))

import compare  # noqa: E402
import fetch  # noqa: E402
import regress  # noqa: E402
import server_view  # noqa: E402
from explained import Explained  # noqa: E402
from fetch import say  # noqa: E402
from listener import Listener  # noqa: E402
from stand import Stand, as_postgres  # noqa: E402

TEST_S = 300
# What later tests stand on.
GROUND = ["test_setup"]


class Watcher:
    """Sees every query on its way, and writes down what differs."""

    def __init__(self, clyra, explained):
        self.explained = explained
        self.judge = subprocess.Popen([clyra, "policy", "facts"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.names, self.test = server_view.Names(), ""
        self.counts = collections.defaultdict(collections.Counter)
        self.differences, self.base, self.total = [], None, 0

    def facts(self, sql):
        self.judge.stdin.write(json.dumps({"id": 0, "sql": sql}).encode() + b"\n")
        self.judge.stdin.flush()
        return json.loads(self.judge.stdout.readline())

    def before(self, link, sql):
        try:
            text = sql.decode()
        except UnicodeDecodeError:
            return None
        facts = self.facts(text)
        self.total += 1
        view, plan, how = None, [], None
        usual = link.settings.get("standard_conforming_strings") == "on" and \
            link.settings.get("client_encoding") in ("UTF8", "SQL_ASCII")
        if usual and link.status != "E" and len(facts["statements"]) == 1:
            inner, types = query_in(text)
            view = server_view.analysed(link, self.names, inner, types) if inner else None
            if view and not types and link.status == "I":
                plan, how = self.explained.lacking(link, facts, text, inner)
        reads = usual and link.status == "I" and all(set(one["verbs"]) <= compare.READING for one in facts["statements"])
        if reads and self.base is None:
            self.base = server_view.rows_changed(link)
        return {"sql": text, "facts": facts, "view": view, "reads": reads, "usual": usual, "plan": plan, "how": how}

    def after(self, link, seen, heard):
        if seen is None:
            return
        facts, reads = seen["facts"], seen["reads"]
        kind = facts["statements"][0]["verb"]
        count = self.counts[kind if not heard.tags else heard.tags[0].rstrip(" 0123456789")]
        count["seen"] += 1
        if link.status != "I" or not reads:
            self.base = None
        self.explained.stale |= not reads
        if heard.error:
            count["refused"] += 1
            return
        count["accepted"] += 1
        if not seen["usual"]:
            count["other strings or encoding"] += 1
            return
        if facts["problem"]:
            self.differ(seen, count, [f"not read: {facts['problem']['message']}"])
            return
        count["read"] += 1
        ddl, kept = [], None
        if link.status != "E" and not reads:
            ddl = server_view.noted_ddl(link)
            made = [one["oid"] for one in ddl if one["tag"] in heard.tags and one["tag"].startswith("CREATE") and one["oid"]]
            if made and link.status == "I" and not re.search(r"(?i)\b(like|inherits|partition of)\b", seen["sql"]):
                kept = server_view.kept(link, self.names, made)
        lacks = compare.missing(facts, seen["sql"], heard.tags, seen["view"], ddl, kept) + seen["plan"]
        count[seen["how"]] += 1
        base = self.base
        if reads and link.status == "I" and base is not None:
            changed = server_view.rows_changed(link)
            shows = any(one["verb"] in ("select", "show", "explain", "copy_out", "fetch") for one in facts["statements"])
            if changed is not None and changed > base and shows:
                own = self.own_functions(link, facts)
                lacks += [f"rows changed: {changed - base}"] if own else []
                count["rows changed by a function"] += not own
            self.base = changed
            count["rows held"] += 1
        count["tree held"] += seen["view"] is not None
        count["ddl held"] += bool(ddl)
        count["expressions held"] += kept is not None
        if lacks:
            self.differ(seen, count, lacks)

    def own_functions(self, link, facts):
        """Whether only functions of the server itself are named, and nothing runs by name."""
        if "function" not in self.names.own:
            self.names.load(link)
        own = {name for _, name in self.names.own["function"].values()}
        called = [name for one in facts["statements"] for name in one["functions"]]
        by_name = any(one["verb"] in ("execute", "fetch") for one in facts["statements"])
        return not by_name and all(name.rsplit(".", 1)[-1] in own for name in called)

    def differ(self, seen, count, lacks):
        count["differ"] += 1
        self.differences.append((self.test, seen["sql"], lacks))


# A query or change, alone or inside a statement that carries one out, keeps one, or tells of one.
QUERY = r"\(*\s*(?:select|with|values|table|insert|update|delete|merge)\b.*"
INNER = [
    (rf"(?is)^({QUERY})$", 1, None),
    (rf"(?is)^explain(?:\s*\([^()]*\)|\s+analyze|\s+verbose)*\s+({QUERY})$", 1, None),
    (rf"(?is)^declare\s+.*?\sfor\s+({QUERY})$", 1, None),
    (rf"(?is)^prepare\s+\w+\s*(?:\(([\w\s,\[\]]*)\))?\s*as\s+({QUERY})$", 2, 1),
    (rf"(?is)^create\s.*?\b(?:view|table)\b.*?\sas\s+({QUERY}?)(?:\s+with\s+(?:no\s+data|data|(?:local\s+|cascaded\s+)?check\s+option))?$", 1, None),
    (rf"(?is)^copy\s*\(({QUERY})\)\s*to\b", 1, None),
]


def query_in(sql):
    """The query inside a statement, and the types of its parameters; nothing when there is none to be found."""
    text = re.sub(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", "", sql, flags=re.S).rstrip().rstrip(";")
    for pattern, place, types in INNER:
        found = re.match(pattern, text)
        if found:
            query = found.group(place)
            # What it keeps or prints is a utility statement for the server.
            if place == 1 and types is None and re.match(r"(?is)\(*\s*(?:select|with)\b.*\binto\b(?!\s*\()", query) \
                    and not re.search(r"(?i)\binsert\b|\bmerge\b", query):
                query = re.sub(r"(?is)\binto\s+(?:temp\s+|temporary\s+|unlogged\s+|table\s+)*[\w.\"]+", "", query, count=1)
            return query, (found.group(types) or "") if types else ""
    return None, ""


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clyra", required=True, help="the program")
    words.add_argument("--statements", type=int, metavar="N", help="stop once so many statements were seen")
    words.add_argument("--seed", type=int, default=1, help="which tests are chosen then")
    words.add_argument("--only", action="append", metavar="TEST", help="only these tests, after the ground of all")
    words.add_argument("--report", metavar="FILE", help="write every difference there, as JSON lines")
    words.add_argument("--own", action="store_true", help="play own.sql instead of PostgreSQL's tests")
    asked = words.parse_args()
    suite = None
    if not asked.own:
        try:
            suite = regress.PgRegress()
        except fetch.Unavailable as lack:
            print(f"not run: {lack}")
            return 3
    with tempfile.TemporaryDirectory(prefix="clyra-sql-") as work:
        os.chmod(work, 0o755)
        with Stand(work) as stand:
            explained = Explained(asked.clyra, f"postgres://postgres@127.0.0.1:{stand.server_port}/regression", work)
            watcher = Watcher(asked.clyra, explained)
            stand.sql("CREATE DATABASE regression TEMPLATE template0")
            stand.sql(server_view.INSTALL, "regression")
            place = laid_out(suite, stand, work) if suite else HERE
            scripts = [(test, os.path.join(place, "sql", f"{test}.sql")) for test in chosen(suite, asked)] if suite \
                else [("own", os.path.join(HERE, "own.sql"))]
            play(scripts, stand, work, watcher, place, asked.statements)
            explained.close()
            watcher.judge.stdin.close()
    return tell(watcher, asked.report)


def chosen(suite, asked):
    schedule = [name for line in open(os.path.join(suite.tree, "parallel_schedule"), encoding="utf-8")
                if line.startswith("test:") for name in line.split()[1:]]
    if asked.only:
        return GROUND + [name for name in schedule if name in asked.only]
    if asked.statements:
        random.Random(asked.seed).shuffle(schedule)
        return GROUND + [name for name in schedule if name not in (*GROUND, "tablespace")]
    return schedule


def laid_out(suite, stand, work):
    """The folder in which PostgreSQL's tests find what they need, and a database that is set as theirs."""
    place = os.path.join(work, "regress")
    shutil.copytree(suite.tree, place)
    for library in (suite.library, *(os.path.join(suite.libraries, name) for name in ("autoinc.so", "refint.so"))):
        shutil.copy(library, place)
    os.makedirs(os.path.join(place, "results"), exist_ok=True)
    os.makedirs(os.path.join(place, "testtablespace"), exist_ok=True)
    as_postgres(work, place, *glob.glob(os.path.join(place, "**"), recursive=True))
    for setting in ("lc_messages", "lc_monetary", "lc_numeric", "lc_time"):
        stand.sql(f"ALTER DATABASE regression SET {setting} TO 'C'")
    stand.sql("ALTER DATABASE regression SET timezone_abbreviations TO 'Default'")
    return place


def play(scripts, stand, work, watcher, place, most):
    door = Listener(stand.server_port, watcher)
    said = {**os.environ, "PGTZ": "PST8PDT", "PGDATESTYLE": "Postgres, MDY", "PGOPTIONS": "-c intervalstyle=postgres_verbose",
            "PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "PG_ABS_SRCDIR": place, "PG_ABS_BUILDDIR": place,
            "PG_LIBDIR": place, "PG_DLSUFFIX": ".so"}
    for test, script in scripts:
        watcher.test, watcher.base = test, None
        with open(script, "rb") as words, open(os.path.join(work, "said.out"), "wb") as out:
            say(test)
            ran = subprocess.Popen(["psql", "-X", "-a", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on",
                            "-h", "127.0.0.1", "-p", str(door.port), "-U", "postgres", "-d", "regression"],
                           stdin=words, stdout=out, stderr=subprocess.STDOUT, env=said)
            try:
                ran.wait(timeout=TEST_S)
            except subprocess.TimeoutExpired:
                ran.kill()
                ran.wait()
                watcher.differences.append((test, "", [f"not ended after {TEST_S} s"]))
        if most and watcher.total >= most:
            break


def tell(watcher, report):
    known = [(line.split("\t")[0], re.compile(line.rstrip("\n").split("\t")[1], re.S))
             for line in open(os.path.join(HERE, "known.txt"), encoding="utf-8") if line.strip() and line[0] != "#"]
    left, excepted = [], collections.Counter()
    for test, sql, lacks in watcher.differences:
        rest = [lack for lack in lacks if not excuse(known, f"{test}: {lack}: {sql}", excepted)]
        if rest:
            left.append((test, sql, rest))
    if report:
        with open(report, "w", encoding="utf-8") as out:
            for test, sql, lacks in left:
                out.write(json.dumps({"test": test, "lacks": lacks, "sql": sql}) + "\n")
    names = ["seen", "accepted", "read", "tree held", "expressions held", "ddl held", "rows held", "differ"]
    print("| command | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|")
    total = collections.Counter()
    for kind, count in sorted(watcher.counts.items()):
        total.update(count)
        print(f"| {kind} | " + " | ".join(str(count[name]) for name in names) + " |")
    print("| all | " + " | ".join(str(total[name]) for name in names) + " |")
    for reason, number in excepted.items():
        print(f"{number} as expected: {reason}")
    for test, sql, lacks in left[:40]:
        print(f"{test}: {'; '.join(lacks)}\n    {' '.join(sql.split())[:300]}")
    held = {name: total[name] for name in ("plan held by the text alone", "plan held with the catalog")}
    print(", ".join(f"{number} {name}" for name, number in held.items()))
    print(f"{total['seen']} statements, {total['accepted']} accepted, {len(left)} differ")
    return 1 if left else 0


def excuse(known, text, excepted):
    for reason, pattern in known:
        if pattern.search(text):
            excepted[reason] += 1
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
