# Attack 59: whatever of the set-up fails or is missing: the sandbox is whole, or exit 125, a sentence, and nothing ran.
# run: root user degraded
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
HOST_DIR=$PWD
HOST_NS=$(readlink /proc/self/ns/*)
export HOST_DIR HOST_NS
# The daemon runs before, with all that it needs: this is about the sandbox.
mkfifo hold
sbx-shell $degraded --quiet ws -- sh -c 'echo up; cat' <hold >up.out 2>&1 &
keeper=$!
exec 9>hold
wait_for 5 grep -q up up.out || fail "no session: $(cat up.out)"

inside_hardened() { # CMD..: before sbx-shell
	"$@" sbx-shell $degraded $show --env HOST_DIR --env HOST_NS ws -- "$there/hardened" >out 2>err </dev/null 9>&-
	code=$?
}
# Controls: all is there without a filter, and out here the probe sees that nothing is.
inside_hardened
[ $code = 0 ] && [ "$(cat out)" = hardened ] || fail "the control inside: $(cat out err)"
"$programs/hardened" >out && fail "the control outside: $(cat out)"
[ "$(grep -c ^BARE out)" -ge 8 ] || fail "the probe sees too little outside: $(cat out)"

refused=0 whole=0
errnos='EPERM ENOSYS'
[ "$MODE" = root ] && [ -n "$SBX_CGROUP" ] || errnos=EPERM
for call in $("$programs/without" list); do
	for errno in $errnos; do
		inside_hardened timeout 20 "$programs/without" $call $errno
		case $code in
		0) [ "$(cat out)" = hardened ] || fail "$call $errno: exit 0 and '$(cat out)'" ; whole=$((whole + 1)) ;;
		125)
			[ ! -s out ] || fail "$call $errno: exit 125, and the payload ran: $(cat out)"
			[ -s err ] || fail "$call $errno: exit 125 without a word"
			refused=$((refused + 1))
			;;
		*) fail "$call $errno: exit $code: $(cat out err)" ;;
		esac
		echo "$call $errno: exit $code: $(tail -n 1 err)"
	done
done
echo "$whole whole, $refused refused"
[ $refused -ge 25 ] || fail "only $refused were refused: is the filter in force?"
exec 9>&-
wait $keeper

# A host without one of the foundations, in namespaces of our own: nothing of this outlives them.
lacks() { # WORDS SCRIPT: what is done to the host, then a run that must not come to be
	unshare --user --map-root-user --mount --propagation private sh -c "($2) || exit 9; exec sbx-shell --allow-degraded ws -- echo ran" >out 2>err </dev/null
	code=$?
	[ $code != 9 ] || fail "$1: it cannot be taken away: $(cat err)"
	echo "$1: exit $code: $(tail -n 1 err)"
}
lacks nothing true
[ "$code$(cat out)" = 0ran ] || fail "the control: exit $code: $(cat out err)"
refuses() {
	lacks "$@"
	[ $code = 125 ] && [ ! -s out ] || fail "$1: exit $code: $(cat out err)"
	[ "$(grep -vc warning: err)" = 1 ] || fail "$1: not one sentence: $(cat err)"
}
refuses "user namespaces" 'echo 0 >/proc/sys/user/max_user_namespaces'
refuses "network namespaces" 'echo 0 >/proc/sys/user/max_net_namespaces'
refuses "a /proc that is not covered" 'mount -t tmpfs none /proc/bus'
refuses "/dev/fuse" 'mkdir d && mount -t tmpfs none d && for n in null zero full random urandom tty; do
	touch d/$n && mount --bind /dev/$n d/$n || exit 9; done && mount --rbind d /dev'
rmdir d
