# Attack 11: 64 busy threads end at the limit of CPU time, and --cpus slows them down.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
run_result r.json $show --cpu-time 1s --time 20s --grace 0 ws -- $there/busy-threads 64 15 >out 2>err
expect_file out "64 threads"
expect_field r.json verdict cpu_timeout
expect_eq $code 124 "exit code"
expect_between "$(field r.json cpu_ms)" 950 2500 "cpu_ms at --cpu-time 1s"
expect_match "$(cat err)" '\-\-cpu-time' "the line on stderr"
expect_gone $there/busy-threads
if [ "$limits_enforced" = yes ]; then
	run_result r.json --quiet $show --cpus 0.25 --time 2s --grace 0 ws -- $there/busy-threads 8 15 >out 2>err
	expect_between "$(field r.json cpu_ms)" 200 900 "cpu_ms of 2 s at --cpus 0.25"
else
	run_result r.json --quiet --cpus 0.25 ws -- true >out 2>err
	expect_degraded r.json cpu
fi
