# Attack 2: memory by heap, memfd, /dev/shm and /tmp all count; the end is said to be the memory limit.
# run: root user degraded
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
# What is looked at by polling is what processes have mapped; files in memory have their own sizes.
kinds='heap memfd /dev/shm /tmp'
[ "$limits_enforced" = yes ] || kinds=heap
for what in $kinds; do
	run_result r.json --quiet $show --memory 64M --tmp 1G --shm 1G --time 30s ws -- \
		$there/memory-bomb $what 512 >out 2>err
	grep -q 'no limit met' out && fail "$what: 512 MiB under --memory 64M ($(cat r.json))"
	# A tmpfs may refuse instead of the whole group being ended.
	if ! grep -q 'met ENOSPC' out; then
		expect_field r.json verdict oom
		expect_eq $code 137 "exit code of $what"
	fi
	expect_degraded r.json memory
	expect_gone $there/memory-bomb
done
# Control: what fits is left alone.
run_result r.json --quiet $show --memory 256M ws -- $there/memory-bomb heap 64 >out 2>err
expect_eq "$(cat out)" "no limit met after 64 MiB" "64 MiB under --memory 256M"
expect_field r.json verdict exit
