"""The suites: how each is prepared, and how it is run against one port; a run gives an outcome for every test id."""

import json
import os
import shutil
import subprocess

import fetch
from talks import Django, Jdbc, Node, NodePg
from regress import PgRegress

# A test that hangs is a difference, too.
TEST_S, SUITE_S = 120, 2400
VERSIONS = {"psycopg2": "2.9.5-1", "asyncpg": "0.27.0-1", "psycopg3": "3.1.7-4", "sqlalchemy": "1.4.46+ds1-1",
            "own_psycopg3": "3.3.9", "own_adbc": "1.13.0", "own_node": "8.23.1", "node_postgres": "4.5.7",
            "own_jdbc": "42.5.5-0+deb12u1",
            "django": "5.2.19-1", "sqlalchemy_psycopg3": "2.0.58", "sqlalchemy_asyncpg": "2.0.58"}


class Pytest:
    """A suite that pytest runs, at one version of its Debian source package."""

    @staticmethod
    def alone(tests):
        """What to ask for so that only these tests run."""
        return sorted(tests)


class Psycopg2(Pytest):
    """psycopg2's own tests."""

    def __init__(self, version):
        number = upstream(version)
        self.tree = fetch.source("psycopg2", version, "psycopg2")
        self.python = fetch.venv(f"psycopg2-{number}", f"psycopg2-binary=={number}", *PYTEST)

    def run(self, stand, work, only=None):
        if not stand.sql("select 1 from pg_database where datname = 'psycopg2_test'"):
            stand.sql("create database psycopg2_test")
            stand.sql("create extension hstore", "psycopg2_test")
        shutil.copytree(os.path.join(self.tree, "tests"), os.path.join(work, "tests"))
        place = {"PSYCOPG2_TESTDB_HOST": "127.0.0.1", "PSYCOPG2_TESTDB_PORT": str(stand.port),
                 "PSYCOPG2_TESTDB_USER": "postgres"}
        return run_pytest(self.python, work, only or ["tests"], place)


class Asyncpg(Pytest):
    """asyncpg's own tests, on a server that runs already."""

    def __init__(self, version):
        number = upstream(version)
        self.tree = fetch.source("asyncpg", version, "asyncpg")
        self.python = fetch.venv(f"asyncpg-{number}", f"asyncpg=={number}", "uvloop", "distro", *PYTEST)

    def run(self, stand, work, only=None):
        # Beside the source tree its unbuilt package would be the one that is imported.
        shutil.copytree(os.path.join(self.tree, "tests"), os.path.join(work, "tests"))
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(stand.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        return run_pytest(self.python, work, only or ["tests"], place)


class Psycopg3(Pytest):
    """psycopg 3's own tests, with the C implementation."""

    def __init__(self, version):
        number = upstream(version)
        self.tree = fetch.source("psycopg3", version)
        self.python = fetch.venv(f"psycopg3-{number}", f"psycopg[binary]=={number}", "psycopg-pool", "anyio", "dnspython",
                                 "pproxy", "pytest-asyncio<0.22", *PYTEST)

    def run(self, stand, work, only=None):
        if not stand.sql("select 1 from pg_database where datname = 'psycopg_test'"):
            stand.sql("create database psycopg_test")
        shutil.copytree(os.path.join(self.tree, "tests"), os.path.join(work, "tests"))
        shutil.copy(os.path.join(self.tree, "pyproject.toml"), work)
        dsn = f"host=127.0.0.1 port={stand.port} user=postgres dbname=psycopg_test"
        return run_pytest(self.python, work, only or ["tests"], {"PSYCOPG_IMPL": "binary", "PSYCOPG_TEST_DSN": dsn},
                          "-m", "not slow and not timing and not crdb")


class OwnPsycopg3(Pytest):
    """Our own tests of what only psycopg 3 does on the wire, at its newest version."""

    file = "test_psycopg3.py"

    def __init__(self, version):
        self.python = fetch.venv(f"psycopg3-{version}", f"psycopg[binary]=={version}", *PYTEST)

    def run(self, stand, work, only=None):
        shutil.copy(os.path.join(HERE, "own", self.file), work)
        place = {"CLYRA_DSN": f"host=127.0.0.1 port={stand.port} user=postgres dbname=postgres",
                 "CLYRA_URI": f"postgresql://postgres@127.0.0.1:{stand.port}/postgres"}
        return run_pytest(self.python, work, only or [self.file], place)


class OwnAdbc(OwnPsycopg3):
    """Our own tests of what the ADBC driver does on the wire."""

    file = "test_adbc.py"

    def __init__(self, version):
        self.python = fetch.venv(f"adbc-{version}", f"adbc-driver-postgresql=={version}", "pyarrow", *PYTEST)


class Sqlalchemy(Pytest):
    """SQLAlchemy's tests of its PostgreSQL dialect and of what speaks to a server most, over one of the drivers."""

    dialect, driver = "psycopg2", "psycopg2-binary==2.9.5"

    def __init__(self, version):
        self.tree = fetch.source("sqlalchemy", version, "SQLAlchemy")
        self.python = fetch.venv(f"sqlalchemy-{self.driver}", self.driver, "greenlet", "typing-extensions", *PYTEST)

    def run(self, stand, work, only=None):
        if not stand.sql("select 1 from pg_database where datname = 'test'"):
            stand.sql("create database test")
            for extension in ("hstore", "citext"):
                stand.sql(f"create extension {extension}", "test")
            stand.sql("create schema test_schema; create schema test_schema_2", "test")
        tree = os.path.join(work, "tree")
        shutil.copytree(self.tree, tree)
        place = {"PYTHONPATH": os.path.join(tree, "lib"), "DISABLE_SQLALCHEMY_CEXT_RUNTIME": "1"}
        where = f"postgresql+{self.dialect}://postgres@127.0.0.1:{stand.port}/test"
        return run_pytest(self.python, tree, only or SQLALCHEMY_PARTS, place, "--dburi", where)


class SqlalchemyPsycopg3(Sqlalchemy):
    """The same over psycopg 3: since SQLAlchemy 2."""

    dialect, driver = "psycopg", "psycopg[binary]==3.3.9"


class SqlalchemyAsyncpg(Sqlalchemy):
    """The same over asyncpg."""

    dialect, driver = "asyncpg", "asyncpg==0.32.0"


def run_pytest(python, folder, targets, place, *words):
    """Runs pytest in the folder; gives an outcome for every test id, and what it said."""
    report = os.path.join(folder, "outcomes.json")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PSYCOPG"))}
    paths = [path for path in (os.path.join(HERE, "plugin"), place.get("PYTHONPATH")) if path]
    environment.update(place, PYTHONPATH=os.pathsep.join(paths), CLYRA_OUTCOMES=report)
    command = [python, "-m", "pytest", "-q", "-p", "clyra_outcomes", "-p", "no:cacheprovider", "-p", "no:randomly",
               "--timeout", str(TEST_S), *words, *targets]
    try:
        ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, errors="replace", timeout=SUITE_S, check=False)
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        raise SystemExit(f"pytest took longer than {SUITE_S} s:\n{said[-4000:]}") from late
    if not os.path.exists(report):
        raise SystemExit(f"pytest left no report:\n{ran.stdout[-4000:]}")
    with open(report, encoding="utf-8") as file:
        return json.load(file), ran.stdout


def upstream(version):
    """The project's own version in a Debian package's version."""
    return version.split("+")[0].rsplit("-", 1)[0]


HERE = os.path.dirname(os.path.abspath(__file__))
PYTEST = ("pytest<8", "pytest-timeout")
SUITES = {"psycopg2": Psycopg2, "asyncpg": Asyncpg, "psycopg3": Psycopg3, "own_psycopg3": OwnPsycopg3,
          "own_adbc": OwnAdbc, "own_node": Node, "node_postgres": NodePg, "own_jdbc": Jdbc, "django": Django,
          "sqlalchemy": Sqlalchemy,
          "sqlalchemy_psycopg3": SqlalchemyPsycopg3, "sqlalchemy_asyncpg": SqlalchemyAsyncpg, "pg_regress": PgRegress}
# Pools, addresses and compiled text without a server are left out: nothing of them is on the wire.
SQLALCHEMY_PARTS = ["test/dialect/postgresql", "test/dialect/test_suite.py", "test/engine/test_execute.py",
                    "test/engine/test_transaction.py", "test/engine/test_reflection.py", "test/engine/test_reconnect.py",
                    "test/sql/test_query.py", "test/sql/test_returning.py", "test/orm/test_transaction.py"]
