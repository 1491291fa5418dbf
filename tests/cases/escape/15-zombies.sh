# Attack 15: ten thousand orphaned zombies are reaped by pid 1; afterwards there is room again.
# run: root user degraded
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
run_result r.json --quiet $show --pids 256 --time 60s ws -- $there/zombie-storm 10000 >out 2>err
expect_field r.json verdict ok
expect_match "$(cat out)" '^made 1[0-9]+ left [0-9]$' "the storm"
