# Ctrl-C at any moment: init and mount are done whole or not at all, and nothing is left of them.
# run: root user
# needs: fuse fusermount3
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir view
for i in $(seq 40); do
	setsid sbxctl init --cipher xchacha20 "new$i" >out 2>err &
	pid=$!
	sleep "0.0$((i % 10))$((i * 7 % 10))"
	kill -INT -- -"$pid" 2>/dev/null
	wait $pid
	if [ -e "new$i" ]; then
		[ -f "new$i/workspace.json" ] || fail "a half-made workspace after $i: $(ls -A "new$i")"
		[ ! -e "new$i/.sbx-new" ] || fail "a scratch directory after $i"
	fi
	rm -rf "new$i"

	setsid sbxctl mount ws view >out 2>err &
	pid=$!
	sleep "0.0$((i % 10))$((i * 3 % 10))"
	kill -INT -- -"$pid" 2>/dev/null
	wait $pid
	if [ $? = 0 ]; then
		expect_code 0 sbxctl umount view
	fi
	wait_for 5 sh -c '! grep -q " $PWD/view/" /proc/self/mountinfo' || fail "a mount after $i: $(cat out err)"
	wait_for 5 sh -c '[ -z "$(ls -A view)" ]' || fail "mount points after $i: $(ls view)"
	wait_for 5 flock -n ws/lock true || fail "still served after $i"
done
