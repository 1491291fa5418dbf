# Attack 4: the workspace cannot be filled beyond its quota, by whatever call, and the store neither.
# run: root user
# needs: fuse userns
# timeout: 180
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws --quota 16M
empty=$(du -s --block-size=1 ws/store | cut -f 1)
for kind in "blocks 1024" "append 40000000" "fallocate 1024" "sparse 20000"; do
	# 20 s: a million appends of one byte never reach 16 MiB; then the limit is time.
	run_result r.json --quiet $show --time 20s ws -- $there/disk-filler $kind >out 2>err
	grep -q 'no limit met' out && fail "$kind: no limit under a quota of 16M"
	case $kind in
	append*) grep -Eq 'met (ENOSPC|EDQUOT)' out || expect_field r.json verdict timeout ;;
	fallocate*) grep -Eq 'met (ENOSPC|EDQUOT|EOPNOTSUPP)' out || fail "$kind: $(cat out err)" ;;
	*) grep -Eq 'met (ENOSPC|EDQUOT)' out || fail "$kind: $(cat out err)" ;;
	esac
	used=$(($(du -s --block-size=1 ws/store | cut -f 1) - empty))
	# Heads, tags and directory entries are overhead: an eighth and a megabyte are more than enough.
	# Scattered single blocks have a tag page each, of which a 64th is charged: twice at the most.
	most=$((16 * 1048576 * 9 / 8 + 1048576))
	[ "$kind" != "sparse 20000" ] || most=$((16 * 1048576 * 2 + 1048576))
	[ "$used" -le $most ] || fail "$kind: the store grew by $used bytes"
	inside ws 'rm -rf /workspace/*' >out 2>err || fail "cleaning: $(cat err)"
done
# Control: what fits is written, and after the cleaning there is room again.
inside ws 'head -c 12000000 /dev/zero >/workspace/fits && sync /workspace/fits' || fail "12 MB under 16M"
