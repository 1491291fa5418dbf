"""One thousand small transactions, each an INSERT of one row: prints transactions per second.

usage: sqlite.py DIRECTORY JOURNAL_MODE     (WAL or DELETE; synchronous as SQLite has it, FULL)
"""
import os
import sqlite3
import sys
import time

TRANSACTIONS = 1000

directory, mode = sys.argv[1:]
path = os.path.join(directory, f"bench-{mode}.db")
for name in (path, path + "-wal", path + "-shm", path + "-journal"):
    if os.path.exists(name):
        os.unlink(name)
db = sqlite3.connect(path, isolation_level=None)
if db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0].upper() != mode:
    sys.exit(f"sqlite.py: no journal mode {mode} here")
db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL)")
begin = time.monotonic()
for i in range(TRANSACTIONS):
    db.execute("BEGIN")
    db.execute("INSERT INTO t (name, value) VALUES (?, ?)", (f"row number {i}", i / 7))
    db.execute("COMMIT")
seconds = time.monotonic() - begin
db.close()
os.unlink(path)
print(f"{TRANSACTIONS / seconds:.1f}")
