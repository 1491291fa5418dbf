# sbxctl set and show: changes are kept, all of them or none, and hold in the next run.
# run: root user
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
expect_code 0 sbxctl set ws limits.time=5s limits.pids=50 quota=1M quota.files=20
sbxctl show ws --json >show.json || fail "show"
expect_field show.json limits.time 5s
expect_field show.json limits.pids 50
expect_field show.json quota.bytes 1048576
expect_field show.json quota.files 20
expect_eq "$(field ws/workspace.json limits.time)" 5s "the file itself"
sbxctl show ws | grep -Eq 'time +5s' || fail "show does not print it"

run_result r.json ws -- true
expect_field r.json limits.time_ms 5000
expect_field r.json limits.pids 50
inside ws 'head -c 2000000 /dev/zero >/workspace/big' 2>/dev/null && fail "the quota does not hold"

# One wrong, nothing changed.
expect_code 2 sbxctl set ws limits.time=9s limits.pids=many
sbxctl show ws --json >show.json
expect_field show.json limits.time 5s
expect_code 0 sbxctl set ws quota=none limits.memory=half limits.cpus=all limits.time=none
sbxctl show ws --json >show.json
expect_field show.json quota.bytes 0
expect_field show.json limits.memory half
