"""Records what a real Django makes, for the tests of a machine that has none.

    python -m venv /tmp/django && /tmp/django/bin/pip install -r tests/django_users/requirements.txt
    .ci/with-postgres /tmp/django/bin/python tests/django_users/record.py

Writes `recorded/`, the two tables as SQL from both databases, with django-allauth and without, and
`src/security/django_vectors.in`. The tests load these; with HALLPASS_TEST_DJANGO_PYTHON naming that
Python they have Django make its databases anew instead.
"""
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "recorded"
TABLES = ("auth_user", "account_emailaddress")


def make_users(url, with_allauth):
    extra = ["--with-allauth"] if with_allauth else []
    subprocess.run([sys.executable, HERE / "make_users.py", url, *extra], check=True)


def from_sqlite(with_allauth):
    with tempfile.TemporaryDirectory() as folder:
        make_users(f"sqlite:///{folder}/site.sqlite3", with_allauth)
        database = sqlite3.connect(f"{folder}/site.sqlite3")
        # Table by table, since one refers to the other.
        starts = ('CREATE TABLE "{}"', 'INSERT INTO "{}"', 'CREATE INDEX', 'CREATE UNIQUE INDEX')
        lines = [
            line
            for table in TABLES
            for line in database.iterdump()
            if line.startswith(tuple(start.format(table) for start in starts))
            and f'"{table}"' in line
        ]
        return "\n".join(lines) + "\n"


def from_postgres(server, with_allauth):
    import psycopg

    schema = "site_with_allauth" if with_allauth else "site"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    make_users(f"{server}?options=-csearch_path%3D{schema}", with_allauth)
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    dump = programs[-1] / "pg_dump" if programs else "pg_dump"
    tables = [f"--table={schema}.{table}" for table in TABLES]
    text = subprocess.run(
        [dump, server, "--inserts", "--no-owner", "--no-comments", *tables],
        check=True, capture_output=True, text=True,
    ).stdout
    lines = [
        line.replace(f"{schema}.", "")
        for line in text.splitlines()
        # Of use to psql only, or for the whole database.
        if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog.set_config"))
    ]
    return "\n".join(lines) + "\n"


def main():
    OUT.mkdir(exist_ok=True)
    for with_allauth in (False, True):
        name = "with_allauth" if with_allauth else "plain"
        (OUT / f"sqlite_{name}.sql").write_text(from_sqlite(with_allauth))
        (OUT / f"postgres_{name}.sql").write_text(from_postgres(os.environ["DATABASE_URL"], with_allauth))
    subprocess.run([sys.executable, HERE / "vectors.py"], check=True)


main()
