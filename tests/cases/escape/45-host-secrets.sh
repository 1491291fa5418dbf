# Attack 45: the ciphertext, the keys, the daemon and its socket cannot be named, seen or reached.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
sbx-shell $degraded --quiet ws -- sh -c 'echo up; sleep 20' >up.out 2>&1 </dev/null &
run=$!
wait_for 5 grep -q up up.out || fail "no session: $(cat up.out)"
DAEMON_PID=$(daemon_pid ws)
DAEMON_SOCKET=$(field ws/lock socket)
export WS=$PWD/ws DAEMON_PID DAEMON_SOCKET
export IDENTITY=$HOME/.config/sbx/identity.json
attack host-secrets --env WS --env DAEMON_PID --env DAEMON_SOCKET --env IDENTITY
kill $run
wait $run
true
