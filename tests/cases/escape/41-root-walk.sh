# Attack 41: up and out by "..", by moved directories, by descriptors over a socket: the root stays the root.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
export HOST_DIR=$PWD
attack root-walk --env HOST_DIR
