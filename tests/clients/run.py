#!/usr/bin/env python3
"""Runs the drivers' own suites directly and through a gateway, and compares the sets of tests that pass.

    run.py --clyra PATH                            every suite, in every set-up
    run.py --clyra PATH --suite psycopg2=2.9.9-1   one suite, at another version of its source package
    run.py --clyra PATH --setup enforce --only tests/test_copy.py --suite psycopg2

Set-ups: relay (shadow, no rules), shadow (every kind of rule), enforce (every verdict is yes). Each run has a server
of its own. A test that passes directly and not through the gateway is tried again both ways, alone: only what differs
again is a difference. Differences that must be stand in exceptions.txt, each with its reason.

Exit codes: 0 the same, 1 differences, 2 wrong usage, 3 a suite cannot be had here (unless --may-lack names it).
"""

import argparse
import concurrent.futures
import os
import shutil
import sys
import tempfile
import time

import fetch
from stand import Stand
from suites import SUITES, VERSIONS

HERE = os.path.dirname(os.path.abspath(__file__))
SETUPS = ["relay", "shadow", "enforce"]
TRIES = 2


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clyra", required=True, help="the program")
    words.add_argument("--suite", action="append", metavar="NAME[=VERSION]", help=f"of {', '.join(SUITES)}")
    words.add_argument("--setup", action="append", choices=SETUPS)
    words.add_argument("--only", action="append", metavar="TARGET", help="only these files or ids of the suite")
    words.add_argument("--at-least", type=int, default=1, metavar="N", help="fail when fewer tests pass directly")
    words.add_argument("--may-lack", action="append", default=[], choices=list(SUITES))
    words.add_argument("--jobs", type=int, default=2, help="runs at once")
    words.add_argument("--keep", metavar="DIR", help="leave what every run said there")
    asked = words.parse_args()
    wanted = dict((name.split("=", 1) + [None])[:2] for name in asked.suite or SUITES)
    for name in wanted:
        if name not in SUITES:
            words.error(f"`{name}` is no suite; there are: {', '.join(SUITES)}")
    outcome, passed, differing, skipped = 0, 0, 0, 0
    for name, version in wanted.items():
        try:
            suite = SUITES[name](version or VERSIONS.get(name))
        except fetch.Unavailable as lack:
            print(f"{name}: not run: {lack}")
            outcome = max(outcome, 0 if name in asked.may_lack else 3)
            continue
        counts = compare(name, suite, asked)
        passed, differing, skipped = passed + counts[0], differing + counts[1], skipped + counts[2]
    print(f"{passed} passed, {differing} failed, {skipped} skipped")
    return 1 if differing else outcome


def compare(name, suite, asked):
    """Runs one suite every way; prints and counts what is the same, what differs, and what is excepted."""
    setups = asked.setup or SETUPS
    ways = ["direct", *setups]
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        results = dict(zip(ways, pool.map(lambda way: play(name, suite, way, asked.only, asked), ways)))
    direct, excepted = results["direct"], exceptions(name)
    good = passing(direct)
    print(f"{name}: directly {len(good)} of {len(direct)} pass")
    if len(good) < asked.at_least:
        print(f"{name}: at least {asked.at_least} were to pass")
        return 0, 1, 0
    passed = differing = skipped = 0
    for way in setups:
        lost = differences(direct, results[way])
        known = {test for test in lost if test in excepted}
        lost = sure(name, suite, way, lost - known, asked)
        gained = passing(results[way]) - good
        print(f"{name} {way}: {len(good & passing(results[way]))} pass both ways, {len(known)} excepted, "
              f"{len(lost)} differ, {len(gained)} pass only through the gateway")
        for test in sorted(known):
            print(f"    excepted: {test}: {excepted[test]}")
        for test in sorted(lost):
            print(f"    DIFFERS: {test}: {direct.get(test, 'not run')} directly, "
                  f"{results[way].get(test, 'not run')} through the gateway")
        for test in sorted(gained):
            print(f"    only through the gateway: {test}")
        passed, differing, skipped = passed + len(good) - len(known | lost), differing + len(lost), skipped + len(known)
    return passed, differing, skipped


def differences(direct, through):
    """Tests that pass only directly, or that fail in another way."""
    told = {test for test, outcome in direct.items() if outcome.startswith("failed: ") and test in through}
    return (passing(direct) - passing(through)) | {test for test in told if through[test] != direct[test]}


def sure(name, suite, way, lost, asked):
    """Those of the differences that are there again when tried alone."""
    for _ in range(TRIES):
        if not lost:
            break
        again = {place: play(name, suite, place, suite.alone(lost), asked) for place in ("direct", way)}
        lost &= differences(again["direct"], again[way]) | (lost - again["direct"].keys())
    return lost


def play(name, suite, way, only, asked):
    """One run of the suite, on a server of its own; gives the outcomes."""
    began = time.monotonic()
    work = tempfile.mkdtemp(prefix=f"clyra-{name}-{way}-")
    os.chmod(work, 0o755)
    try:
        policy = None if way == "direct" else os.path.join(HERE, "policies", f"{way}.yaml")
        with Stand(os.path.join(work, "stand"), asked.clyra, policy) as stand:
            inside = os.path.join(work, "suite")
            os.mkdir(inside)
            outcomes, said = suite.run(stand, inside, only)
        if asked.keep:
            os.makedirs(asked.keep, exist_ok=True)
            with open(os.path.join(asked.keep, f"{name}-{way}.log"), "w", encoding="utf-8") as file:
                file.write(said)
        fetch.say(f"{name} {way}: {len(outcomes)} tests in {time.monotonic() - began:.0f} s")
        return outcomes
    finally:
        shutil.rmtree(work, ignore_errors=True)


def passing(outcomes):
    return {test for test, outcome in outcomes.items() if outcome == "passed"}


def exceptions(suite):
    """Lines `suite id: reason` of the file of exceptions."""
    found = {}
    with open(os.path.join(HERE, "exceptions.txt"), encoding="utf-8") as file:
        for line in file:
            if line.startswith(suite + " "):
                test, reason = line[len(suite) + 1:].strip().split(": ", 1)
                found[test] = reason
    return found


if __name__ == "__main__":
    sys.exit(main())
