# Attack 19: no new namespace, hence no new capabilities.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack new-namespaces
