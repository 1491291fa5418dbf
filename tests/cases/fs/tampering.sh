# A changed byte of ciphertext gives EIO or a refusal, never other data; the rest stays readable.
# run: root user
# needs: fuse userns
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
inside ws 'cd /workspace; for f in a b c; do head -c 100000 /dev/urandom >$f; done; sha256sum a b c' >sums || fail "writing"
# A copy of a store that is still being closed would be mended at its next opening.
wait_for 10 flock -n ws/lock true || fail "the daemon keeps the workspace"
settled ws
cp -a ws before
files=$(find ws/store/t -type f -size +60k | sort)
expect_eq "$(printf '%s\n' "$files" | wc -l)" 3 "backing files"
victim=$(printf '%s\n' "$files" | head -n 1)
size=$(stat -c %s "$victim")
for at in 0 40 200 4200 60000 $((size - 20)); do
	settled ws
	rm -rf ws && cp -a before ws
	/usr/bin/python3 - "$victim" $at <<'PY'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([b[0] ^ 1]))
PY
	inside ws 'cd /workspace; for f in a b c; do sha256sum $f || true; done' >after 2>err
	bad=$(diff sums after | grep -c '^>')
	[ "$bad" = 0 ] || fail "byte $at: other data was read: $(cat after)"
	n=$(grep -c . after)
	[ "$n" -ge 2 ] || fail "byte $at: other files are unreadable too: $(cat after err)"
	[ "$n" = 2 ] || echo "byte $at changes nothing that is read"
	[ "$n" = 3 ] || grep -qi 'input/output error\|Bad message' err || fail "byte $at: not EIO: $(cat err)"
done
