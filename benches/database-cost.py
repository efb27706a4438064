#!/usr/bin/env python3
"""Measures what a refresh, a log-in and a check cost in Postgres: statements and bytes of WAL, one
request at a time; and refreshes per second on several connections with limits on and off,
in turn, all from one network (needs `wrk`).

    .ci/with-postgres benches/database-cost.py target/release/hallpass [CONNECTIONS] [SECONDS] [ROUNDS]
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

PASSWORD = "plum tree at dusk"
# Fewer than the sessions of a user, beyond which a log-in ends others.
REQUESTS = 80
URL = os.environ["DATABASE_URL"]
SECRET = os.urandom(32).hex()


def sql(statement):
    done = subprocess.run(["psql", "-qtAX", URL, "-c", statement], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Service:
    def __init__(self, program, limits):
        self.folder = tempfile.TemporaryDirectory()
        settings = {
            "DATABASE_URL": URL,
            "HALLPASS_SECRET": SECRET,
            "HALLPASS_BIND": "127.0.0.1:0",
            "HALLPASS_BCRYPT_COST": "4",
            "HALLPASS_DATABASE_POOL": "24",
            "HALLPASS_LIMITS": limits,
            "HALLPASS_SESSIONS_PER_USER": "100",
            "HALLPASS_LIMIT_REFRESH": "100000/1m",
            "HALLPASS_LIMIT_NETWORK": "10000/1m",
        }
        self.user = f"limits-{limits}"
        made = subprocess.run(
            [program, "create-superuser", "--username", self.user, "--password", PASSWORD],
            cwd=self.folder.name, env=settings, capture_output=True, text=True,
        )
        assert made.returncode == 0, made.stderr
        self.log = open(f"{self.folder.name}/log", "w+")
        self.process = subprocess.Popen([program], cwd=self.folder.name, env=settings, stderr=self.log)
        self.port = None
        while self.port is None:
            time.sleep(0.05)
            found = re.search(r" on http://127.0.0.1:(\d+)", open(self.log.name).read())
            self.port = found and int(found[1])

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def log_in(self, connection):
        return post(connection, "/v1/token-auth", {"username": self.user, "password": PASSWORD})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def post(connection, path, body):
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    assert response.status == 200, (path, response.status, text)
    return json.loads(text)


def refresh(connection, tokens):
    tokens.update(post(connection, "/v1/token-refresh", {"refresh_token": tokens["refresh_token"]}))


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
    statements = sql("SELECT sum(calls) FROM pg_stat_statements WHERE query !~ 'pg_stat|pg_current_wal'")
    wal = sql("SELECT pg_current_wal_insert_lsn() - '0/0'")
    return int(statements), int(wal)


# wrk has no state of a connection: a token is any connection's until it is exchanged.
SCRIPT = """
local tokens = { %s }
request = function()
    local body = '{"refresh_token":"' .. table.remove(tokens) .. '"}'
    return wrk.format("POST", "/v1/token-refresh", {["content-type"] = "application/json"}, body)
end
response = function(status, headers, body)
    table.insert(tokens, body:match('"refresh_token":"([^"]+)"'))
end
"""


def refreshes(service, connections, seconds):
    """Refreshes per second, each with the newest token of a session."""
    connection = service.connect()
    # wrk takes some before it begins.
    tokens = [service.log_in(connection)["refresh_token"] for _ in range(3 * connections)]
    with tempfile.NamedTemporaryFile("w") as script:
        script.write(SCRIPT % ", ".join(f"'{token}'" for token in tokens))
        script.flush()
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name,
             f"http://127.0.0.1:{service.port}"],
            capture_output=True, text=True,
        )
    assert done.returncode == 0 and "Non-2xx" not in done.stdout, done.stdout + done.stderr
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


def main():
    program = os.path.abspath(sys.argv[1])
    connections, seconds, rounds = (int(it) for it in [*sys.argv[2:], "24", "4", "5"][:3])
    sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    with Service(program, "on") as limited, Service(program, "off") as unlimited:
        connection = limited.connect()
        print("| request | statements | bytes of WAL |\n| --- | --- | --- |")
        cost("log-in", lambda: limited.log_in(connection))
        # Log-ins end the oldest sessions of a user.
        tokens = limited.log_in(connection)
        cost("refresh", lambda: refresh(connection, tokens))
        check = {"token": tokens["access_token"]}
        cost("check", lambda: post(connection, "/v1/token-verify", check))
        ratios = []
        for _ in range(rounds):
            on, off = (refreshes(it, connections, seconds) for it in (limited, unlimited))
            print(f"refreshes per second: {on:.0f} with limits, {off:.0f} without", flush=True)
            ratios.append(on / off)
        print(f"median of the ratios: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
