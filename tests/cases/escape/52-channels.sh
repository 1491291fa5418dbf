# Attack 52: two sandboxes of one workspace share its files, those of two workspaces nothing (but for locks on files of the system, a known channel).
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
new_ws ws2
export NAME=sbx-$$-$RANDOM PORT=$((20000 + RANDOM % 20000))
offers() { # OUT CMD..: runs until its input is closed
	local out=$1
	shift
	mkfifo hold
	"$@" <hold >"$out" 2>&1 &
	offering=$!
	exec 9>hold
	rm hold
	wait_for 5 grep -q '^offered' "$out" || fail "nothing was offered: $(cat "$out")"
	! grep -q '^not offered' "$out" || fail "$(cat "$out")"
}
ends() {
	exec 9>&-
	wait $offering || fail "offering ended with $?"
}

# Control: on the host all of it is found.
mkdir place && cd place || fail place
offers ../control1.out "$programs/channels" offer
"$programs/channels" control >../control.out 2>&1
code=$?
ends
cd .. || fail cwd
cat control.out
case $code in 0 | 77) ;; *) fail "the positive control: $(grep BAD control.out)" ;; esac
[ "$(grep -c '^ok ' control.out)" -ge 18 ] || fail "too few controls hold: $(grep -v '^ok ' control.out)"

offers offer.out sbx-shell $degraded --quiet $show --env NAME --env PORT ws -- "$there/channels" offer
sbx-shell $degraded --quiet $show --env NAME --env PORT --env SHARED=1 ws -- "$there/channels" </dev/null >one.out 2>&1 ||
	fail "two sandboxes of one workspace: $(grep BAD one.out)"
sbx-shell $degraded --quiet $show --env NAME --env PORT ws2 -- "$there/channels" </dev/null >two.out 2>&1 ||
	fail "two workspaces: $(grep BAD two.out)"
sed 's/^/one workspace   /' one.out
sed 's/^/two workspaces  /' two.out
[ "$(grep -c '^ok ' one.out)" = 22 ] && [ "$(grep -c '^ok ' two.out)" = 22 ] || fail "too few attempts"
ends
