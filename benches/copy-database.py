#!/usr/bin/env python3
"""Measures `hallpass copy-database` for 100,000 users with a session and a refresh token each,
from SQLite to an empty Postgres and from there to a new SQLite file; and what the program held.

    .ci/with-postgres benches/copy-database.py target/release/hallpass [USERS]
"""

import os
import resource
import sqlite3
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
INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, device)
SELECT lower(hex(randomblob(16))), id, 'pwd', id, id, id + 1000000, 'Firefox on Linux' FROM users;
INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
SELECT randomblob(32), id, expires_at FROM sessions;
"""


def fill(path, users):
    connection = sqlite3.connect(path)
    for statement in filter(str.strip, FILL.split(";")):
        connection.execute(statement, {"users": users} if ":users" in statement else {})
    connection.commit()
    connection.close()


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
        first, second = (f"sqlite://{folder}/{name}.db" for name in ("first", "second"))
        run(program, "migrate", DATABASE_URL=first)
        fill(f"{folder}/first.db", users)
        print(f"{users} users, {os.path.getsize(f'{folder}/first.db') / 1e6:.0f} MB in SQLite")
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
