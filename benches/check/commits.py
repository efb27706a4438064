"""Commits rows to a SQLite database for a while, and prints the milliseconds of each.

By SQLite itself: an fsync takes 20 times as long where a file grows as where it is written over, and a write-ahead
log does both.
"""

import sqlite3
import sys
import time


def main():
    folder, seconds = sys.argv[1], float(sys.argv[2])
    connection = sqlite3.connect(f"{folder}/commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS rows (content BLOB)")
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.perf_counter()
        connection.execute("INSERT INTO rows VALUES (randomblob(100))")
        print((time.perf_counter() - began) * 1000)
    connection.close()


main()
