"""The processes that answer, and their databases."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

from client import PASSWORD, Connection, Request, get

TICKS = os.sysconf("SC_CLK_TCK")
# Cheap hashes where they are not what is measured.
CHEAP = {"HALLPASS_BCRYPT_COST": "4"}
# One client on one machine does here what many would.
GENEROUS = {
    "HALLPASS_LIMIT_REFRESH": "100000/1m",
    "HALLPASS_LIMIT_NETWORK": "10000/1m",
    "HALLPASS_SESSIONS_PER_USER": "100",
    "HALLPASS_ACCESS_TOKEN_TTL": "15m",
}


class Process:
    """A running program that says on which port it listens. It is killed at the end of its block."""

    def __init__(self, command, folder, settings):
        self.log = tempfile.NamedTemporaryFile("w", dir=folder, suffix=".log", delete=False)
        env = {"PATH": os.environ["PATH"]} | settings
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    @property
    def port(self):
        for _ in range(40_000):
            with open(self.log.name, encoding="utf-8") as log:
                text = log.read()
            if found := re.search(r" (?:on|at) http://127\.0\.0\.1:(\d+)", text):
                return int(found[1])
            assert self.process.poll() is None, text
            time.sleep(0.0005)
        raise TimeoutError(text)

    @property
    def base(self):
        return f"http://127.0.0.1:{self.port}"

    def cpu(self):
        """Returns the seconds that it has had of all processors."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """Returns the proportional set size (PSS) in MiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024


class Database:
    """A folder with a SQLite database, or a schema of a Postgres with a folder for the secret."""

    def __init__(self, folder, postgres=None):
        self.folder = folder
        os.makedirs(folder)
        self.settings = {"HALLPASS_BIND": "127.0.0.1:0"} | GENEROUS
        self.url = None
        if postgres:
            schema = os.path.basename(folder).replace("-", "_")
            psql(postgres, f"CREATE SCHEMA {schema}")
            self.url = f"{postgres}{'&' if '?' in postgres else '?'}options=-csearch_path%3D{schema}"
            self.settings |= {"DATABASE_URL": self.url, "HALLPASS_SECRET": os.urandom(32).hex()}

    @property
    def name(self):
        return "Postgres" if self.url else "SQLite"

    def create(self, program, settings=CHEAP):
        """Makes the tables and the user `admin`."""
        admin = ["create-superuser", "--username", "admin", "--password", PASSWORD]
        env = self.settings | settings
        subprocess.run([program, *admin], cwd=self.folder, env=env, check=True, stdout=subprocess.DEVNULL)
        return self

    def start(self, program, settings=CHEAP, before=()):
        """Starts the program, by the command `before` if there is one."""
        return Process([*before, program], self.folder, self.settings | settings)

    def run_sql(self, statements, analyse=False):
        if self.url:
            psql(self.url, *statements)
            if analyse:
                psql(self.url, "VACUUM ANALYZE")
            return
        connection = sqlite3.connect(f"{self.folder}/data/hallpass.db")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def fill(self, users):
        """Adds users, each with a session and a refresh token."""
        now = time.time_ns() // 1000
        moment = f"({now} - 1000000 * ((i - 1) % 86400))"
        if self.url:
            numbers, of_32 = f"generate_series(CAST(1 AS BIGINT), {users}) AS n(i)", "sha256((random()::text || id)::bytea)"
            digits, tail = f"lpad(to_hex({moment} / 1000), 12, '0')", "substr(md5(random()::text), 1, 12)"
        else:
            limit = f"SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users}"
            numbers, of_32 = f"(WITH RECURSIVE n(i) AS ({limit}) SELECT i FROM n) AS n", "randomblob(32)"
            digits, tail = f"printf('%012x', {moment} / 1000)", "lower(hex(randomblob(6)))"
        session = f"substr({digits}, 1, 8) || '-' || substr({digits}, 9, 4) || '-7000-8000-' || {tail}"
        self.run_sql([
            "INSERT INTO users (username, username_norm, email, email_norm, email_verified, password_hash, is_active, "
            "is_staff, is_superuser, locale, created_at, updated_at) SELECT 'user' || i, 'user' || i, "
            "'p' || i || '@example.com', 'p' || i || '@example.com', TRUE, admin.password_hash, TRUE, FALSE, FALSE, "
            f"'en', {now}, {now} FROM {numbers} CROSS JOIN (SELECT password_hash FROM users) AS admin ORDER BY i",
            "INSERT INTO sessions (id, user_id, amr, created_at, last_seen_at, expires_at, device) "
            f"SELECT {session}, i + 1, 'pwd', {moment}, {moment}, {now} + 864000000000, 'Firefox on Linux' FROM {numbers}",
            "INSERT INTO refresh_tokens (token_hash, session_id, expires_at) "
            f"SELECT {of_32}, id, expires_at FROM sessions",
        ], analyse=True)

    def end_sessions(self, count):
        """Ends sessions of now, so that their access tokens are revoked."""
        now = time.time_ns() // 1000
        self.run_sql([
            f"UPDATE sessions SET ended_at = {now} + user_id, end_reason = 'logged_out' WHERE user_id <= {count + 1}"
        ])


def slow_disk(millis):
    """Returns a command that runs another one, in the same process, whose flushes of the disk take longer.

    Nothing if strace cannot do that. It stops the program at these calls only.
    """
    flushes = "fsync,fdatasync"
    delayed = ["-e", f"trace={flushes}", "-e", f"inject={flushes}:delay_exit={millis * 1000}"]
    command = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", *delayed]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return command


def psql(url, *statements):
    """Returns what the last of the statements prints."""
    for statement in statements:
        done = subprocess.run(["psql", "-qtAX", url, "-c", statement], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pocketbase_program():
    return os.environ.get("POCKETBASE") or shutil.which("pocketbase")


def pocketbase(program, folder):
    """Starts PocketBase and returns the process with the request that checks a token there.

    It has no request that only checks a token: this one reads the user's own record with it.
    """
    os.makedirs(folder)
    data = [f"--dir={folder}/data"]
    owner = ["admin@example.com", PASSWORD]
    subprocess.run([program, "superuser", "upsert", *owner, *data], check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    process = Process([program, "serve", f"--http=127.0.0.1:{port}", *data], folder, {})
    connection = Connection(process.port)

    def ask(path, body, **headers):
        kind = {"content-type": "application/json"}
        return connection.ask(Request("POST", f"/api/collections/{path}", json.dumps(body), kind | headers))

    def log_in(collection, email):
        return ask(f"{collection}/auth-with-password", {"identity": email, "password": PASSWORD})["token"]

    user = {"email": "a@example.com", "password": PASSWORD, "passwordConfirm": PASSWORD}
    made = ask("users/records", user, authorization=log_in("_superusers", owner[0]))
    token = log_in("users", user["email"])
    return process, get(f"/api/collections/users/records/{made['id']}", authorization=token)
