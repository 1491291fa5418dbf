# A limit that cannot be applied here ends the run with 125 and remedies, unless accepted; then it is named.
# run: user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
if sbx-shell --memory 100M ws -- true >out 2>err </dev/null; then
	skip "this user has cgroups of his own"
fi
expect_refusal 125 "memory --allow-degraded" sbx-shell --memory 100M ws -- true
run_result r.json --memory 100M ws -- true 2>err
expect_field r.json verdict ok
expect_match "$(field r.json degraded)" 'memory' "degraded"
expect_field r.json isolation.cgroup none
expect_refusal 125 "CPU time --cpu-time none --allow-degraded" sbx-shell --memory none --cpu-time 5s ws -- true
run_result r.json --memory none --cpu-time 5s ws -- true 2>err
expect_match "$(field r.json degraded)" 'CPU time limit of 5 s' "degraded"
# What asks for no such limit is not degraded.
expect_code 0 sbx-shell --memory none --result r2.json ws -- true
expect_field r2.json degraded '[]'
# And by setting it once for the workspace.
expect_code 0 sbxctl set ws limits.memory=none
expect_code 0 sbx-shell ws -- true
