# Assertions in words. Each ends the case when it does not hold.

fail() {
	echo "failed: $*" >&2
	exit 1
}

skip() {
	echo "skipped: $*"
	exit 77
}

expect_eq() { # GOT WANT WHAT
	[ "$1" = "$2" ] || fail "$3: got '$1', expected '$2'"
}

expect_code() { # CODE CMD..
	local want=$1 got
	shift
	"$@" >cmd.out 2>cmd.err </dev/null
	got=$?
	[ "$got" = "$want" ] || fail "'$*' exited $got, expected $want: $(tail -c 600 cmd.err)"
}

# A refusal: this exit code, one sentence on stderr that says all these words.
expect_refusal() { # CODE "WORDS" CMD..
	local words=$2 w
	set -- "$1" "${@:3}"
	expect_code "$@"
	[ "$(wc -l <cmd.err)" = 1 ] || fail "'${*:2}' wrote not one line: $(cat cmd.err)"
	for w in $words; do
		grep -qi -- "$w" cmd.err || fail "'${*:2}' does not say '$w': $(cat cmd.err)"
	done
}

expect_file() { # FILE TEXT
	[ "$(cat "$1")" = "$2" ] || fail "$1 holds '$(head -c 300 "$1")', expected '$2'"
}

expect_match() { # TEXT REGEX WHAT
	printf '%s\n' "$1" | grep -Eq -- "$2" || fail "$3: '$1' does not match $2"
}

expect_between() { # VALUE LOW HIGH WHAT
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ] || fail "$4: $1 is not between $2 and $3"
}
