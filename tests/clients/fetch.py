"""Brings the suites' sources and the drivers that they test, once, into a cache; nothing of them is ever committed.

A suite is taken from Debian's source package (deb-src in a private list, so that the machine's own lists stay as they
are). Where a mirror does not serve it, the same release's source archive is taken from PyPI, if that holds the tests.
"""

import contextlib
import fcntl
import glob
import os
import shutil
import subprocess
import sys

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"),
                     "clyra", "clients")
SOURCES = """deb-src http://deb.debian.org/debian {suite} main
deb-src http://deb.debian.org/debian {suite}-updates main
deb-src http://deb.debian.org/debian-security {suite}-security main
"""


class Unavailable(Exception):
    """The suite cannot be had here."""


def source(package, version, pypi=None):
    """The folder of a Debian source package's tree; `pypi` names the project to fall back to."""
    with made(f"src-{package}-{version}") as (home, missing):
        if missing and not from_debian(package, version, home) and not (pypi and from_pypi(pypi, version, home)):
            raise Unavailable(f"{package} {version} is served neither by the mirror of Debian's sources"
                              + (" nor, with its tests, by PyPI" if pypi else ""))
    return only_folder(home)


def venv(name, *requirements):
    """A Python environment with exactly these wheels; gives its interpreter."""
    with made(f"venv-{name}") as (home, missing):
        if missing:
            # The system's own Python, when there: it is the one that the venv package belongs to.
            python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
            subprocess.run([python, "-m", "venv", home], check=True)
            if requirements:
                say(f"installing {' '.join(requirements)}")
                subprocess.run([os.path.join(home, "bin", "pip"), "install", "-q", "--disable-pip-version-check",
                                "--only-binary", ":all:", *requirements], check=True)
    return os.path.join(home, "bin", "python")


def from_debian(package, version, home):
    apt = private_apt()
    got = subprocess.run([*apt, "-q", "source", "--download-only", f"{package}={version}"], cwd=home,
                         capture_output=True, text=True, check=False)
    described = glob.glob(os.path.join(home, "*.dsc"))
    if got.returncode or not described or not shutil.which("dpkg-source"):
        say(f"{package} {version}: " + (got.stderr.strip().splitlines() or ["dpkg-source is missing"])[-1])
        return False
    subprocess.run(["dpkg-source", "--no-check", "-x", described[0], os.path.join(home, "tree")], check=True,
                   stdout=subprocess.DEVNULL)
    return True


def from_pypi(project, version, home):
    upstream = version.split("+")[0].rsplit("-", 1)[0]
    say(f"taking {project} {upstream} from PyPI")
    got = subprocess.run([venv("plain"), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                          "--no-binary", project, f"{project}=={upstream}", "-d", home], check=False)
    archives = glob.glob(os.path.join(home, "*.tar.gz"))
    if got.returncode or not archives:
        return False
    subprocess.run(["tar", "-xf", archives[0], "-C", home], check=True)
    return True


def private_apt():
    """`apt-get` with lists of its own."""
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get here")
    with made("apt") as (home, missing):
        words = ["apt-get", "-o", f"Dir::Etc::sourcelist={home}/deb-src.list", "-o", "Dir::Etc::sourceparts=/dev/null",
                 "-o", f"Dir::State::lists={home}/lists", "-o", f"Dir::Cache={home}/cache",
                 "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1"]
        if missing:
            os.makedirs(os.path.join(home, "lists", "partial"))
            os.makedirs(os.path.join(home, "cache", "archives", "partial"))
            with open("/etc/os-release", encoding="utf-8") as file:
                release = dict(line.strip().split("=", 1) for line in file if "=" in line)
            with open(os.path.join(home, "deb-src.list"), "w", encoding="utf-8") as file:
                file.write(SOURCES.format(suite=release["VERSION_CODENAME"].strip('"')))
            subprocess.run([*words, "-q", "update"], check=True, capture_output=True)
    return words


@contextlib.contextmanager
def made(name):
    """A folder of the cache, and whether it is still to be filled; of two at once, one fills it and the other waits."""
    home = os.path.join(CACHE, name)
    os.makedirs(CACHE, exist_ok=True)
    with open(home + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = home + ".whole"
        missing = not os.path.exists(whole)
        if missing:
            shutil.rmtree(home, ignore_errors=True)
            os.makedirs(home)
        yield home, missing
        with open(whole, "w", encoding="utf-8"):
            pass


def only_folder(home):
    folders = [entry.path for entry in os.scandir(home) if entry.is_dir()]
    if len(folders) != 1:
        raise Unavailable(f"`{home}` holds {len(folders)} folders instead of one")
    return folders[0]


def say(text):
    print(text, file=sys.stderr, flush=True)
