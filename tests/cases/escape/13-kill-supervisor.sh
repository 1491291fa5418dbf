# Attack 13: SIGKILL to the supervisor, the daemon or pid 1 inside: nothing is left, and it starts again.
# run: root user
# needs: fuse userns
# timeout: 90
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
word=sbx-victim-$$-$RANDOM
begin() {
	sbx-shell $degraded --quiet --result r.json ws -- sh -c "echo up; sleep 1000; : $word" >out 2>err </dev/null &
	shell=$!
	wait_for 5 grep -q up out || fail "it did not start: $(cat err)"
	daemon=$(daemon_pid ws) || fail "no daemon"
	init=$(inner_init $shell)
	[ -n "$init" ] || fail "no pid 1"
	# Control: the payload runs, and the supervisor is not all that carries the word.
	[ "$(processes_with "$word" | grep -cv "/proc/$shell/")" -ge 1 ] || fail "control: the payload does not run"
	rm -f out
}
gone() { # WHO
	local p
	for p in $shell $daemon $init; do
		wait_for 2 test ! -e "/proc/$p/exe" -o "$(awk '/^State/ { print $2 }' /proc/$p/status 2>/dev/null)" = Z
	done
	sleep 0.1
	for p in $shell $daemon $init; do
		[ ! -d "/proc/$p" ] || grep -q '^State:.Z' "/proc/$p/status" 2>/dev/null || fail "$1 was killed: process $p is left: $(tr '\0' ' ' <"/proc/$p/cmdline")"
	done
	expect_eq "$(count_processes "$word")" 0 "processes left when $1 was killed"
}

begin
kill -9 "$shell"
wait $shell 2>/dev/null
gone supervisor
begin
kill -9 "$daemon"
wait $shell
gone daemon
expect_field r.json verdict fs_lost
begin
kill -9 "$init"
wait $shell
gone "pid 1"
expect_match "$(field r.json verdict)" '^(signal|setup)$' "verdict when pid 1 is killed"
inside ws 'echo again' >out2 || fail "it does not start again"
expect_file out2 again
