# Random operations through a mount on the host, with new mounts and daemons in between, differ in
# nothing from a model in memory. SEED and COUNT (operations) choose others.
# run: root user
# needs: fuse fusermount3
# timeout: 300
. "$SBX_SRC/tests/lib/common.sh"

[ "$MODE" = root ] && count=60000 || count=20000
[ "${COUNT:-0}" -gt 0 ] && count=$COUNT
new_ws ws
mkdir m
expect_code 0 sbxctl mount ws m
mkdir m/workspace/d
"$plain_build/tests/diff/fsdiff" ${SEED:+--seed "$SEED"} --count "$count" --rounds 5 --between \
	'sbxctl umount m >umount.out 2>&1 && flock -w 20 ws/lock true &&
	sbxctl mount ws m >mount.out 2>&1' "$PWD/m/workspace/d"
code=$?
expect_code 0 sbxctl umount m
[ $code = 0 ] || fail "see above"
