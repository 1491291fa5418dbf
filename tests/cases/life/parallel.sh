# Ten sandboxes at once on one workspace, then thirty one after the other: all fine, nothing left.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
pids=
for i in $(seq 10); do
	sbx-shell $degraded --quiet --memory 200M ws -- sh -c "echo $i >/workspace/p$i; sync /workspace/p$i; cat /workspace/p$i" >out$i 2>err$i </dev/null &
	pids="$pids $!"
done
n=0
for p in $pids; do
	n=$((n + 1))
	wait "$p" || fail "number $n: $(cat err$n)"
	expect_file out$n $n
done
begin=$(now_ms)
for i in $(seq 30); do
	sbx-shell $degraded --quiet ws -- true </dev/null || fail "number $i"
done
echo "a start and end with a daemon of its own: $((($(now_ms) - begin) / 30)) ms"
expect_eq "$(inside ws 'cat /workspace/p* | wc -l')" 10 "files of the ten"
