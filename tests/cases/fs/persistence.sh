# What was written is there again, byte for byte, after the daemon ended: through each pair of roads.
# run: root user
# needs: fuse userns fusermount3
# timeout: 120
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
make='
import os, random
r = random.Random(5)
os.makedirs("tree/sub dir/deep", exist_ok=True)
for n in (0, 1, 4095, 4096, 4097, 100000, 1048577, 5000000):
    with open(f"tree/f{n}", "wb") as f:
        f.write(r.randbytes(n))
with open("tree/sub dir/sparse", "wb") as f:
    f.seek(30 << 20); f.write(b"end")
with open("tree/" + "n" * 255, "w") as f:
    f.write("long")
os.symlink("../f1", "tree/sub dir/link")
os.link("tree/f4097", "tree/hard")
os.chmod("tree/f1", 0o751)
os.utime("tree/f1", ns=(1600000000123456789, 1600000000987654321))
os.setxattr("tree/f1", "user.note", b"remember")
'
sum='cd "$1" && find tree -type f -print0 | sort -z | xargs -0 sha256sum && find tree -printf "%p %y %m %s %T@ %n %l\n" | grep -v " d " | sort && getfattr -d tree/f1 2>/dev/null | grep user.note'
inside ws "cd /workspace && python3 -c '$(printf %s "$make" | sed "s/'/'\\\\''/g")'" || fail "writing inside"
inside ws "$sum" /workspace >first || fail "reading inside"
[ "$(wc -l <first)" -gt 20 ] || fail "the list is too short: $(cat first)"
wait_for 3 test ! -s ws/lock || true

# A second session; a mount; after fresh starts of the daemon.
inside ws "$sum" /workspace >second || fail "second session"
diff first second || fail "differs in a second session"
mkdir m
expect_code 0 sbxctl mount ws m
sh -euc "$sum" sh m/workspace >third || fail "reading through the mount"
diff first third || fail "differs through the mount"
cp -a m/workspace/tree m/workspace/copy
expect_code 0 sbxctl umount m
# What the mount wrote is seen inside.
inside ws 'cd /workspace && diff -r --no-dereference tree copy && test copy/f1 -ef copy/f1 && stat -c %y copy/f1 tree/f1' >fourth || fail "the copy differs"
expect_eq "$(sort -u fourth | wc -l)" 1 "times of the copy"
