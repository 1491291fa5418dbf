# Attack 8: who ignores TERM, INT and HUP is ended when the grace is over: verdict timeout, exit 124.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
begin=$(now_ms)
run_result r.json $show --time 1s --grace 500ms ws -- $there/stubborn ignore >out 2>err
took=$(($(now_ms) - begin))
expect_eq $code 124 "exit code"
expect_file out begun
expect_field r.json verdict timeout
expect_field r.json exit_code null
expect_between "$(field r.json wall_ms)" 1400 1800 "wall_ms with --time 1s --grace 500ms"
expect_between $took 1400 2600 "milliseconds that the call took"
# One line on stderr: which limit, its value, the option that raises it.
[ "$limits_enforced" = yes ] || sed -i '/not applied\|degraded\|without/d' err
expect_eq "$(wc -l <err)" 1 "lines on stderr: $(cat err)"
expect_match "$(cat err)" '\-\-time' "the line on stderr"
# Control: who does not ignore TERM ends at once.
run_result r.json --quiet --time 1s --grace 5s ws -- sleep 60 >out 2>err
expect_field r.json verdict timeout
expect_between "$(field r.json wall_ms)" 990 1300 "wall_ms when TERM is enough"
