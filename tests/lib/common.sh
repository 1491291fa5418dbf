# Helpers of the cases: ". $SBX_SRC/tests/lib/common.sh".  Arrange, act, assert; the first assertion
# that does not hold ends the case.  PATH already holds sbx-shell and sbxctl, HOME and the working
# directory are empty and private to this case, MODE is "root" or "user", SBX_CGROUP is empty where
# there is no cgroup for us.
set -u

. "$SBX_SRC/tests/lib/assert.sh"

# Without cgroups that can be written, memory and CPU limits are degraded and must be accepted as such.
if [ "$SBX_LIMITS" = yes ]; then
	limits_enforced=yes degraded=
else
	limits_enforced=no degraded=--allow-degraded
fi

# The programs of tests/ are built without instruments, once: a build with sanitizers has none.
plain_build=$SBX_BUILD
[ -d "$plain_build/tests/posix" ] || plain_build=${SBX_BUILD%-clang}

# new_ws NAME [options of init]: a workspace on the first cipher that exists everywhere.
new_ws() {
	local ws=$1
	shift
	sbxctl init "$ws" --cipher xchacha20 "$@" >init.out 2>&1 || fail "sbxctl init $ws: $(cat init.out)"
}

# inside WS SCRIPT [ARG..]: the script in the sandbox's sh; its stdout and exit code are ours.
inside() {
	local ws=$1 script=$2
	shift 2
	sbx-shell $degraded --quiet "$ws" -- sh -euc "$script" sh "$@"
}

# run_result FILE ARGS..: sbx-shell with --result; never fails; $code holds the exit code.
run_result() {
	local file=$1
	shift
	rm -f "$file"
	sbx-shell $degraded --result "$file" "$@"
	code=$?
	[ -s "$file" ] || fail "no result was written (exit $code)"
}

# field FILE KEY[.KEY]: one value of a JSON file, null and booleans as JSON writes them.
field() {
	/usr/bin/python3 - "$@" <<'PY'
import json, sys
v = json.load(open(sys.argv[1]))
for k in sys.argv[2].split('.'):
    v = v[int(k)] if isinstance(v, list) else v[k]
print(v if isinstance(v, str) else json.dumps(v))
PY
}

expect_field() { # FILE KEY WANT
	local got
	got=$(field "$1" "$2") || fail "$1 has no $2: $(cat "$1")"
	[ "$got" = "$3" ] || fail "$2 is $got, expected $3: $(cat "$1")"
}

# The daemon that serves a workspace.
daemon_pid() { # WS
	/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1] + "/lock"))["pid"])' "$1"
}

# Wait until nobody serves the workspace: what it holds on the disk then is final.
settled() { # WS
	wait_for 5 flock -n "$1/lock" true || fail "$1 is still served after 5 s"
}

wait_for() { # SECONDS CMD..: until it succeeds
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# Processes on the host with this word in their command line, as /proc/PID/cmdline. The word is not
# in the command line of the search.
processes_with() { # WORD
	grep -slF -f - /proc/[0-9]*/cmdline <<<"$1"
}

count_processes() { # WORD
	processes_with "$1" | wc -l
}

# Pid 1 of the sandbox that this supervisor runs, as a number of the host.
inner_init() { # PID
	local c
	for c in $(cat "/proc/$1/task/$1/children"); do
		grep -q '^NSpid:.*[[:space:]]1$' "/proc/$c/status" 2>/dev/null && echo "$c"
	done
}
