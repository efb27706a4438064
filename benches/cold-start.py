#!/usr/bin/env python3
"""Measures the time from program start to first response, on an existing database.

    benches/cold-start.py target/release/hallpass [RUNS [USERS REVOCATIONS]]

Asks a new process for /healthz until it answers, and prints the times in milliseconds, and the memory
(PSS) that it holds then. The same loop runs over `PROGRAM --version` first, so that the cost of starting
any process here is known. With USERS and REVOCATIONS the database has so many users, and so many of
their sessions have just ended.
"""

import http.client
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time


FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :users)
INSERT INTO users (username, username_norm, email, email_norm, email_verified, password_hash,
    is_active, is_staff, is_superuser, locale, created_at, updated_at)
SELECT 'Person' || i, 'person' || i, 'Person' || i || '@example.com', 'person' || i || '@example.com',
    1, '$bcrypt-sha256$v=2,t=2b,r=12$' || substr(hex(randomblob(27)), 1, 53), 1, 0, 0, 'en', i, i
FROM n;
INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, device, ended_at, end_reason)
SELECT lower(hex(randomblob(16))), id, 'pwd', :now, :now, :now + 1000000, 'Firefox on Linux', :now + id,
    'logged_out'
FROM users LIMIT :revocations;
"""


def fill(path, values):
    connection = sqlite3.connect(path)
    for statement in filter(str.strip, FILL.split(";")):
        names = {name: value for name, value in values.items() if ":" + name in statement}
        connection.execute(statement, names)
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def memory(process):
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200


def start(program, folder, port):
    settings = {"HALLPASS_BIND": f"127.0.0.1:{port}", "PATH": os.environ["PATH"]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([program], cwd=folder, env=settings, **quiet)


def first_answer(program, folder):
    port = free_port()
    began = time.perf_counter()
    service = start(program, folder, port)
    try:
        while True:
            try:
                ask(port)
                took = (time.perf_counter() - began) * 1000
                return took, memory(service)
            except ConnectionRefusedError:
                time.sleep(0.0005)
    finally:
        service.terminate()
        service.wait()


def bare_start(program):
    began = time.perf_counter()
    subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def tell(what, times):
    times.sort()
    print(f"{what}: median {statistics.median(times):.1f} ms, from {times[0]:.1f} to {times[-1]:.1f}")


def main():
    program = os.path.abspath(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    users, revocations = map(int, sys.argv[3:5]) if len(sys.argv) > 4 else (0, 0)
    with tempfile.TemporaryDirectory() as folder:
        first_answer(program, folder)  # makes the database and the keys
        if users:
            now = time.time_ns() // 1000
            database = f"{folder}/data/hallpass.db"
            fill(database, {"users": users, "revocations": revocations, "now": now})
        tell("--version", [bare_start(program) for _ in range(runs)])
        times, memories = zip(*(first_answer(program, folder) for _ in range(runs)))
        tell("first answer", list(times))
        print(f"memory: {statistics.median(memories):.1f} MiB")


main()
