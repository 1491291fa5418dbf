# With --explain the filters ask the supervisor: every attack meets the same errno as without (its control is in its own case).
# run: root user degraded
# needs: fuse userns
. "$SBX_SRC/tests/lib/escape.sh"

new_ws ws
sbx-shell $degraded --quiet ws -- sleep 100 </dev/null &
keeper=$!
for program in ptrace-others proc-of-others mount-family new-namespaces setns-back capabilities keyrings kernel-surface host-admin \
	foreign-abi socket-families socket-options cgroup-escape network-out file-handles host-devices; do
	sbx-shell $degraded --quiet --explain $show ws -- "$there/$program" </dev/null >out 2>err
	code=$?
	[ $code = 0 ] && grep -q '^ok ' out || fail "$program: exit $code: $(grep BAD out) $(tail -n 3 err)"
done
# And it does explain: else this would be the case without.
sbx-shell $degraded --explain $show ws -- "$there/keyrings" </dev/null >out 2>err
grep -q keyctl err || fail "keyctl was refused and not named: $(cat err)"
kill $keeper
wait $keeper
true
