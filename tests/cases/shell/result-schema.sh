# The result has every field of the interface with its type, for each verdict, also when setup fails.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

schema() { /usr/bin/python3 "$SBX_SRC/tests/lib/schema.py" "$SBX_SRC/doc/result.schema.json" "$1" || fail "$2: $(cat "$1")"; }

new_ws ws
run_result r.json --quiet ws -- sh -c 'echo 12345; echo 123 >&2' >out 2>err
schema r.json ok
expect_field r.json stdout_bytes 6
expect_field r.json stderr_bytes 4
expect_match "$(field r.json run)" '^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4,}$' "run id"
run_result r.json --quiet --time 60s --cpu-time 5s --memory 512M --pids 64 --tmp 20M --output 1M ws -- true >out 2>err
schema r.json limits
expect_field r.json limits.time_ms 60000
expect_field r.json limits.cpu_time_ms 5000
expect_field r.json limits.memory_bytes 536870912
expect_field r.json limits.pids 64
expect_field r.json limits.tmp_bytes 20971520
expect_field r.json limits.output_bytes 1048576
run_result r.json --quiet --time 200ms --grace 0 ws -- sleep 5 >out 2>err
schema r.json timeout
expect_match "$(field r.json reason)" 'wall clock limit' reason
run_result r.json --quiet --profile strict ws -- true >out 2>err
schema r.json strict
expect_field r.json limits.memory_bytes 536870912
expect_field r.json limits.pids 64
expect_field r.json limits.time_ms 60000
# Setup fails: a result all the same.
run_result r.json --quiet no-such-workspace -- true >out 2>err
expect_eq $code 125 "exit code"
schema r.json setup
expect_field r.json verdict setup
expect_match "$(field r.json reason)" 'no-such-workspace' reason
# A record of every run of the workspace.
[ "$(ls ws/runs/*.json | wc -l)" -ge 4 ] || fail "records: $(ls ws/runs)"
for f in ws/runs/*.json; do schema "$f" "$f"; done
# The result file is written whole, or not at all; a place that cannot be written is said at once.
expect_code 125 sbx-shell $degraded --result /nonexistent/r.json ws -- true
grep -q nonexistent cmd.err || fail "not said: $(cat cmd.err)"
