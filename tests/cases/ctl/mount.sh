# sbxctl mount and umount: the plain view, its refusals, a busy mount, a killed daemon.
# run: root user
# sanitize: yes
# needs: fuse fusermount3
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir data view && echo table >data/t.csv
sbxctl dataset add ws d "$PWD/data" >/dev/null || fail "dataset add"
inside ws 'echo result >/workspace/out.txt' || fail "write inside"

expect_refusal 1 "nodir mkdir" sbxctl mount ws nodir
: >file
expect_refusal 1 "file directory" sbxctl mount ws file
mkdir full && : >full/mine
expect_refusal 1 "full empty mine" sbxctl mount ws full
expect_refusal 1 "inside" sbxctl mount ws ws/store
expect_refusal 1 "view mounted" sbxctl umount view
expect_refusal 1 "gone" sbxctl umount gone

sbxctl mount ws view >out || fail "mount: $(cat out)"
grep -q 'sbxctl umount view' out || fail "mount does not say how to undo it"
expect_file view/workspace/out.txt result
expect_file view/datasets/d/t.csv table
echo more >view/workspace/more.txt || fail "write into the view"
{ echo x >view/datasets/d/t.csv; } 2>/dev/null && fail "wrote into a dataset"
expect_refusal 4 "view mounted" sbxctl mount ws view
mkdir view2
expect_eq "$(sbxctl status ws --json >s.json; field s.json mounts.0)" "$PWD/view" "mounts in status"
sbxctl status | grep -q "$PWD/view" || fail "status without WS does not list it"

# Busy: who, and the remedy.
sleep 60 <view/workspace/out.txt &
sleeper=$!
sleep 0.2
expect_refusal 4 "sleep $sleeper lazy" sbxctl umount view
kill $sleeper
wait $sleeper 2>/dev/null

# After umount the lock is free, so everything is on disk; what mount made is gone.
sbxctl umount view >out || fail "umount"
flock -n ws/lock true || fail "the daemon still holds the lock after umount"
expect_eq "$(ls -A view)" "" "left in the mount directory"
grep -q " $PWD/view" /proc/self/mountinfo && fail "still mounted"
expect_eq "$(inside ws 'cat /workspace/more.txt')" more "written through the view"

# A view named by one of its mounts is found too; mount points that were there stay.
mkdir view/workspace
sbxctl mount ws view >/dev/null || fail "mount again"
sbxctl umount view/workspace >/dev/null || fail "umount by one mount"
expect_eq "$(ls -A view)" workspace "left in the mount directory"

# The daemon is killed: its helper takes the mounts away.
sbxctl mount ws view >/dev/null || fail "third mount"
kill -9 "$(daemon_pid ws)"
wait_for 3 sh -c "! grep -q ' $PWD/view' /proc/self/mountinfo" || fail "the mount stands"
expect_eq "$(ls -A view)" workspace "left in the mount directory by a killed daemon"

# Both are killed: the dead mount is told, is no place to mount, and goes away.
sbxctl mount ws view >/dev/null || fail "fourth mount"
pid=$(daemon_pid ws)
kill -9 $(pgrep -P "$pid") "$pid"
wait_for 3 sh -c '! ls view/workspace 2>/dev/null' || fail "the mount lives on"
sbxctl status | grep -q "$PWD/view/workspace was killed" || fail "status does not tell of a dead mount"
expect_refusal 4 "killed umount" sbxctl mount ws view
expect_code 0 sbxctl umount view
grep -q " $PWD/view" /proc/self/mountinfo && fail "still mounted"
expect_eq "$(inside ws 'cat /workspace/more.txt')" more "after the daemon was killed"
