# Attack 9: a stopped process, or a stopped group, is ended as exactly as another.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
for how in stop stop-group; do
	run_result r.json --quiet $show --time 1s --grace 300ms ws -- $there/stubborn $how >out 2>err
	expect_eq $code 124 "exit code of $how"
	expect_field r.json verdict timeout
	expect_between "$(field r.json wall_ms)" 990 1600 "wall_ms of $how"
	expect_gone $there/stubborn
done
