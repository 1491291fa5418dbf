# A disk that is really full, of bytes and of inodes: ENOSPC and nothing else for every kind of change,
# what was there is whole, the check finds nothing, and all space is back once it is removed.
# run: root
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

command -v mkfs.ext4 >/dev/null || skip "there is no mkfs.ext4"
truncate -s 128M image
mkfs.ext4 -q -b 4096 -m 0 -N 1000 image || fail "mkfs.ext4"
mkdir disk
mount -o loop image disk 2>/dev/null || skip "no loop device can be mounted here"
trap 'umount disk || { sleep 1; umount -l disk; }' EXIT
new_ws disk/ws
# What the workspace takes, but for the records of runs.
taken_now() {
	settled disk/ws
	sync -f disk
	du -s -B1 disk/ws/store && du -s --inodes disk/ws/store
	find disk/ws -path disk/ws/runs -prune -o -print | wc -l
}
inside disk/ws 'mkdir /workspace/d && head -c 3000000 /dev/urandom | tee /workspace/kept | sha256sum >/workspace/sum; rmdir /workspace/d' || fail "prepare"
before=$(taken_now)
inside disk/ws 'exec python3 -c "$1"' "$(cat "$SBX_SRC/tests/lib/disk_fill.py")" >out 2>&1 || fail "$(cat out)"
settled disk/ws
expect_code 0 sbxctl fsck disk/ws
inside disk/ws 'cd /workspace && sha256sum <kept | cmp - sum && rm -r full && ls -A | tr "\n" " "' >left || fail "what was there before"
expect_eq "$(cat left)" "kept sum " "what is left"
expect_eq "$(taken_now)" "$before" "what the store takes"
expect_code 0 sbxctl fsck disk/ws
