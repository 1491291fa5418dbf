# sbxctl doctor: every row has a state; JSON and text agree; no colour where none is wanted.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

sbxctl doctor --json >d.json
code=$?
/usr/bin/python3 - $code <<'PY' || fail "the JSON is not as it should be: $(cat d.json)"
import json, sys
d = json.load(open("d.json"))
states = [c["state"] for c in d["checks"]]
names = [c["name"] for c in d["checks"]]
assert len(names) >= 10 and len(set(names)) == len(names), names
assert set(states) <= {"ok", "degraded", "missing"}
assert d["ok"] == all(s == "ok" for s in states)
assert all(c["fix"] for c in d["checks"] if c["state"] != "ok"), "a fault without a remedy"
want = 6 if "missing" in states else 1 if "degraded" in states else 0
assert want == int(sys.argv[1]), (want, sys.argv[1])
for need in ("FUSE", "daemon", "landlock"):
    assert need in names, need
PY
sbxctl doctor >out
expect_eq $? $code "exit code of the text form"
grep -q "$(printf '\033')" out && fail "colour in a file"
expect_eq "$(ls -A | sort | tr '\n' ' ')" "d.json out " "what is left"

if command -v script >/dev/null; then
	TERM=xterm script -qec 'sbxctl doctor' /dev/null >tty
	grep -q "$(printf '\033')" tty || fail "no colour on a terminal"
	NO_COLOR=1 TERM=xterm script -qec 'sbxctl doctor' /dev/null >tty
	grep -q "$(printf '\033')" tty && fail "colour although NO_COLOR is set"
fi
exit 0
