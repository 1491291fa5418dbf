# INT and TERM to sbx-shell reach the command; its end is the command's end.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
for sig in INT TERM; do
	rm -f out r.json
	# A job in the background ignores INT from birth: python sets it again.
	/usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' sbx-shell $degraded --quiet --result r.json ws -- sh -c "trap 'echo caught; exit 3' $sig; echo up; while :; do sleep 0.1; done" >out 2>err </dev/null &
	run=$!
	wait_for 5 grep -q up out || fail "it did not start: $(cat err)"
	kill -$sig $run
	wait $run
	expect_eq $? 3 "exit code after $sig"
	expect_match "$(cat out)" 'caught' "what the command met"
	expect_field r.json verdict exit
done
