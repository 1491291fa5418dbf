# Attack 4: the workspace cannot be filled beyond its quota, by whatever call, and the store neither.
# run: root user degraded
# needs: fuse userns
# timeout: 180
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws --quota 4M
empty=$(du -s --block-size=1 ws/store | cut -f 1)
for kind in "blocks 1024" "append 40000000" "fallocate 1024" "sparse 20000"; do
	before=
	# Byte by byte only the last 16 KiB: all of it would take minutes.
	case $kind in append*) before="$there/disk-filler blocks 1024 >/dev/null; truncate -s -16384 fill;" ;; esac
	run_result r.json --quiet $show --time 30s ws -- sh -c "$before $there/disk-filler $kind" >out 2>err
	grep -q 'no limit met' out && fail "$kind: no limit under a quota of 4M"
	case $kind in
	fallocate*) grep -Eq 'met (ENOSPC|EDQUOT|EOPNOTSUPP)' out || fail "$kind: $(cat out err)" ;;
	*) grep -Eq 'met (ENOSPC|EDQUOT)' out || fail "$kind: $(cat out err)" ;;
	esac
	used=$(($(du -s --block-size=1 ws/store | cut -f 1) - empty))
	# Heads, tags and directory entries are overhead: an eighth and a megabyte are more than enough.
	# Scattered single blocks have a tag page each, of which a 64th is charged: twice at the most.
	most=$((4 * 1048576 * 9 / 8 + 1048576))
	[ "$kind" != "sparse 20000" ] || most=$((4 * 1048576 * 2 + 1048576))
	[ "$used" -le $most ] || fail "$kind: the store grew by $used bytes"
	inside ws 'rm -rf /workspace/*' >out 2>err || fail "cleaning: $(cat err)"
done
# Control: what fits is written, and after the cleaning there is room again.
inside ws 'head -c 3000000 /dev/zero >/workspace/fits && sync /workspace/fits' || fail "3 MB under 4M"
