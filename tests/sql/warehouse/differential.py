#!/usr/bin/env python3
"""Holds our facts of the warehouses' dialects against those that sqlglot gives: two readers who share no line.

    differential.py --clyra PATH [--dialect NAME] [--report FILE]     all statements
    differential.py --clyra PATH --statements 900 --seed 7            so many of each dialect that the seed chooses

Of each statement that both read: ours names no fewer tables that are read, no fewer that are written, no fewer functions
of users, and no weaker verb; what ours has not read is refused, and counted by what it is. What differs and must stands
in known.txt. Nothing here asks a warehouse.

Exit codes: 0 nothing differs, 1 differences, 2 wrong usage, 3 sqlglot or its tests cannot be had here.
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import corpus  # noqa: E402
from corpus import fetch  # noqa: E402


class Reader:
    """A program that answers each line with a line."""

    def __init__(self, words):
        self.program = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def ask(self, question):
        self.program.stdin.write(json.dumps(question) + "\n")
        self.program.stdin.flush()
        return json.loads(self.program.stdout.readline())

    def close(self):
        self.program.stdin.close()
        self.program.wait(timeout=30)


def lacking(dialect, ours, theirs):
    """What the other reader tells of and ours does not."""
    if len(ours["statements"]) < len(theirs["statements"]):
        return [f"statements: {len(ours['statements'])} of {len(theirs['statements'])}"]
    mine = ours["statements"]
    touched = [name for one in mine for name in one["reads"] + one["writes"]]
    written = [name for one in mine for name in one["writes"]]
    called = {name.rsplit(".", 1)[-1] for one in mine for name in one["functions"]}
    verbs = {verb for one in mine for verb in [one["verb"], *one["verbs"]]}
    # What is kept for later has no verbs yet, and what is explained runs nothing.
    plain = any(one["verb"] in ("explain", "show") for one in mine)
    lacks = []
    for one in theirs["statements"]:
        lacks += [f"read: {name}" for name in one["reads"] if not meant(dialect, name, touched)]
        if not plain:
            lacks += [f"written: {name}" for name in one["writes"] if not meant(dialect, name, written)]
            lacks += [f"verb: {verb}" for verb in one["verbs"] if verb not in verbs]
        lacks += [f"function: {name}" for name in one["functions"] if name not in called]
    return lacks


def meant(dialect, name, told):
    plain = [one.lower().replace('"', "") for one in told]
    if "*" in plain or name in plain or name.replace("..", ".public.") in plain:
        return True
    parts = name.split(".")
    return any(".".join(parts[at:-1]) + ".*" in plain for at in range(len(parts) - 1)) or (dialect == "bigquery" and any(
        one.endswith(".*") and name.startswith(one[:-1]) for one in plain))


def kind_of(sql, theirs):
    """What a refused statement is, in a few words."""
    if not theirs["problem"] and theirs["statements"]:
        return " ".join(theirs["statements"][0]["kind"].lower().split()[:3])
    found = corpus.FIRST.match(sql)
    return f"{found.group(1).lower()}, which sqlglot does not read, either" if found else "other"


def play(dialect, asked, report, known):
    ours = Reader([asked.clyra, "policy", "facts", "--dialect", dialect])
    theirs = Reader([corpus.interpreter(), os.path.join(HERE, "glot.py")])
    count, refused, excused = (collections.Counter() for _ in range(3))
    differences = []
    statements = corpus.statements(dialect)
    if asked.statements:
        statements = random.Random(asked.seed).sample(statements, min(asked.statements, len(statements)))
    for sql, source in statements:
        mine = ours.ask({"id": 0, "sql": sql})
        other = theirs.ask({"dialect": dialect, "sql": sql})
        count["seen"] += 1
        if mine["problem"]:
            # What neither reads is often no statement of this dialect at all.
            count["refused, and read by sqlglot" if not other["problem"] else "refused by both"] += 1
            if not other["problem"]:
                refused[kind_of(sql, other)] += 1
                report("refused", dialect, source, sql, [mine["problem"]["message"]])
            continue
        if other["problem"]:
            count["read by ours only"] += 1
            continue
        count["held"] += 1
        lacks = [lack for lack in lacking(dialect, mine, other) if not excuse(known, f"{dialect}: {lack}: {sql}", excused)]
        if lacks:
            differences.append((source, sql, lacks))
            report("differs", dialect, source, sql, lacks)
    ours.close()
    theirs.close()
    return count, refused, excused, differences


def excuse(known, text, excused):
    for reason, pattern in known:
        if pattern.search(text):
            excused[reason] += 1
            return True
    return False


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clyra", required=True, help="the program")
    words.add_argument("--dialect", choices=list(corpus.DIALECTS), action="append", help="only this dialect")
    words.add_argument("--statements", type=int, metavar="N", help="only so many of each dialect")
    words.add_argument("--seed", type=int, default=1, help="which ones")
    words.add_argument("--report", metavar="FILE", help="write what differs or is refused there, as JSON lines")
    asked = words.parse_args()
    with open(os.path.join(HERE, "known.txt"), encoding="utf-8") as file:
        known = [(line.split("\t")[0], re.compile(line.rstrip("\n").split("\t")[1], re.S))
                 for line in file if line.strip() and line[0] != "#"]
    out = open(asked.report, "w", encoding="utf-8") if asked.report else None

    def report(what, dialect, source, sql, why):
        if out:
            out.write(json.dumps({"what": what, "dialect": dialect, "source": source, "why": why, "sql": sql}) + "\n")

    wrong = 0
    try:
        for dialect in asked.dialect or corpus.DIALECTS:
            count, refused, excused, differences = play(dialect, asked, report, known)
            print(f"{dialect}: " + ", ".join(f"{number} {what}" for what, number in count.items()))
            print("  refused and read by sqlglot: " + ", ".join(f"{number} {what}" for what, number in refused.most_common()))
            for reason, number in excused.items():
                print(f"  {number} as expected: {reason}")
            for source, sql, lacks in differences[:40]:
                print(f"  {source}: {'; '.join(lacks)}\n      {' '.join(sql.split())[:300]}")
            print(f"  {len(differences)} differ")
            wrong += len(differences)
            if count["held"] < HELD_MIN:
                print(f"  only {count['held']} were held; there should be {HELD_MIN}")
                wrong += 1
    except fetch.Unavailable as lack:
        print(f"not run: {lack}")
        return 3
    return 1 if wrong else 0


# Fewer show nothing.
HELD_MIN = 400

if __name__ == "__main__":
    sys.exit(main())
