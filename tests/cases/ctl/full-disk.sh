# A full disk: each verb says so in one sentence, what was there stays whole.
# run: root
# needs: fuse
. "$SBX_SRC/tests/lib/common.sh"

mkdir small
mount -t tmpfs -o size=1M none small || skip "no tmpfs"
trap 'umount -l small' EXIT

# Too small for a store, by a little or by much: nothing of it is left.
for size in 8k 64k 256k 1M 8M 60M; do
	mount -o remount,size=$size small
	expect_refusal 1 "space" sbxctl init --cipher xchacha20 small/ws
	expect_eq "$(ls -A small)" "" "left by init on a disk of $size"
done

# Filled up afterwards: settings are changed whole or not at all.
mount -o remount,size=80M small
new_ws small/ws
inside small/ws 'echo text >/workspace/file' || fail "write"
wait_for 5 flock -n small/ws/lock true
head -c 100M /dev/zero >small/filler 2>/dev/null
before=$(cat small/ws/workspace.json)
expect_code 1 sbxctl set small/ws quota=5G
[ "$(wc -l <cmd.err)" = 1 ] || fail "not one sentence: $(cat cmd.err)"
expect_eq "$(cat small/ws/workspace.json)" "$before" "the settings"
rm small/filler
wait_for 5 flock -n small/ws/lock true
expect_code 0 sbxctl set small/ws quota=5G
expect_eq "$(inside small/ws 'cat /workspace/file')" text "what was there before"
wait_for 5 flock -n small/ws/lock true
exit 0
