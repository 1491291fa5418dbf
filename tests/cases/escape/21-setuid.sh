# Attack 21: a set-user-id program gives nothing.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack setuid-gain
