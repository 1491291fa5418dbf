# A new user without the manual: what is wrong is answered by what to type next.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

# says CODE REGEX CMD..: one sentence on stderr, and the exit code
says() {
	local want=$1 regex=$2 code
	shift 2
	"$@" >out 2>err </dev/null
	code=$?
	[ "$code" = "$want" ] || fail "$*: exit $code, expected $want: $(cat err)"
	expect_match "$(cat err)" "$regex" "what '$*' says"
	expect_eq "$(wc -l <err)" 1 "lines of '$*'"
}

# In the wrong order, and before there is anything.
says 125 "make one: sbxctl init ws" sbx-shell ws
says 1 "make one: sbxctl init ws" sbxctl status ws
says 1 "mkdir -p no/where" sbxctl init no/where/ws
mkdir empty
says 125 "make it one: sbxctl init empty" sbx-shell empty
new_ws ws
# Names that are nearly right, and things that are no workspace.
says 125 "did you mean 'ws'" sbx-shell wss
says 1 "did you mean 'ws'" sbxctl status w
says 125 "name the workspace: ws" sbx-shell ws/workspace.json
says 1 "already: use it" sbxctl init ws
sbxctl dataset add ws docs "$SBX_SRC/doc" >/dev/null || fail "dataset add"
says 1 "did you mean 'docs'" sbxctl dataset remove ws dosc
mkdir m
sbxctl mount ws m >/dev/null || fail "mount"
says 125 "where a workspace is mounted" sbx-shell m
sbxctl umount m >/dev/null || fail "umount"
# Options and verbs.
says 125 "did you mean --memory" sbx-shell --memry 1G ws
says 125 "sbx-shell ws -- ls" sbx-shell ws ls -l
says 2 "sbx-shell WS" sbxctl shell ws
says 2 "sbxctl init WS" sbxctl create ws
says 2 "limits.memory" sbxctl set ws memory=1G
says 2 "sbxctl ps" sbxctl kill
# Programs that are not there.
printf '#!/bin/sh\n' >tool
chmod +x tool
says 127 "no such program in the sandbox" sbx-shell $degraded ws -- no-such-program
says 127 "ro ./tool:/opt/tool" sbx-shell $degraded ws -- ./tool
# And what works says what it did.
sbxctl kill --all ws >out || fail "kill --all"
expect_file out "No runs."
sbx-shell $degraded --quiet --time 60s ws -- sleep 60 &
run=$!
wait_for 10 sh -c 'sbxctl ps ws | grep -q sleep' || fail "it does not run"
sbxctl kill --all ws >out || fail "kill --all"
expect_match "$(cat out)" '^Ended run 2' "the run that was ended"
wait $run
expect_eq $? 143 "exit code of the run"
