"""Servers and gateways for one run of a suite: each on a free port, in a folder of its own, ended by its pid.

It never touches a server that it did not start.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

DEADLINE_S = 120
# What the suites ask of a server beside the defaults.
SERVER_SETTINGS = ["fsync=off", "max_prepared_transactions=10", "wal_level=logical", "max_connections=200",
                   "listen_addresses=127.0.0.1", "timezone=UTC"]


class Stand:
    """One PostgreSQL, and a gateway before it when a policy is given; `port` is where clients connect."""

    def __init__(self, work, clyra=None, policy=None):
        self.work = work
        self.children = []
        try:
            self.server_port = self.port = self._postgres()
            if policy:
                self.port = self._gateway(clyra, policy)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self.children = []

    def sql(self, sql, database="postgres"):
        """Says a statement to the server itself."""
        said = subprocess.run(
            ["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.server_port),
             "-U", "postgres", "-d", database, "-c", sql],
            capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        if said.returncode:
            raise SystemExit(f"psql said `{said.stderr.strip()}` to `{sql}`")
        return said.stdout.strip()

    def _postgres(self):
        data = os.path.join(self.work, "postgres")
        os.makedirs(data, mode=0o700)
        user = as_postgres(data)
        quiet = {"stdout": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([*user, program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "--no-sync"], check=True, **quiet)
        port = free_port()
        settings = [word for setting in SERVER_SETTINGS for word in ("-c", setting)]
        log = os.path.join(self.work, "postgres.log")
        with open(log, "wb") as out:
            server = subprocess.Popen([*user, program("postgres"), "-D", data, "-p", str(port), "-k", data, *settings],
                                      stderr=out, **quiet)
        self.children.append(server)
        ready = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_for(lambda: subprocess.run(ready, check=False).returncode == 0, server, log)
        return port

    def _gateway(self, clyra, policy):
        data, log = os.path.join(self.work, "clyra"), os.path.join(self.work, "clyra.log")
        doors = [word for door in ("listen", "admin", "metrics", "recorder") for word in (f"--{door}", "127.0.0.1:0")]
        with open(log, "wb") as out:
            up = subprocess.Popen([clyra, "up", "--allow-unsigned", "--upstream", f"postgres://127.0.0.1:{self.server_port}/postgres",
                                   "--policy", policy, "--data", data, *doors], stdout=out, stderr=subprocess.STDOUT)
        self.children.append(up)
        record = os.path.join(data, "up.json")
        wait_for(lambda: os.path.exists(record), up, log)
        with open(record, encoding="utf-8") as file:
            return int(json.load(file)["listen"].rsplit(":", 1)[1])


def server_folder():
    """The folder of the newest installed server's programs."""
    found = shutil.which("initdb")
    if found:
        return os.path.dirname(os.path.realpath(found))
    root = "/usr/lib/postgresql"
    versions = [name for name in os.listdir(root) if os.path.exists(os.path.join(root, name, "bin", "initdb"))]
    return os.path.join(root, max(versions, key=lambda name: [int(part) for part in name.split(".")]), "bin")


def program(name):
    return os.path.join(server_folder(), name)


def as_postgres(*places):
    """Words before a server program, which refuses to run as root; the places become its user's."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    for place in places:
        os.chown(place, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def wait_for(ready, child, log):
    began = time.monotonic()
    while not ready():
        if child.poll() is not None or time.monotonic() - began > DEADLINE_S:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise SystemExit(f"`{child.args[0]}` did not come up:\n{file.read()}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
