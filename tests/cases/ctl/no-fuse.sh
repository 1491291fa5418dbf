# No /dev/fuse: one sentence, exit code 6 (sbxctl) or 125 (sbx-shell), and doctor says what to do.
# run: root
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir view
without() { unshare -m sh -c 'mount --bind /dev/null /dev/fuse && exec "$@"' sh "$@"; }
hidden() { unshare -m sh -c 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec "$@"' sh "$@"; }

expect_refusal 6 "fuse" without sbxctl mount ws view
expect_refusal 6 "fuse" hidden sbxctl mount ws view
expect_refusal 125 "fuse" without sbx-shell ws -- true
expect_eq "$(ls -A view)" "" "left in the mount directory"
wait_for 5 flock -n ws/lock true || fail "still served"

without sbxctl doctor >out
expect_eq $? 6 "exit code of doctor"
grep -Eq '^missing +FUSE' out || fail "doctor does not miss the mount: $(cat out)"
hidden sbxctl doctor >out
expect_eq $? 6 "exit code of doctor"
grep -Eq '^missing +FUSE' out || fail "doctor does not miss the device: $(cat out)"
grep -q 'fix: .*modprobe fuse' out || fail "doctor has no remedy"
