# Attack 40: no file is opened by its number.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack file-handles
