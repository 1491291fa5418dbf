# Attack 24: bpf, perf, userfaultfd, io_uring and file handles are shut.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
attack kernel-surface
