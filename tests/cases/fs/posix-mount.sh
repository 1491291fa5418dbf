# What programs expect of a filesystem holds through a mount on the host.
# run: root user
# needs: fuse fusermount3
# timeout: 180
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir m
expect_code 0 sbxctl mount ws m
OWNER=$(stat -c %u m/workspace)
export OWNER
/usr/bin/python3 "$SBX_SRC/tests/lib/posix_suite.py" "$PWD/m/workspace"
code=$?
expect_code 0 sbxctl umount m
expect_eq $code 0 "exit code of the checks"
