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
	# The log names the place in the store.
	[ "$n" = 3 ] || cat "${XDG_STATE_HOME:-$HOME/.local/state}"/sbx/*.log | grep -q "damaged: ${victim#ws/store/}:" ||
		fail "byte $at: no line in the log: $(tail -n 3 "${XDG_STATE_HOME:-$HOME/.local/state}"/sbx/*.log)"
done

# Names, ids, symlinks, whole files: what is changed is left out or fails, the rest stays.
settled ws
rm -rf ws && cp -a before ws
inside ws 'cd /workspace; mkdir d e; echo in >d/f; ln -s a link; setfattr -n user.k -v v a 2>/dev/null || python3 -c "
import os; os.setxattr(\"a\", \"user.k\", b\"v\")"' || fail "writing more"
settled ws
cp -a ws more
try() { # WHAT PYTHON_STATEMENTS SCRIPT_INSIDE WANT
	settled ws
	rm -rf ws && cp -a more ws
	: >"$log"
	(cd ws/store/t && /usr/bin/python3 -c "
import os
def of(kind):
    return sorted(n for n in os.listdir('.') if kind(n))
links, dirs = of(os.path.islink), of(os.path.isdir)
files = of(lambda n: os.path.isfile(n) and not os.path.islink(n))
full = [d for d in dirs if os.listdir(d)][0]
$2") || fail "$1: cannot tamper"
	got=$(inside ws "cd /workspace; $3" 2>err)
	printf '%s\n' "$got" | grep -qxE "$4" || fail "$1: got '$got', expected $4: $(cat err)"
	grep -q 'damaged: t' "$log" || fail "$1: no line in the log"
}
log=$(ls "${XDG_STATE_HOME:-$HOME/.local/state}"/sbx/*.log | head -n 1)
try "a name" 'os.rename(files[0], ("A" if files[0][0] != "A" else "B") + files[0][1:])' 'ls | wc -l' 5
try "a symlink" 'l = links[0]; t = os.readlink(l); os.unlink(l); os.symlink(t[:40] + ("A" if t[40] != "A" else "B") + t[41:], l)' \
	'readlink link || echo EIO' EIO
try "a directory's id" 'os.removexattr(full, "user.wfs.d")' 'cat d/f 2>/dev/null || echo EIO' EIO
try "an attribute" '
for f in files:
    for x in os.listxattr(f):
        if x.startswith("user.x."):
            os.setxattr(f, x, os.getxattr(f, x)[:-1] + b"?")' \
	'python3 -c "
import os
try: print(os.getxattr(\"a\", \"user.k\"))
except OSError as e: print(e.errno)"' 5
try "a fifo" 'os.unlink(files[0]); os.mkfifo(files[0]); os.mkdir("plain")' 'ls | wc -l' 6
