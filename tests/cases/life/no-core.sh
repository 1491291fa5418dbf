# A crash leaves no core: not in the workspace, not with a handler of the host; the limit says so.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
run_result r.json --quiet ws -- sh -c 'ulimit -c unlimited 2>/dev/null; kill -ABRT $$' >out 2>err
expect_field r.json verdict signal
expect_field r.json signal 6
expect_eq "$(inside ws 'ls -A /workspace')" "" "files in the workspace"
! find . -name 'core*' | grep -q . || fail "a core file on the host"
expect_match "$(inside ws 'ulimit -c')" '^[01]$' "ulimit -c inside"
# The daemon, which holds the keys, cannot be dumped or traced.
sbx-shell $degraded --quiet ws -- sh -c 'echo up; sleep 2' >out 2>err </dev/null &
wait_for 5 grep -q up out || fail "$(cat err)"
d=$(daemon_pid ws)
if [ "$MODE" = user ]; then
	expect_eq "$(stat -c %u "/proc/$d/mem")" 0 "owner of /proc/F/mem: not dumpable"
	! cat "/proc/$d/environ" >/dev/null 2>&1 || fail "the environment of the daemon is readable"
fi
grep -q '^Max core file size  *[01] ' "/proc/$d/limits" || [ "$MODE" = user ] || fail "the daemon may dump core: $(grep core "/proc/$d/limits")"
wait
