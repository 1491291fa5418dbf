# Attack 18: what is mounted cannot be changed by any call, old or new.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack mount-family
