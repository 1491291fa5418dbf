# Attack 20: no way back into a namespace, and no descriptor was inherited.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack setns-back
