# Every way to change a dataset is refused with EROFS, EACCES or EPERM, and it stays as it was.
# run: root user
# needs: fuse userns
. "$SBX_SRC/tests/lib/common.sh"

new_ws ws
mkdir -p data/sub && echo one >data/a.csv && echo two >data/sub/b.csv && ln -s a.csv data/link
echo single >single.txt
# The harshest case: the payload's own user could write the source.
chmod -R a+rwX data single.txt
expect_code 0 sbxctl dataset add ws data data
expect_code 0 sbxctl dataset add ws single single.txt
# The same as an archive whose members are read in place, and as one that is unpacked.
tar -C data -cf data.tar . && tar -C data -czf data.tgz . && chmod a+rw data.tar data.tgz
expect_code 0 sbxctl dataset add ws tar data.tar
expect_code 0 sbxctl dataset add ws tgz data.tgz
all='data single.txt data.tar data.tgz'
state() { find $all -printf '%p %y %m %U %s %T@ %n %l\n' | sort; find $all -type f | sort | xargs sha256sum; }
state >before
cat >attack.py <<'PY'
import ctypes, errno, fcntl, mmap, os, sys
D = sys.argv[1]
allowed = {errno.EROFS, errno.EACCES, errno.EPERM}
bad = 0


def no(name, fn, also=()):
    global bad
    try:
        fn()
    except OSError as e:
        if e.errno in allowed | set(also):
            print("ok  ", name, errno.errorcode[e.errno])
            return
        print("BAD ", name, errno.errorcode.get(e.errno, e.errno))
    else:
        print("BAD ", name, "worked")
    bad += 1


def opened(flags, path=D + "/a.csv"):
    return lambda: os.open(path, flags)


def mapped():
    fd = os.open(D + "/a.csv", os.O_RDONLY)
    mmap.mmap(fd, 4, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def protected():
    fd = os.open(D + "/a.csv", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    p = libc.mmap(None, 4096, 1, 1, fd, ctypes.c_long(0))
    if libc.mprotect(ctypes.c_void_p(p), 4096, 3) < 0:
        raise OSError(ctypes.get_errno(), "mprotect")


def by_magic_link():
    fd = os.open(D + "/a.csv", os.O_PATH)
    os.open(f"/proc/self/fd/{fd}", os.O_RDWR)


def truncated_by_link():
    fd = os.open(D + "/a.csv", os.O_RDONLY)
    os.truncate(f"/proc/self/fd/{fd}", 0)


def ioctl_flags():
    fd = os.open(D + "/a.csv", os.O_RDONLY)
    fcntl.ioctl(fd, 0x40086602, b"\x20\0\0\0\0\0\0\0")


def copied():
    src = os.open("/workspace/mine", os.O_RDONLY)
    dst = os.open(D + "/a.csv", os.O_RDONLY)
    os.copy_file_range(src, dst, 3)


def exchanged():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, (D + "/a.csv").encode(), -100, (D + "/sub/b.csv").encode(), 2) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


# Control: all of it can be read, by every road.
assert open(D + "/a.csv").read() == "one\n"
assert open(D + "/link").read() == "one\n"
assert open("/datasets/single/single.txt").read() == "single\n"
assert sorted(os.listdir(D)) == ["a.csv", "link", "sub"]
open("/workspace/mine", "w").write("mine")

no("open for writing", opened(os.O_WRONLY))
no("open read-write", opened(os.O_RDWR))
no("open with O_TRUNC", opened(os.O_RDONLY | os.O_TRUNC))
no("open for appending", opened(os.O_WRONLY | os.O_APPEND))
no("create", opened(os.O_CREAT | os.O_WRONLY, D + "/new"))
no("create at the top", opened(os.O_CREAT | os.O_WRONLY, "/datasets/new"))
no("O_TMPFILE", opened(os.O_TMPFILE | os.O_RDWR, D), (errno.EOPNOTSUPP,))
no("truncate", lambda: os.truncate(D + "/a.csv", 0))
no("truncate through /proc", truncated_by_link)
no("open through O_PATH", by_magic_link)
no("mmap for writing", mapped)
no("mprotect later", protected)
no("chmod", lambda: os.chmod(D + "/a.csv", 0o777))
no("chown", lambda: os.chown(D + "/a.csv", os.getuid(), os.getgid()))
no("utime", lambda: os.utime(D + "/a.csv"))
no("setxattr", lambda: os.setxattr(D + "/a.csv", "user.x", b"1"), (errno.EOPNOTSUPP,))
no("removexattr", lambda: os.removexattr(D + "/a.csv", "user.x"), (errno.EOPNOTSUPP,))
no("ACL", lambda: os.setxattr(D + "/a.csv", "system.posix_acl_access", b"\2\0\0\0"), (errno.EOPNOTSUPP,))
no("FS_IOC_SETFLAGS", ioctl_flags, (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS))
no("rename within", lambda: os.rename(D + "/a.csv", D + "/c.csv"))
no("rename over", lambda: os.rename("/workspace/mine", D + "/a.csv"), (errno.EXDEV,))
no("rename out", lambda: os.rename(D + "/a.csv", "/workspace/stolen"), (errno.EXDEV,))
no("exchange", exchanged)
no("unlink", lambda: os.unlink(D + "/a.csv"))
no("rmdir", lambda: os.rmdir(D + "/sub"))
no("mkdir", lambda: os.mkdir(D + "/dir"))
no("symlink", lambda: os.symlink("x", D + "/s"))
no("link in", lambda: os.link("/workspace/mine", D + "/l"), (errno.EXDEV,))
no("link out", lambda: os.link(D + "/a.csv", "/workspace/l"), (errno.EXDEV,))
no("mknod", lambda: os.mknod(D + "/n"))
no("copy_file_range", copied, (errno.EBADF,))
no("the single file", opened(os.O_WRONLY, "/datasets/single/single.txt"))
sys.exit(1 if bad else 0)
PY
chmod 644 attack.py
for name in data tar tgz; do
	sbx-shell $degraded --quiet --ro "$PWD/attack.py:/opt/attack.py" ws -- python3 /opt/attack.py /datasets/$name </dev/null >out 2>&1 ||
		fail "$name: $(grep -v '^ok' out)"
	[ "$(grep -c '^ok' out)" -ge 30 ] || fail "too few attempts: $(cat out)"
done
state >after
diff before after || fail "the dataset was changed"
# Control: outside, the same user can change it.
[ "$MODE" = user ] && { echo three >>data/a.csv || fail "the control"; }
# Through a mount on the host as well.
if command -v fusermount3 >/dev/null; then
	mkdir m
	expect_code 0 sbxctl mount ws m
	state >before
	for name in data tar tgz; do
		expect_eq "$(head -n 1 m/datasets/$name/a.csv)" one "$name through the mount"
		(echo x >m/datasets/$name/a.csv) 2>/dev/null && fail "$name written through the mount"
		rm m/datasets/$name/a.csv 2>/dev/null && fail "removed from $name through the mount"
		(: >m/datasets/$name/new) 2>/dev/null && fail "created in $name through the mount"
	done
	expect_code 0 sbxctl umount m
	state >after
	diff before after || fail "the dataset was changed through the mount"
fi
