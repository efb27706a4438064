#!/usr/bin/env python3
"""Measures what a refresh, a log-in and a check cost in Postgres: statements and bytes of WAL, one
request at a time.

    .ci/with-postgres benches/database-cost.py target/release/hallpass
"""

import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "check"))
from client import Connection, log_in, refresh, token_verify  # noqa: E402
from services import Database, psql  # noqa: E402

# Fewer than the sessions of a user, beyond which a log-in ends others.
REQUESTS = 80
URL = os.environ["DATABASE_URL"]


def cost(name, request):
    """Prints what a request costs, less what the service does beside it in the same time."""
    for _ in range(10):
        request()
    before, began = state(), time.monotonic()
    for _ in range(REQUESTS):
        request()
    took, busy = time.monotonic() - began, state()
    time.sleep(took)
    idle = state()
    figures = [((b - a) - (c - b)) / REQUESTS for a, b, c in zip(before, busy, idle)]
    print(f"| {name} | {figures[0]:.1f} | {figures[1]:.0f} |")


def state():
    statements = psql(URL, "SELECT sum(calls) FROM pg_stat_statements WHERE query !~ 'pg_stat|pg_current_wal'")
    wal = psql(URL, "SELECT pg_current_wal_insert_lsn() - '0/0'")
    return int(statements), int(wal)


def main():
    program = os.path.abspath(sys.argv[1])
    psql(URL, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"{folder}/cost", URL).create(program)
        with database.start(program) as service:
            connection = Connection(service.port)
            print("| request | statements | bytes of WAL |\n| --- | --- | --- |")
            cost("log-in", lambda: connection.ask(log_in("admin")))
            # Log-ins end the oldest sessions of a user.
            tokens = connection.ask(log_in("admin"))
            cost("refresh", lambda: tokens.update(connection.ask(refresh(tokens["refresh_token"]))))
            check = token_verify(tokens["access_token"])
            cost("check", lambda: connection.ask(check))


if __name__ == "__main__":
    main()
