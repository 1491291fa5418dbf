# Names in a directory too big to be read for one request: found, absent, made, replaced and removed
# without a listing, and the listing afterwards is what all that left.
# run: root user
# needs: fuse fusermount3
# timeout: 120
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir m
expect_code 0 sbxctl mount ws m
/usr/bin/python3 - m/workspace <<'PY' || fail "filling"
import os, sys
d = os.path.join(sys.argv[1], "d")
os.mkdir(d)
long = "l" * 250
for i in range(4000):
    os.close(os.open(f"{d}/file-number-{i}.csv", os.O_CREAT | os.O_WRONLY))
os.close(os.open(f"{d}/{long}", os.O_CREAT | os.O_WRONLY))
PY
expect_code 0 sbxctl umount m
expect_code 0 sbxctl mount ws m
/usr/bin/python3 - m/workspace <<'PY' || fail "a big directory that was not read"
import errno, os, sys
d = os.path.join(sys.argv[1], "d")
want = {f"file-number-{i}.csv" for i in range(4000)} | {"l" * 250}


def path(name):
    return os.path.join(d, name)


def refused(code, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert e.errno == code, (fn, args, errno.errorcode[e.errno])
        return
    raise AssertionError((fn, args, "nothing refused it"))


assert os.stat(path("file-number-7.csv")).st_size == 0
os.stat(path("l" * 250))
refused(errno.ENOENT, os.stat, path("absent"))
refused(errno.ENOENT, os.unlink, path("absent"))
refused(errno.ENOENT, os.rename, path("absent"), path("file-number-1.csv"))
refused(errno.EEXIST, os.open, path("file-number-8.csv"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
refused(errno.EEXIST, os.mkdir, path("file-number-9.csv"))
refused(errno.EEXIST, os.link, path("file-number-7.csv"), path("file-number-10.csv"))
refused(errno.ENOTEMPTY, os.rmdir, d)
os.close(os.open(path("new"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
os.mkdir(path("dir"))
os.unlink(path("file-number-11.csv"))
os.unlink(path("l" * 250))
os.rename(path("file-number-12.csv"), path("moved"))
os.rename(path("file-number-13.csv"), path("file-number-14.csv"))
want -= {"file-number-11.csv", "l" * 250, "file-number-12.csv", "file-number-13.csv"}
want |= {"new", "dir", "moved"}
got = os.listdir(d)
assert len(got) == len(set(got)), "a name twice"
assert set(got) == want, set(got) ^ want
refused(errno.ENOENT, os.stat, path("file-number-13.csv"))
PY
expect_code 0 sbxctl umount m
