# Attacks 47 and 48: floods of output end at the limit with the supervisor small; input that nobody reads holds up nothing.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
for how in out err line nul; do
	run_result r.json --quiet $show --output 20M --time 30s ws -- $there/flood $how >out 2>err </dev/null
	expect_field r.json verdict output_limit
	expect_between $(($(wc -c <out) + $(wc -c <err))) 20000000 20971520 "bytes that arrived of $how"
done
# The supervisor's memory does not grow with what passes through it: the peak after 200 MB.
sbx-shell $degraded --quiet $show --output none ws -- sh -c "$there/flood line & sleep 1; kill \$!; echo end >&2; sleep 2" >/dev/null 2>end </dev/null &
run=$!
wait_for 20 grep -q end end || fail "the flood did not end"
expect_between "$(awk '/^VmHWM/ { print $2 }' /proc/$run/status)" 100 30000 "KiB of the supervisor at its peak"
wait $run
# A reader that leaves: the writer is told by EPIPE, at once. Control: so it is without us.
for shell in "" "sbx-shell $degraded --quiet $show ws --"; do
	program=${shell:+$there/flood}
	${shell} ${program:-$programs/flood} out 2>/dev/null </dev/null | head -c 100 >head.out
	expect_eq "$(wc -c <head.out)" 100 "bytes until the reader left (${shell:-outside})"
done
# Standard input that is never read, and one that is closed.
begin=$(now_ms)
head -c 100000000 /dev/zero | timeout 20 sbx-shell $degraded --quiet ws -- sleep 0.2 || fail "input that nobody reads"
sbx-shell $degraded --quiet ws -- cat <&- >out || fail "input that is closed"
expect_between $(($(now_ms) - begin)) 0 15000 "milliseconds for both"
