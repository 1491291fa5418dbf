# Every test program in the tree is built, hence run: a test nobody lists is a test that passes forever.
# usage: listed.sh SOURCE_ROOT
cd "$1/tests" || exit 1
bad=0
complain() {
	echo "$1"
	bad=1
}
for f in unit/test_*.c; do
	n=$(basename "$f" .c)
	grep -q "'${n#test_}'" meson.build || complain "tests/$f is not in tests/meson.build"
done
for f in fuzz/fuzz_*.c; do
	n=$(basename "$f" .c)
	[ ! -f "$f" ] || grep -q "'${n#fuzz_}'" meson.build || complain "tests/$f is not in tests/meson.build"
done
for f in escape/*.c; do
	n=$(basename "$f" .c)
	[ -f "$f" ] || continue
	grep -q "'$n'" escape/meson.build || complain "tests/$f is not in tests/escape/meson.build"
	grep -rqsF "$n" cases || complain "tests/$f is run by no case"
done
for f in $(find cases -name '*.sh' -o -name '*.py'); do
	sed -n '1,15s/^# run: *//p' "$f" | grep -Eq '^(root|user|root user|root user degraded|root degraded)$' ||
		complain "tests/$f does not say '# run: root user' (or one of them)"
done
exit $bad
