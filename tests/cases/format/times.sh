# A time that was set stays, although the log brings the data home later.
# run: root user
# needs: fuse userns
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cat >/workspace/set.py <<"PY"
import os
T = (1600000000123456789, 1600000000123456789)
def put(name, data, mode, at_end=False):
    with open(name, mode) as f:
        f.write(data)
        f.flush()
        if not at_end:
            os.utime(f.fileno(), ns=T)
    if at_end:
        os.utime(name, ns=T)
put("new", b"x" * 5000, "wb")
for name in ("over", "rewritten", "cut"):
    put(name, b"x" * 50000, "wb")
os.sync()
put("over", b"y" * 100, "r+b")
put("rewritten", b"y" * 100, "wb")
os.truncate("cut", 100)
os.utime("cut", ns=T)
put("empty", b"", "wb", True)
PY
cd /workspace; python3 set.py; rm set.py' || fail "writing"
wait_for 10 eval '! [ -s ws/lock ]' || fail "the daemon stays"
got=$(inside ws 'cd /workspace; stat -c "%n %y" *' | grep -v '2020-09-13 12:26:40.123456789')
expect_eq "$got" "" "files whose time moved"
