#!/usr/bin/env python3
"""How often a server's error comes too late to stop asyncpg's `executemany`: directly, through a forwarder that only
copies bytes, and through the gateway, all before one server.

    own/race.py --clyra PATH [--tries N]

It repeats asyncpg's `test_executemany_server_failure_during_writes`: the second row fails, and 4 MiB of rows follow.
Whether the client hears of the failure before it has written them all depends on how much the kernels' buffers take.
"""

import argparse
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import fetch  # noqa: E402
from stand import Stand  # noqa: E402

ROUNDS = 4
CLIENT = """
import asyncio, sys, asyncpg

async def late(con):
    told = 0
    def rows():
        nonlocal told
        while told < 128:
            told += 1
            yield ('a', 0) if told < 3 else ('a' * 32768, told)
    try:
        await con.executemany('insert into exmany values ($1, $2)', rows())
    except asyncpg.UniqueViolationError:
        assert await con.fetch('select b from exmany') == []
        return told == 128
    raise SystemExit('no row was refused')

async def main(port, tries):
    con = await asyncpg.connect(host='127.0.0.1', port=port, user='postgres', database='postgres', ssl=False)
    await con.execute('create temp table exmany (a text, b int primary key)')
    print(sum([await late(con) for _ in range(tries)]))

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""
FORWARDER = """
import socket, sys, threading

def copy(source, sink):
    while held := source.recv(65536):
        sink.sendall(held)
    sink.shutdown(socket.SHUT_WR)

with socket.create_server(('127.0.0.1', 0)) as door:
    print(door.getsockname()[1], flush=True)
    while True:
        client, server = door.accept()[0], socket.create_connection(('127.0.0.1', int(sys.argv[1])))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=copy, args=ends, daemon=True).start()
"""


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clyra", required=True, help="the program")
    words.add_argument("--tries", type=int, default=100, help="a round, of which there are four")
    asked = words.parse_args()
    python = fetch.venv("asyncpg-0.27.0", "asyncpg==0.27.0", "uvloop", "distro", "pytest<8", "pytest-timeout")
    with tempfile.TemporaryDirectory(prefix="clyra-race-") as work:
        os.chmod(work, 0o755)
        policy = os.path.join(os.path.dirname(HERE), "policies", "enforce.yaml")
        with Stand(os.path.join(work, "stand"), asked.clyra, policy) as stand:
            forwarder = subprocess.Popen([sys.executable, "-c", FORWARDER, str(stand.server_port)],
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            stand.children.append(forwarder)
            ports = {"direct": stand.server_port, "forwarder": int(forwarder.stdout.readline()), "gateway": stand.port}
            late = dict.fromkeys(ports, 0)
            for _ in range(ROUNDS):
                for way, port in ports.items():
                    ran = subprocess.run([python, "-c", CLIENT, str(port), str(asked.tries)], check=True,
                                         capture_output=True, text=True)
                    late[way] += int(ran.stdout)
    for way, count in late.items():
        print(f"{way}: the error came too late {count} times of {ROUNDS * asked.tries}")


if __name__ == "__main__":
    main()
