# The quota: exact, seen by statfs, ENOSPC or EDQUOT and never EIO, and given back.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws --quota 20M --files 200
inside ws 'df -B1 --output=size,avail /workspace | tail -n 1; df --output=itotal,iavail /workspace | tail -n 1' >df || fail df
read -r size avail <<<"$(head -n 1 df)"
read -r files ifree <<<"$(tail -n 1 df)"
expect_between "$size" $((20 * 1048576 - 4096)) $((20 * 1048576)) "size by statfs"
expect_between "$avail" $((19 * 1048576)) $((20 * 1048576)) "room by statfs"
expect_between "$files" 199 201 "files by statfs"
expect_between "$ifree" 190 200 "free files by statfs"
inside ws 'python3 -c "
import errno, os
fd = os.open(\"/workspace/f\", os.O_CREAT | os.O_RDWR)
n = 0
try:
    while n < 40 << 20:
        n += os.write(fd, b\"x\" * 65536)
    os.fsync(fd)
    print(\"none\", n)
except OSError as e:
    print(errno.errorcode[e.errno], n)
try:
    os.close(fd)
except OSError as e:
    print(\"close\", errno.errorcode[e.errno])
"' >out || fail "filling: $(cat out)"
expect_match "$(head -n 1 out)" '^(ENOSPC|EDQUOT) ' "what the filler met"
! grep -q EIO out || fail "EIO: $(cat out)"
inside ws 'echo $(($(stat -c %b /workspace/f) * 512)); rm /workspace/f; head -c 15000000 /dev/zero >/workspace/g; sync /workspace/g; stat -c %s /workspace/g' >out2 || fail "after removing: $(cat out2)"
# Blocks, not size: a cached write that did not fit may leave a hole before one that did.
expect_between "$(head -n 1 out2)" $((17 * 1048576)) $((20 * 1048576)) "bytes that fitted under 20M"
# status and a bigger quota
sbxctl status ws --json >st.json || fail status
expect_match "$(cat st.json)" '"limit_bytes": *20971520' "status"
expect_code 0 sbxctl set ws quota.bytes=40M
inside ws 'head -c 18000000 /dev/zero >/workspace/h && sync /workspace/h' || fail "a bigger quota is not used"
