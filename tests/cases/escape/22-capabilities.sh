# Attack 22: no capability is there, and none can be raised.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack capabilities
