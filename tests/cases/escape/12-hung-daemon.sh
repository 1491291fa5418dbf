# Attack 12: a task that waits for a daemon that hangs cannot be killed; the run ends on time all the same.
# run: root user
# needs: fuse userns
# timeout: 60
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
inside ws 'head -c 100000 /dev/zero >/workspace/f' || fail "writing"
sbx-shell $degraded --quiet --result r.json --time 4s --grace 0 ws -- \
	sh -c 'echo up; sleep 1.5; cat /workspace/f >/dev/null; ls -la /workspace /workspace/nosuch; sleep 60' >out 2>err </dev/null &
run=$!
wait_for 5 grep -q up out || fail "it did not start: $(cat err)"
daemon=$(daemon_pid ws) || fail "no daemon"
kill -STOP "$daemon"
begin=$(now_ms)
wait $run
took=$(($(now_ms) - begin))
kill -CONT "$daemon" 2>/dev/null
expect_between $took 2000 9000 "milliseconds until the run was ended"
expect_match "$(field r.json verdict)" '^(timeout|fs_lost)$' verdict
sleep 0.1
for p in /proc/[0-9]*; do
	grep -qs "$PWD" "$p/cmdline" && grep -qs '^State:.D' "$p/status" && fail "a task hangs: $p"
done
# And the workspace is as it was: opens again, the file is there.
expect_eq "$(inside ws 'wc -c </workspace/f')" 100000 "size of the file afterwards"
