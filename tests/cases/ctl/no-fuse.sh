# No /dev/fuse: one sentence, exit code 6 (sbxctl) or 125 (sbx-shell), and doctor says what to do.
# run: root
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir view
without() {
	unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"' sh "$@"
}

expect_refusal 6 "/dev/fuse" without sbxctl mount ws view
expect_refusal 125 "/dev/fuse" without sbx-shell $degraded ws -- true
expect_eq "$(ls -A view)" "" "left in the mount directory"
wait_for 5 flock -n ws/lock true || fail "still served"

# What needs no mount works without.
expect_code 0 without sbxctl set ws limits.time=1m
without sbxctl doctor >out
expect_eq $? 6 "exit code of doctor"
grep -Eq '^missing +FUSE' out || fail "doctor does not miss FUSE: $(cat out)"
grep -q 'fix: .*modprobe fuse' out || fail "doctor has no remedy"
