# Attacks 54 to 57 so far: nothing gets out, by no protocol, and no way can be made.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack network-out
