# The control of the POSIX checks: on the host's own filesystem all of them hold.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

mkdir here there
chmod 755 . ..
CONTROL=1 /usr/bin/python3 "$SBX_SRC/tests/lib/posix_suite.py" "$PWD/here" || fail "a check is wrong"
CONTROL=1 "$plain_build/tests/posix/fsposix" "$PWD/there" || fail "a check is wrong"
