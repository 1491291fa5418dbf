# What programs expect of a filesystem holds through a mount on the host, for root and the users it acts
# as, and for an ordinary user.
# run: root user
# needs: fuse fusermount3
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir m
chmod 755 . ..
expect_code 0 sbxctl mount ws m
OWNER=$(stat -c %u m/workspace)
export OWNER
mkdir m/workspace/here m/workspace/there
chmod 755 m/workspace
/usr/bin/python3 "$SBX_SRC/tests/lib/posix_suite.py" "$PWD/m/workspace/here"
code=$?
"$plain_build/tests/posix/fsposix" "$PWD/m/workspace/there" || code=1
expect_code 0 sbxctl umount m
expect_eq $code 0 "exit code of the checks"
