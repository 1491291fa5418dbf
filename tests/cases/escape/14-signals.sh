# Attack 14: signals to pid 1, to everybody, to numbers of the host hit only the own tree.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
sleep 300 &
export HOST_PID=$!
attack signal-others --env HOST_PID
kill -0 $HOST_PID || fail "a process of the host was hit"
# kill -9 -1 ends everything inside but pid 1 and the caller, nothing outside.
out=$(sbx-shell $degraded --quiet ws -- sh -c 'sleep 100 & kill -9 -1; echo alive' </dev/null)
expect_eq "$out" alive "after kill -9 -1"
kill -0 $HOST_PID || fail "a process of the host was hit"
kill $HOST_PID
