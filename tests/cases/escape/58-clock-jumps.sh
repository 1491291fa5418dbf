# Attack 58: the host's clock leaps by days: the limits of time hold all the same.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
jump=$programs/jump-clock.so
[ -f "$jump" ] || fail "$jump was not built"
# Control: who asks for the time of day sees the leaps.
a=$(LD_PRELOAD=$jump date +%s) b=$(date +%s)
[ $((a - b)) -gt 80000 ] || [ $((b - a)) -gt 80000 ] || fail "the control: the clock of date does not leap: $a $b"
export LD_PRELOAD=$jump
run_result r.json --quiet --time 600ms --grace 0 ws -- sleep 30 >out 2>err
expect_field r.json verdict timeout
expect_between "$(field r.json wall_ms)" 590 1500 "wall_ms at --time 600ms"
run_result r.json --quiet --time 20s ws -- sleep 0.7 >out 2>err
unset LD_PRELOAD
expect_field r.json verdict ok
expect_between "$(field r.json wall_ms)" 600 3000 "wall_ms of a sleep of 700 ms"
