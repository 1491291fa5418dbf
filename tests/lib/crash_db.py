# Asked by crash_check: a directory with a database "data" on each line; answers "ok TRANSACTIONS".
import os, sqlite3, sys

for line in sys.stdin:
    path = os.path.join(line.rstrip("\n"), "data")
    try:
        answer = "ok 0"
        if os.path.exists(path):
            db = sqlite3.connect(path)
            check = db.execute("pragma integrity_check").fetchall()
            if check != [("ok",)]:
                answer = f"the database is damaged: {check[0][0]}"
            elif db.execute("select count(*) from sqlite_master where name = 't'").fetchone()[0]:
                n, top = db.execute("select count(*), coalesce(max(n), 0) from t").fetchone()
                answer = f"ok {n}" if n == top else f"transactions are missing: {n} of {top}"
            db.close()
    except sqlite3.Error as e:
        answer = f"the database cannot be used: {e}"
    print(answer.replace("\n", " "), flush=True)
