# An older piece of a workspace put back is refused: the config against the state, the state against
# the files.
# run: root user
# needs: fuse userns
# timeout: 60
. "$SBX_SRC/tests/lib/common.sh"

idle() {
	wait_for 10 eval '! [ -s ws/lock ]' || fail "the daemon stays"
}

new_ws ws
inside ws 'echo one >/workspace/file' || fail "writing"
idle
cp -a ws/keys/config config.old
cp -a ws/workspace.json json.old
cp -a ws/store/log log.old
expect_code 0 sbxctl set ws limits.memory=123M
idle
cp -a ws/keys/config config.new
cp -a ws/workspace.json json.new
cp -a config.old ws/keys/config
cp -a json.old ws/workspace.json
expect_refusal 5 "older" sbxctl show ws
cp -a config.new ws/keys/config
cp -a json.new ws/workspace.json
expect_code 0 sbxctl show ws
idle
inside ws 'echo two >>/workspace/file; echo x >/workspace/more' || fail "writing again"
idle
cp -a ws/store/log log.new
cp -a log.old ws/store/log
# Whatever answers, what was written under a later state is not taken for good.
! inside ws 'cat /workspace/file' >out 2>err || fail "an older state was accepted: $(cat out)"
idle
cp -a log.new ws/store/log
expect_eq "$(inside ws 'cat /workspace/file')" "one
two" "after putting the right one there"
