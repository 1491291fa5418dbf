# Attack 53: the control groups cannot be seen, left or mounted, no limit can be raised.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack cgroup-escape
