"""PostgreSQL's regression tests over host and port, at the version of the installed server."""

import glob
import os
import re
import shutil
import subprocess

import fetch
from stand import as_postgres, program, server_folder

SUITE_S = 3600


class PgRegress:
    """The parallel schedule; a test that differs is known by what it printed, so that two runs can be compared."""

    def __init__(self, _version=None):
        said = subprocess.run([program("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\(Debian (\S+)\)", said)
        if not found:
            raise fetch.Unavailable(f"`{said.strip()}` is not Debian's, so its source package is not known")
        self.version, self.major = found.group(1), found.group(1).split(".")[0]
        tree = fetch.source(f"postgresql-{self.major}", self.version)
        self.tree = os.path.join(tree, "src", "test", "regress")
        self.libraries = f"/usr/lib/postgresql/{self.major}/lib"
        self.library = self._build()

    def run(self, stand, work, only=None):
        place = os.path.join(work, "regress")
        shutil.copytree(self.tree, place)
        for library in (self.library, *(os.path.join(self.libraries, name) for name in ("autoinc.so", "refint.so"))):
            shutil.copy(library, place)
        user = as_postgres(work, place, *glob.glob(os.path.join(place, "**"), recursive=True))
        words = [*user, os.path.join(self.libraries, "pgxs/src/test/regress/pg_regress"), f"--inputdir={place}",
                 f"--outputdir={place}", f"--bindir={server_folder()}", f"--dlpath={place}", "--host=127.0.0.1",
                 f"--port={stand.port}", "--user=postgres", "--max-connections=4", "--dbname=regression"]
        ran = subprocess.run([*words, *(only or [f"--schedule={place}/parallel_schedule"])], cwd=place,
                             capture_output=True, text=True, timeout=SUITE_S, check=False)
        outcomes = read(ran.stdout)
        if not outcomes:
            raise SystemExit(f"pg_regress ran no test:\n{ran.stdout}{ran.stderr}")
        for name in [name for name, outcome in outcomes.items() if outcome == "failed"]:
            outcomes[name] = "failed: " + difference(place, name)
        return outcomes, ran.stdout + ran.stderr

    @staticmethod
    def alone(_tests):
        """Its tests build on each other, so all are run again."""

    def _build(self):
        """`regress.so`, against the headers of exactly this server: others do not load."""
        package = f"postgresql-server-dev-{self.major}={self.version}"
        with fetch.made(f"regress-{self.version}") as (home, missing):
            built = os.path.join(home, "regress.so")
            if missing:
                got = subprocess.run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], cwd=home,
                                     capture_output=True, text=True, check=False)
                if got.returncode:
                    raise fetch.Unavailable(f"{package}: {got.stderr.strip()}")
                subprocess.run(["dpkg", "-x", glob.glob(os.path.join(home, "*.deb"))[0], home], check=True)
                headers = os.path.join(home, "usr/include/postgresql", self.major, "server")
                subprocess.run(["cc", "-O2", "-w", "-fPIC", "-shared", "-I", headers, "-I", "/usr/include/postgresql",
                                "-o", built, os.path.join(self.tree, "regress.c")], check=True)
        return built


def read(said):
    """Outcomes in either of the forms in which pg_regress prints them, before and since version 16."""
    outcomes = {}
    for name, outcome in re.findall(r"^(?:test)?\s+(\S+)\s+\.\.\. (\w+)", said, re.M):
        outcomes[name] = "passed" if outcome == "ok" else "failed"
    for outcome, name in re.findall(r"^(ok|not ok) \d+\s+[-+] (\S+)", said, re.M):
        outcomes[name] = "passed" if outcome == "ok" else "failed"
    return outcomes


def difference(place, name):
    """The changed lines of a test's output against the expected output that comes nearest."""
    printed, best = os.path.join(place, "results", f"{name}.out"), None
    for expected in sorted(glob.glob(os.path.join(place, "expected", f"{name}*.out"))):
        if re.fullmatch(rf"{re.escape(name)}(_\d+)?\.out", os.path.basename(expected)):
            lines = subprocess.run(["diff", "-w", expected, printed], capture_output=True, text=True, errors="replace",
                                   check=False).stdout
            best = lines if best is None or len(lines) < len(best) else best
    return (best or "no output").replace(place, "(place)")
