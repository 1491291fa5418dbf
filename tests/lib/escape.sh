# What the escape cases share: the programs are shown inside at $there, a name of this case alone.
. "$SBX_SRC/tests/lib/common.sh"

programs=$SBX_BUILD/tests/escape
there=/opt/escape-$$-$RANDOM
show="--ro $programs:$there"

# attack PROGRAM [options of sbx-shell]: its control holds here, and inside every act meets its errno.
attack() {
	local program=$1
	shift
	"$programs/$program" control </dev/null >control.out 2>&1
	case $? in
	0 | 77) ;;
	*) fail "the positive control of $program: $(grep BAD control.out)" ;;
	esac
	sed 's/^/outside  /' control.out
	sbx-shell $degraded --quiet $show "$@" ws -- "$there/$program" </dev/null >attack.out 2>attack.err
	code=$?
	sed 's/^/inside   /' attack.out
	[ "$code" = 0 ] || fail "$program inside exited $code: $(grep BAD attack.out) $(tail -c 500 attack.err)"
	grep -q '^ok ' attack.out || fail "$program said nothing inside"
}

# Nothing with this word in its command line is left 100 ms after the run.
expect_gone() { # WORD
	local n
	sleep 0.1
	n=$(count_processes "$1")
	[ "$n" = 0 ] || fail "$n processes are left: $(processes_with "$1" | xargs cat 2>/dev/null | tr '\0' ' ')"
}

# Where a limit has no cgroup the result must say so.
expect_degraded() { # FILE WORD
	[ "$limits_enforced" = no ] || return 0
	field "$1" degraded | grep -qi -- "$2" || fail "degraded does not name $2: $(field "$1" degraded)"
}
