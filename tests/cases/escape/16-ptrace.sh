# Attack 16: pid 1, the parent and anybody cannot be traced, read or written.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack ptrace-others
