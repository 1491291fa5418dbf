# Attack 23: the keyrings of the kernel are shut.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack keyrings
