# sbxctl mount --foreground stays, and Ctrl-C unmounts.
# run: root user
# needs: fuse fusermount3
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir view
for signal in INT TERM; do
	setsid sbxctl mount --foreground ws view >out 2>err &
	wait_for 5 mountpoint -q view/workspace || fail "not mounted: $(cat err)"
	pid=$(pgrep -f -n "mount --foreground ws view")
	echo text >view/workspace/$signal || fail "write"
	kill -$signal "$pid"
	wait $!
	expect_eq $? 0 "exit code after $signal"
	mountpoint -q view/workspace && fail "still mounted after $signal"
	flock -n ws/lock true || fail "still served after $signal"
done
expect_eq "$(inside ws 'cat /workspace/*')" "text
text" "what was written"

# Unmounted by somebody else: it ends.
sbxctl mount -f ws view >out 2>err &
wait_for 5 mountpoint -q view/workspace || fail "not mounted: $(cat err)"
sbxctl umount view >/dev/null || fail "umount"
wait $!
expect_eq $? 0 "exit code after umount"
