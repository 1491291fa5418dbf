# One daemon per workspace: started by the first, shared by all, gone soon after the last.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
alive() { [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
dead() { ! alive "$1"; }
sbx-shell $degraded --quiet ws -- sh -c 'echo up; sleep 2' >out1 2>err1 </dev/null &
a=$!
wait_for 5 grep -q up out1 || fail "first: $(cat err1)"
pid=$(daemon_pid ws)
sbx-shell $degraded --quiet ws -- sh -c 'echo up; sleep 3' >out2 2>err2 </dev/null &
b=$!
wait_for 5 grep -q up out2 || fail "second: $(cat err2)"
expect_eq "$(daemon_pid ws)" "$pid" "one daemon for both"
sbxctl status ws --json >st.json || fail status
expect_eq "$(/usr/bin/python3 -c 'import json; print(len(json.load(open("st.json"))["sessions"]))')" 2 "sessions"
wait $a
alive "$pid" || fail "the daemon left while a session ran"
wait $b
wait_for 2 dead "$pid" || fail "the daemon is still there after the last session"
# Its store is clean and the next one opens it.
expect_eq "$(inside ws 'echo again')" again "the next session"
