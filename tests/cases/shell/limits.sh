# Limits of time, output, file size, descriptors, processes, tmpfs: each is met, said and counted.
# run: root user
# needs: fuse userns
# timeout: 90
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
# Output: both streams together, what was written up to the limit arrives.
run_result r.json --output 100K ws -- sh -c 'yes 0123456789 2>/dev/null' >out 2>err
expect_field r.json verdict output_limit
expect_between "$(wc -c <out)" 90000 102400 "bytes that arrived under --output 100K"
expect_match "$(tail -n 1 err)" '\-\-output' "the line on stderr"
run_result r.json --quiet --output 1M ws -- sh -c 'head -c 500000 /dev/zero; head -c 400000 /dev/zero >&2' >out 2>err
expect_field r.json verdict ok
expect_eq "$(wc -c <out) $(wc -c <err)" "500000 400000" "what fits arrives"
# CPU time is exact to 100 ms of CPU, on however many processors; the best of three, as the machine
# may be busy.
for t in 200 700; do
	over=9999
	for i in 1 2 3; do
		run_result r.json --quiet --cpu-time ${t}ms --grace 0 ws -- sh -c 'for i in 1 2 3 4 5 6; do while :; do :; done & done; wait' >out 2>err
		expect_field r.json verdict cpu_timeout
		cpu=$(field r.json cpu_ms)
		expect_between "$cpu" $t $((t + 2000)) "cpu_ms at ${t}ms"
		[ $((cpu - t)) -ge $over ] || over=$((cpu - t))
		[ $over -gt 100 ] || break
	done
	expect_between $over 0 100 "ms of CPU past the limit of ${t}ms"
done
# Wall clock is exact to 100 ms.
for t in 500 1500; do
	run_result r.json --quiet --time ${t}ms --grace 0 ws -- sleep 30 >out 2>err
	expect_between "$(field r.json wall_ms)" $t $((t + 150)) "wall_ms at ${t}ms"
done
# TERM first, then the grace: a program may save its work.
run_result r.json --quiet --time 500ms --grace 3s ws -- \
	python3 -c 'import signal, sys, time
def save(*_):
    open("/workspace/saved", "w").write("saved"); sys.exit(0)
signal.signal(signal.SIGTERM, save)
time.sleep(30)' >out 2>err
expect_field r.json verdict timeout
expect_eq "$(inside ws 'cat /workspace/saved')" saved "what was saved in the grace"
# File size, descriptors.
run_result r.json --quiet --fsize 1M ws -- sh -c 'head -c 3000000 /dev/zero >/workspace/big' >out 2>err
[ "$code" != 0 ] || fail "--fsize 1M let 3 MB pass"
expect_eq "$(inside ws 'stat -c %s /workspace/big')" 1048576 "size under --fsize 1M"
expect_eq "$(sbx-shell $degraded --quiet --nofile 77 ws -- sh -c 'ulimit -n' </dev/null)" 77 "--nofile"
# tmpfs sizes.
sbx-shell $degraded --quiet --tmp 5M --shm 6M --home-size 7M ws -- \
	sh -c 'df -B1M --output=size /tmp /dev/shm "$HOME" | tail -n 3 | tr -d " \n"' >out </dev/null
expect_file out 567
expect_eq "$(sbx-shell $degraded --quiet --tmp 5M ws -- sh -c 'head -c 9000000 /dev/zero >/tmp/x || stat -c %s /tmp/x' 2>/dev/null </dev/null)" 5242880 "what fits in --tmp 5M"
# /tmp is noexec, /dev/shm too small for nobody.
! inside ws 'cp /bin/true /tmp/t && /tmp/t' >out 2>err || fail "/tmp lets programs run"
# Limits kept in the workspace hold without an option, and an option goes before them.
expect_code 0 sbxctl set ws limits.time=400ms limits.grace=0s
run_result r.json --quiet ws -- sleep 30 >out 2>err
expect_field r.json verdict timeout
run_result r.json --quiet --time 20s ws -- sleep 1 >out 2>err
expect_field r.json verdict ok
