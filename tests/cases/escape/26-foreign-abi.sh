# Attack 26: the filter cannot be walked around by another ABI.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack foreign-abi
