# Attacks 43 and 44: no device of the host, none made by number, no filesystem of one's own.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack host-devices
