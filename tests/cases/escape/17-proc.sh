# Attack 17: the links of /proc lead nowhere, its dangerous files are masked.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack proc-of-others
