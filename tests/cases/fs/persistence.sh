# What was written is there again, byte for byte, after the daemon ended: through each pair of roads.
# run: root user
# needs: fuse userns fusermount3
# timeout: 120
# sanitize: yes
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
cat >make.py <<'PY'
import os, random
r = random.Random(5)
os.makedirs("tree/sub dir/deep", exist_ok=True)
for n in (0, 1, 4095, 4096, 4097, 100000, 1048577, 5000000):
    with open(f"tree/f{n}", "wb") as f:
        f.write(r.randbytes(n))
with open("tree/sub dir/sparse", "wb") as f:
    f.seek(30 << 20)
    f.write(b"end")
with open("tree/" + "n" * 255, "w") as f:
    f.write("long")
os.symlink("../f1", "tree/sub dir/link")
os.link("tree/f4097", "tree/hard")
os.chmod("tree/f1", 0o751)
os.utime("tree/f1", ns=(1600000000123456789, 1600000000987654321))
os.setxattr("tree/f1", "user.note", b"remember")
PY
cat >sum.sh <<'SH'
set -eu
cd "$1"
find tree -type f -print0 | sort -z | xargs -0 sha256sum
find tree ! -type d -printf '%p %y %m %s %T@ %n %l\n' | sort
python3 -c 'import os; print(os.listxattr("tree/f1"), os.getxattr("tree/f1", "user.note"))'
SH
show="--ro $PWD/make.py:/opt/make.py --ro $PWD/sum.sh:/opt/sum.sh"
sum="sbx-shell $degraded --quiet $show ws -- sh /opt/sum.sh /workspace"
sbx-shell $degraded --quiet $show ws -- python3 /opt/make.py </dev/null || fail "writing inside"
$sum >first </dev/null || fail "reading inside"
[ "$(wc -l <first)" -gt 20 ] || fail "the list is too short: $(cat first)"

# A second session; a mount; after fresh starts of the daemon.
$sum >second </dev/null || fail "second session"
diff first second || fail "differs in a second session"
mkdir m
expect_code 0 sbxctl mount ws m
sh sum.sh m/workspace >third || fail "reading through the mount"
diff first third || fail "differs through the mount"
cp -a m/workspace/tree m/workspace/copy
expect_code 0 sbxctl umount m
# What the mount wrote is seen inside.
inside ws 'cd /workspace && diff -r --no-dereference tree copy && stat -c %y copy/f1 tree/f1' >fourth || fail "the copy differs"
expect_eq "$(sort -u fourth | wc -l)" 1 "times of the copy"
