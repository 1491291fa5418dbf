# A store that cannot be written, and places that are links to elsewhere.
# run: root user
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'echo text >/workspace/file' || fail "write"
wait_for 5 flock -n ws/lock true

if [ "$MODE" = user ]; then
	chmod -R a-w ws
	expect_refusal 1 "ws reading" sbxctl set ws quota=1M
	expect_eq "$(inside ws 'cat /workspace/file')" text "read from a store without write permission"
	inside ws 'echo x >/workspace/file' 2>err && fail "wrote into it"
	grep -q 'Read-only\|denied' err || fail "no EROFS: $(cat err)"
	chmod -R u+w ws
	chmod 000 ws/store
	expect_refusal 1 "store" sbxctl status ws
	chmod 700 ws/store
	expect_code 0 sbxctl status ws
else
	on_read_only() {
		unshare -m sh -c 'mount --bind ws ws && mount -o remount,ro,bind ws && exec "$@"' sh "$@"
	}
	expect_refusal 1 "ws reading" on_read_only sbxctl set ws quota=1M
	got=$(on_read_only sbx-shell $degraded --quiet ws -- cat /workspace/file)
	expect_eq "$got" text "read from a read-only store"
	on_read_only sbx-shell $degraded --quiet ws -- sh -c 'echo x >/workspace/file' 2>err && fail "wrote into it"
	grep -q 'Read-only\|denied' err || fail "no EROFS: $(cat err)"
fi
wait_for 5 flock -n ws/lock true

# A link to the workspace is the workspace; parts of it that are links are not followed.
ln -s ws link
expect_code 0 sbxctl show link
wait_for 5 flock -n ws/lock true
mkdir elsewhere
for part in store keys; do
	mv ws/$part kept
	ln -s ../elsewhere ws/$part
	sbxctl show ws >/dev/null 2>err && fail "a linked $part was followed"
	[ "$(wc -l <err)" = 1 ] || fail "not one sentence: $(cat err)"
	rm ws/$part && mv kept ws/$part
done
expect_eq "$(ls -A elsewhere)" "" "written through the link"
expect_code 0 sbxctl show ws
wait_for 5 flock -n ws/lock true

# Foreign files in the store are named in the log and harm nobody.
echo foreign >ws/store/README
expect_eq "$(inside ws 'cat /workspace/file')" text "with a foreign file in the store"
