# A daemon that is stopped, frozen, or waits itself for a disk that hangs: the run in it ends at its
# limit all the same, nothing of it is left, and the sentence says what was done.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

word=sbx-hung-$$-$RANDOM
new_ws ws
inside ws 'head -c 300000 /dev/urandom >/workspace/f' || fail writing

# A run that reads and writes without end. The daemon has read requests of it at any moment.
start() { # WS TIME
	sbx-shell $degraded --result r.json --time "$2" --grace 0 "$1" -- sh -c ": $word; echo up
		for i in 1 2 3 4 5 6; do while :; do cat /workspace/f >/workspace/g\$i; sync; ls /workspace/none\$i; done & done 2>/dev/null
		wait" >out 2>err </dev/null &
	run=$!
	wait_for 5 grep -q up out || fail "it did not start: $(cat err)"
}

# The run ends so many milliseconds after its limit at most, with the right verdict and sentence.
ends_within() { # TIME MS
	wait $run
	expect_eq $? 124 "exit code ($(cat err))"
	expect_field r.json verdict timeout
	expect_between "$(field r.json wall_ms)" "$1" $(($1 + $2)) wall_ms
	sleep 0.1
	expect_eq "$(count_processes $word)" 0 "processes that are left"
}

hung() {
	grep -q 'daemon did not answer and was ended' err
}

# Stopped. Between two requests nothing hangs: then once more.
for i in $(seq 15); do
	start ws 800ms
	sleep 0.3
	daemon=$(daemon_pid ws)
	kill -STOP "$daemon" || fail "no daemon"
	ends_within 800 1000
	kill -CONT "$daemon" 2>/dev/null
	hung && break
done
hung || fail "nothing hung in 15 runs: $(cat err)"
expect_match "$(inside ws 'wc -c </workspace/f')" '^300000$' "the file afterwards"

# Waiting for a disk that hangs: the store is in a workspace whose daemon is stopped.
mkdir m
sbxctl mount ws m >mount.out 2>&1 || fail "mount: $(cat mount.out)"
disk=$(daemon_pid ws)
new_ws m/workspace/ws2
inside m/workspace/ws2 'head -c 300000 /dev/urandom >/workspace/f' || fail "writing in the second"
start m/workspace/ws2 1500ms
sleep 0.5
kill -STOP "$disk"
ends_within 1500 6000
hung || fail "not said: $(cat err)"
kill -CONT "$disk"
wait_for 5 sbxctl umount m || fail "umount"

# Frozen: a SIGKILL waits until it is thawed.
freezer=/sys/fs/cgroup/freezer/sbx-hung-$$
[ "$MODE" = root ] && mkdir "$freezer" 2>/dev/null || exit 0
for i in $(seq 15); do
	start ws 800ms
	sleep 0.3
	daemon_pid ws >"$freezer/cgroup.procs" || fail "freezing the daemon"
	echo FROZEN >"$freezer/freezer.state"
	wait $run
	code=$?
	echo THAWED >"$freezer/freezer.state"
	expect_eq "$code $(count_processes $word)" "124 0" "exit code and processes that are left ($(cat err))"
	wait_for 5 rmdir "$freezer" || fail "the frozen daemon does not end"
	hung && break
	mkdir "$freezer"
done
hung || fail "nothing hung in 15 runs: $(cat err)"
