# The exit code is the command's own; ours are 124, 125, 126, 127, 128+N; the result tells them apart.
# run: root user
# needs: fuse userns
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
check() { # CODE VERDICT EXIT_CODE SIGNAL CMD..
	local want=$1 verdict=$2 exit_code=$3 signal=$4
	shift 4
	run_result r.json --quiet ws -- "$@" >out 2>err
	expect_eq $code "$want" "exit code of '$*' ($(cat err))"
	expect_field r.json verdict "$verdict"
	expect_field r.json exit_code "$exit_code"
	expect_field r.json signal "$signal"
}
check 0 ok 0 null true
check 1 exit 1 null false
for c in 2 124 125 126 127 137 255; do
	check $c exit $c null sh -c "exit $c"
done
check 143 signal null 15 sh -c 'kill -TERM $$'
check 137 signal null 9 sh -c 'kill -KILL $$'
check 139 signal null 11 sh -c 'kill -SEGV $$'
check 134 signal null 6 python3 -c 'import os; os.abort()'
check 127 setup null null no-such-command-anywhere
check 127 setup null null /no/such/path
check 126 setup null null /etc/passwd
check 126 setup null null /workspace
inside ws 'printf "\177ELF nonsense" >/workspace/bad && chmod 755 /workspace/bad && : >/workspace/empty && chmod 755 /workspace/empty'
check 126 setup null null /workspace/bad
word=no-such-command-anywhere
sbx-shell $degraded ws -- $word >out 2>err </dev/null
expect_eq "$(wc -l <err)" 1 "lines on stderr when it is not found"
expect_match "$(cat err)" "$word" "the sentence"
# --quiet: not a word of its own.
sbx-shell $degraded --quiet --time 300ms --grace 0 ws -- sleep 9 >out 2>err </dev/null
expect_eq $? 124 "time"
expect_file err ''
