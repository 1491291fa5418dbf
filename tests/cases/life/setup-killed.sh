# A signal at any moment of the start: no process, no mount, no half-made file, and it starts again.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
for ms in 1 3 5 8 12 16 20 25 30 40 50 60 80 100 130 160; do
	for sig in TERM INT KILL; do
		timeout -s $sig 0.$(printf %03d $ms) sbx-shell $degraded --quiet --result r.json ws -- sleep 5 >out 2>err </dev/null
		[ $? != 0 ] || fail "it was not interrupted"
	done
done
wait_for 3 test -z "$(find . -name 'r.json.*' -o -name '.r.json*')" || fail "half a result: $(ls -A)"
expect_eq "$(inside ws 'echo fine')" fine "afterwards"
