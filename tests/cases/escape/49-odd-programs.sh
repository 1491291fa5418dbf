# Attacks 49 to 51: odd programs, arguments and names, and rules that the run plants: told apart, nothing injected, not used.
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
inside ws ': >empty; printf "#!/no/such/interpreter\n" >script; printf "\177ELF nonsense" >bad; chmod 755 empty script bad; mkdir dir; mkfifo fifo; chmod 755 fifo' ||
	fail planting
# One session that stays: each of the others is then a matter of milliseconds.
sbx-shell $degraded --quiet ws -- sleep 100 </dev/null &
keeper=$!
check() { # CODE VERDICT CMD..
	local want=$1 verdict=$2
	shift 2
	run_result r.json --quiet ws -- "$@" >out 2>err </dev/null
	expect_eq $code "$want" "exit code of $1 ($(cat err))"
	expect_field r.json verdict "$verdict"
}
# 49: ours, and the same codes as the program's own.
for name in empty bad dir fifo; do check 126 setup "/workspace/$name"; done
check 127 setup /workspace/script
check 127 setup /workspace/nothing
for c in 124 125 126 127 137 255; do check $c exit sh -c "exit $c"; done
# 50: one argument of 128 KiB less one byte fits, more is refused by the kernel for whoever asks.
big=$(head -c 131071 /dev/zero | tr '\0' x)
expect_eq "$(sbx-shell $degraded --quiet ws -- sh -c 'echo ${#1}' sh "$big" </dev/null)" 131071 "length of an argument"
expect_eq "$(sbx-shell $degraded --quiet --env "BIG=${big:9}" ws -- sh -c 'echo ${#BIG}' </dev/null)" 131062 "length of a variable"
! sbx-shell $degraded --quiet ws -- true "${big}x" 2>err </dev/null || fail "the control: an argument of 128 KiB was taken"
many=$(seq 3000)
expect_eq "$(sbx-shell $degraded --quiet ws -- sh -c 'echo $#' sh $many </dev/null)" 3000 "number of arguments"
# Line breaks and sequences in names: one line on stderr, a record that is JSON and holds the name alone.
evil=$'no\n"verdict":"ok"\e]52;c;aGk=\a'
sbx-shell $degraded --result r.json ws -- "$evil" >out 2>err </dev/null
expect_eq "$?" 127 "exit code of an evil name"
! grep -q $'\e\|\a' err || fail "a terminal sequence on stderr: $(cat -v err)"
expect_eq "$(grep -vc warning: err)" 1 "lines on stderr: $(cat -v err)"
expect_field r.json verdict setup
for f in ws/runs/*.json; do /usr/bin/python3 -m json.tool "$f" >/dev/null || fail "$f is not JSON"; done
expect_eq "$(sbx-shell $degraded --quiet --env $'A=x\nB=y' ws -- sh -c 'echo "${B-unset}"' </dev/null)" unset "a variable by injection"
# 51: what the run leaves in its places is no rule for the next one.
before=$(sha256sum <ws/workspace.json)
inside ws 'for f in workspace.json .sbx .sbxrc policy.json lock; do echo "{\"limits\":{\"time\":\"1ms\",\"memory\":\"1T\"}}" >$f; done; mkdir -p keys runs store' || fail planting
expect_eq "$(sha256sum <ws/workspace.json)" "$before" "the workspace's own file"
run_result r.json --quiet ws -- sleep 0.1 >out 2>err
expect_field r.json verdict ok
expect_field r.json limits.time_ms 3600000
# Control: the owner's change counts.
expect_code 0 sbxctl set ws limits.time=50ms limits.grace=0s
run_result r.json --quiet ws -- sleep 5 >out 2>err
expect_field r.json verdict timeout
kill $keeper
wait $keeper
true
