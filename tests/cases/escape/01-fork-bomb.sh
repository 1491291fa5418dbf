# Attack 1: a fork bomb meets the limit of processes; the host goes on, nothing survives.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
run_result r.json --quiet $show --pids 64 --time 1s --grace 0 ws -- $there/fork-bomb >out 2>err
expect_match "$(cat out)" '^EAGAIN after [0-9]+$' "what the bomb met"
made=$(sed 's/.* //' out)
expect_between "$made" 20 64 "processes made under --pids 64"
verdict=$(field r.json verdict)
expect_match "$verdict" '^(timeout|pids)$' verdict
[ "$limits_enforced" = no ] || [ "$(field r.json pids_max_hits)" -gt 0 ] || fail "no hit was counted: $(cat r.json)"
expect_gone $there/fork-bomb
# Control: the same number of processes is possible inside when the limit allows it.
run_result r.json --quiet --pids 200 ws -- sh -c 'i=0; while [ $i -lt 100 ]; do sleep 1 & i=$((i+1)); done; wait' >out 2>err
expect_field r.json verdict ok
