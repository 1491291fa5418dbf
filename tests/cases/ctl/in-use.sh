# One workspace, two who want it: each refusal says who holds it. Exit code 4.
# run: root user
# needs: fuse fusermount3
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir view
sbx-shell $degraded --quiet ws -- sh -c 'echo ready >/workspace/ready; sleep 30' &
run=$!
wait_for 20 sh -c 'sbxctl ps ws | grep -q ready' || fail "ps does not list the run"
sbxctl ps ws --json >ps.json
id=$(field ps.json 0.run)
expect_field ps.json 0.workspace "$PWD/ws"
expect_field ps.json 0.pid "$run"
sbxctl status ws | grep -q "$id" || fail "status does not name the run"

expect_refusal 4 "$id" sbxctl mount ws view
expect_eq "$(ls -A view)" "" "left in the mount directory"
expect_refusal 1 "no run" sbxctl kill 19990101T000000Z-0000
sbxctl kill "$id" >out || fail "kill"
wait $run
code=$?
[ $code -ge 128 ] || fail "the killed run exited $code"
expect_eq "$(sbxctl ps ws)" "No runs." "ps afterwards"
wait_for 5 flock -n ws/lock true || fail "still served"

# The other way round: a run on a mounted workspace uses the view.
sbxctl mount ws view >/dev/null || fail "mount"
inside ws 'cat /workspace/ready' >out || fail "a run on a mounted workspace"
expect_file out ready
inside ws 'echo new >/workspace/new' && expect_file view/workspace/new new
sbxctl umount view >/dev/null || fail "umount"

sbxctl ps --all ws | grep -q "$id" || fail "ps --all does not list the ended run"

# Another holds the lock and is no daemon.
flock ws/lock sleep 20 &
holder=$!
sleep 0.2
expect_code 4 timeout 60 sbxctl show ws
pkill -P $holder sleep
wait $holder 2>/dev/null
expect_code 0 sbxctl show ws
