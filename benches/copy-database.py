#!/usr/bin/env python3
"""Measures `hallpass copy-database` for 100,000 users with a session and a refresh token each,
from SQLite to an empty Postgres and from there to a new SQLite file; and what the program held.

    .ci/with-postgres benches/copy-database.py target/release/hallpass [USERS]
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "check"))
from services import Database  # noqa: E402


def run(program, *arguments, **settings):
    began = time.perf_counter()
    done = subprocess.run([program, *arguments], env=settings, capture_output=True, text=True)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return took, done.stdout


def main():
    program, postgres = os.path.abspath(sys.argv[1]), os.environ["DATABASE_URL"]
    users = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        Database(f"{folder}/first").create(program).fill(users)
        path = f"{folder}/first/data/hallpass.db"
        first, second = f"sqlite://{path}", f"sqlite://{folder}/second.db"
        print(f"{users} users, {os.path.getsize(path) / 1e6:.0f} MB in SQLite")
        for name, source, target in [
            ("SQLite to Postgres", first, postgres),
            ("Postgres to SQLite", postgres, second),
        ]:
            took, told = run(program, "copy-database", "--from", source, "--to", target)
            assert told.count("equal") == told.count("target"), told
            print(f"{name}: {took:.1f} s")
        took, _ = run(program, "backup", f"{folder}/backup.db", DATABASE_URL=first)
        print(f"backup: {took:.1f} s")
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"the most memory that it held: {most / 1024:.0f} MB")


if __name__ == "__main__":
    main()
