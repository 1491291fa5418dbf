# Attack 46: a crash inside leaves no core and starts no handler of the host, be core_pattern a file or a pipe.
# run: root degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
old=$(cat /proc/sys/kernel/core_pattern)
mark=$PWD/handled
printf '#!/bin/sh\necho "$1" >>%s\ncat >/dev/null\n' "$mark" >handler && chmod 755 handler
trap 'echo "$old" >/proc/sys/kernel/core_pattern' EXIT
crash='ulimit -c unlimited 2>/dev/null; kill -ABRT $$'
try() { # PATTERN, CONTROL: a test that holds once a crash outside left something
	(echo "$1" >/proc/sys/kernel/core_pattern) 2>/dev/null || skip "core_pattern cannot be set here"
	rm -f core.* "$mark"
	sh -c "$crash" 2>/dev/null
	wait_for 3 eval "$2" || fail "the control: a crash outside leaves nothing by '$1'"
	rm -f core.* "$mark"
	run_result r.json --quiet ws -- sh -c "$crash" >out 2>err
	expect_field r.json signal 6
	sleep 0.2
	[ -z "$(ls core.* "$mark" 2>/dev/null)" ] || fail "'$1': a core or its handler: $(ls)"
	expect_eq "$(inside ws 'ls -A /workspace /tmp | grep -v :')" "" "files inside"
}
try "$PWD/core.%p" 'ls core.* >/dev/null 2>&1'
try "|$PWD/handler %P" 'test -s "$mark"'
