"""What programs expect of a filesystem, one fact after the other.

usage: posix_suite.py DIR [NAME..]     run the checks (all, or those named) in an empty directory DIR

The same checks run on the host's own filesystem (the control: it shows that the check is right), through
a mount and inside a sandbox.  Prints "ok NAME", "skip NAME: why" or "BAD NAME: what"; exit 1 if any is BAD.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import shutil
import stat
import subprocess
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2


class Skip(Exception):
    pass


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, offset, length):
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if libc.fallocate(fd, mode, offset, length) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def refuses(what, fn, *args, **kw):
    """fn must fail with one of the errnos."""
    codes = what if isinstance(what, tuple) else (what,)
    try:
        fn(*args, **kw)
    except OSError as e:
        assert e.errno in codes, f"{errno.errorcode.get(e.errno, e.errno)}, expected {[errno.errorcode[c] for c in codes]}"
        return
    raise AssertionError(f"worked, expected {[errno.errorcode[c] for c in codes]}")


def put(path, data=b"", mode="wb"):
    with open(path, mode) as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def pattern(n, seed=1):
    return random.Random(seed).randbytes(n)


def in_child(fn):
    """Run fn in a child process; its truth is returned."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if fn() else 1)
        except BaseException as e:
            print("child:", e)
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# ---- files -----------------------------------------------------------------------------------------

def check_create_and_errors():
    put("a", b"hello")
    assert get("a") == b"hello"
    refuses(errno.EEXIST, os.open, "a", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refuses(errno.ENOENT, os.open, "none", os.O_RDONLY)
    refuses(errno.ENOENT, os.open, "none/x", os.O_RDONLY | os.O_CREAT)
    refuses(errno.ENOTDIR, os.open, "a/x", os.O_RDONLY)
    os.mkdir("d")
    refuses(errno.EISDIR, os.open, "d", os.O_WRONLY)
    refuses(errno.EISDIR, os.unlink, "d")
    refuses(errno.ENOTDIR, os.rmdir, "a")
    refuses(errno.ENOENT, os.unlink, "none")


def check_sizes_around_blocks():
    for n in (0, 1, 15, 16, 4079, 4080, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65537, 1048575, 1048577):
        data = pattern(n, n)
        put(f"s{n}", data)
        assert os.stat(f"s{n}").st_size == n
        assert get(f"s{n}") == data, f"size {n}"


def check_big_writes_and_reads():
    data = pattern(9 * 1048576 + 123)
    put("big", data)
    fd = os.open("big", os.O_RDONLY)
    assert os.pread(fd, 100, 5 * 1048576 - 50) == data[5 * 1048576 - 50:5 * 1048576 + 50]
    assert os.pread(fd, 4096, len(data)) == b""
    assert os.pread(fd, 4096, len(data) - 7) == data[-7:]
    os.close(fd)
    assert get("big") == data


def check_model():
    """Random operations on one file against an array of bytes, with reopening in between."""
    rng = random.Random(42)
    model = bytearray()
    fd = os.open("m", os.O_RDWR | os.O_CREAT)
    for step in range(1500):
        op = rng.random()
        if op < 0.45:
            at, n = rng.randrange(300000), rng.choice((1, 7, 100, 4096, 5000, 20000))
            data = rng.randbytes(n)
            assert os.pwrite(fd, data, at) == n
            if at > len(model):
                model.extend(bytes(at - len(model)))
            model[at:at + n] = data
        elif op < 0.8:
            at, n = rng.randrange(320000), rng.choice((1, 50, 4096, 70000))
            got = os.pread(fd, n, at)
            assert got == bytes(model[at:at + n]), f"step {step}: read {n} at {at}"
        elif op < 0.9:
            n = rng.choice((0, rng.randrange(300000), 4096 * rng.randrange(70)))
            os.ftruncate(fd, n)
            if n < len(model):
                del model[n:]
            else:
                model.extend(bytes(n - len(model)))
        elif op < 0.95:
            os.fsync(fd)
        else:
            os.close(fd)
            fd = os.open("m", os.O_RDWR)
        if step % 100 == 0:
            assert os.fstat(fd).st_size == len(model), f"step {step}: size"
    os.close(fd)
    assert get("m") == bytes(model)


def check_append():
    put("log", b"0\n")
    a = os.open("log", os.O_WRONLY | os.O_APPEND)
    b = os.open("log", os.O_WRONLY | os.O_APPEND)
    os.write(a, b"1\n")
    os.write(b, b"2\n")
    os.write(a, b"3\n")
    os.close(a)
    os.close(b)
    assert get("log") == b"0\n1\n2\n3\n"


def check_append_by_many_processes():
    put("log", b"")
    pids = []
    for who in range(4):
        pid = os.fork()
        if pid == 0:
            fd = os.open("log", os.O_WRONLY | os.O_APPEND)
            for n in range(300):
                os.write(fd, f"{who}:{n:05d}:{'x' * (who * 7)}\n".encode())
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    lines = get("log").decode().splitlines()
    want = sorted(f"{who}:{n:05d}:{'x' * (who * 7)}" for who in range(4) for n in range(300))
    assert sorted(lines) == want, f"{len(lines)} lines of {len(want)}, or torn"


def check_truncate():
    put("t", pattern(10000))
    os.truncate("t", 100)
    assert get("t") == pattern(10000)[:100]
    os.truncate("t", 9000)
    assert get("t") == pattern(10000)[:100] + bytes(8900)
    fd = os.open("t", os.O_WRONLY | os.O_TRUNC)
    assert os.fstat(fd).st_size == 0
    os.close(fd)
    refuses(errno.EINVAL, os.truncate, "t", -1)


def check_sparse():
    fd = os.open("sparse", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"head", 0)
    os.pwrite(fd, b"tail", 50 << 20)
    os.fsync(fd)
    st = os.fstat(fd)
    assert st.st_size == (50 << 20) + 4
    assert st.st_blocks * 512 < 4 << 20, f"{st.st_blocks * 512} bytes allocated for two blocks"
    assert os.pread(fd, 4096, 20 << 20) == bytes(4096)
    hole = os.lseek(fd, 0, os.SEEK_HOLE)
    assert 4 <= hole <= 1 << 20, f"first hole at {hole}"
    data = os.lseek(fd, hole, os.SEEK_DATA)
    assert (49 << 20) <= data <= 50 << 20, f"second data at {data}"
    assert os.lseek(fd, data, os.SEEK_HOLE) == (50 << 20) + 4, "the end is a hole"
    refuses(errno.ENXIO, os.lseek, fd, 60 << 20, os.SEEK_DATA)
    os.close(fd)


def check_fallocate():
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    try:
        fallocate(fd, 0, 0, 100000)
    except OSError as e:
        os.close(fd)
        if e.errno == errno.EOPNOTSUPP:
            raise Skip("no fallocate")
        raise
    assert os.fstat(fd).st_size == 100000
    assert os.pread(fd, 100000, 0) == bytes(100000)
    os.pwrite(fd, b"x" * 20000, 0)
    try:
        fallocate(fd, 3, 4096, 8192)
    except OSError as e:
        if e.errno != errno.EOPNOTSUPP:
            raise
    else:
        assert os.pread(fd, 20000, 0) == b"x" * 4096 + bytes(8192) + b"x" * (20000 - 12288)
    os.close(fd)


def check_unlink_while_open():
    fd = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before")
    os.unlink("gone")
    assert not os.path.exists("gone")
    os.write(fd, b" after")
    os.fsync(fd)
    assert os.pread(fd, 100, 0) == b"before after"
    assert os.fstat(fd).st_nlink == 0
    os.ftruncate(fd, 3)
    assert os.pread(fd, 100, 0) == b"bef"
    put("gone", b"another")
    assert os.pread(fd, 100, 0) == b"bef"
    os.close(fd)
    assert get("gone") == b"another"
    assert os.listdir(".") == ["gone"]


def check_open_tmpfile():
    try:
        fd = os.open(".", os.O_RDWR | os.O_TMPFILE, 0o600)
    except OSError as e:
        if e.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            raise Skip("no O_TMPFILE")
        raise
    os.write(fd, b"unnamed")
    assert os.listdir(".") == []
    assert libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, b"named", 0x400) == 0, "linkat"
    os.close(fd)
    assert get("named") == b"unnamed"


def check_mmap():
    put("m", pattern(20000))
    with open("m", "r+b") as f:
        shared = mmap.mmap(f.fileno(), 0)
        assert shared[:] == pattern(20000)
        shared[5000:5005] = b"HELLO"
        assert os.pread(f.fileno(), 5, 5000) == b"HELLO"
        os.pwrite(f.fileno(), b"WORLD", 12000)
        assert shared[12000:12005] == b"WORLD"
        shared.flush()
        shared.close()
        private = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE)
        private[0:7] = b"PRIVATE"
        assert os.pread(f.fileno(), 7, 0) == pattern(20000)[:7]
        private.close()
    want = bytearray(pattern(20000))
    want[5000:5005] = b"HELLO"
    want[12000:12005] = b"WORLD"
    assert get("m") == bytes(want)


def check_mmap_between_processes():
    put("m", bytes(8192))
    fd = os.open("m", os.O_RDWR)
    area = mmap.mmap(fd, 8192)

    def child():
        mine = mmap.mmap(os.open("m", os.O_RDWR), 8192)
        mine[4097:4101] = b"seen"
        return True

    assert in_child(child)
    assert area[4097:4101] == b"seen"


def check_copy_calls():
    data = pattern(300000)
    put("src", data)
    src, dst = os.open("src", os.O_RDONLY), os.open("dst", os.O_RDWR | os.O_CREAT)
    left = len(data)
    while left:
        try:
            left -= os.copy_file_range(src, dst, left)
        except OSError as e:
            assert e.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS), e
            break
    if not left:
        assert get("dst") == data
    os.ftruncate(dst, 0)
    os.lseek(dst, 0, 0)
    sent = 0
    while sent < len(data):
        sent += os.sendfile(dst, src, sent, len(data) - sent)
    assert get("dst") == data


# ---- names -----------------------------------------------------------------------------------------

def check_names():
    names = ["a", "A", "ä", "日本語", "with space", "new\nline", "-rf", "a" * 255, "é" * 127, ".hidden", "..x",
             "tab\t", "quote'\"", "back\\slash", "x" * 143, "x" * 176, "x" * 177]
    for n in names:
        put(n, n.encode())
    raw = b"\xff\xfe raw \x80"
    put(raw, b"raw")
    assert sorted(os.listdir(b".")) == sorted([os.fsencode(n) for n in names] + [raw])
    for n in names:
        assert get(n) == n.encode(), n
    refuses(errno.ENAMETOOLONG, put, "b" * 256)
    refuses(errno.ENAMETOOLONG, os.stat, "b" * 256)
    for n in names + [raw]:
        os.unlink(n)
    assert os.listdir(".") == []


def check_long_names_everywhere():
    a, b = "l" * 255, "m" * 254
    os.mkdir(a)
    put(f"{a}/{a}", b"1")
    os.rename(f"{a}/{a}", f"{a}/{b}")
    os.link(f"{a}/{b}", f"{a}/{a}")
    os.symlink("x" * 255, f"{a}/s" + "n" * 253)
    assert sorted(os.listdir(a)) == sorted([a, b, "s" + "n" * 253])
    os.rename(a, b)
    assert get(f"{b}/{a}") == b"1"
    shutil.rmtree(b)
    assert os.listdir(".") == []


def check_deep_path():
    top = os.getcwd()
    for _ in range(40):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    put("bottom", b"deep")
    assert get("bottom") == b"deep"
    fd = os.open(".", os.O_RDONLY)
    assert os.listdir(fd) == ["bottom"]
    os.close(fd)
    os.chdir(top)
    subprocess.run(["rm", "-rf", "d" * 200], check=True)


def check_many_in_one_directory():
    n = 3000
    for i in range(n):
        os.close(os.open(f"file-{i}", os.O_CREAT | os.O_WRONLY))
    assert len(os.listdir(".")) == n
    with os.scandir(".") as it:
        for e in it:
            assert e.is_file(follow_symlinks=False)
    # Deleting while listing: every file is met once.
    met = 0
    with os.scandir(".") as it:
        for e in it:
            os.unlink(e.name)
            met += 1
    left = len(os.listdir("."))
    assert met + left == n and left == 0, f"met {met}, left {left}"


def check_readdir_types():
    put("file")
    os.mkdir("dir")
    os.symlink("file", "link")
    kinds = {e.name: (e.is_file(follow_symlinks=False), e.is_dir(follow_symlinks=False), e.is_symlink())
             for e in os.scandir(".")}
    assert kinds == {"file": (True, False, False), "dir": (False, True, False), "link": (False, False, True)}
    for e in os.scandir("."):
        assert e.inode() == os.lstat(e.name).st_ino, f"{e.name}: d_ino"


def check_rename():
    put("a", b"a")
    put("b", b"b")
    os.rename("a", "b")
    assert get("b") == b"a" and not os.path.exists("a")
    os.mkdir("d1")
    os.mkdir("d2")
    put("d1/x", b"x")
    os.rename("d1", "d2")
    assert get("d2/x") == b"x"
    os.mkdir("d3")
    refuses((errno.ENOTEMPTY, errno.EEXIST), os.rename, "d3", "d2")
    refuses(errno.EINVAL, os.rename, "d2", "d2/sub")
    refuses(errno.EISDIR, os.rename, "b", "d3")
    refuses(errno.ENOTDIR, os.rename, "d3", "b")
    refuses(errno.ENOENT, os.rename, "none", "b")
    os.rename("b", "d3/b")
    assert get("d3/b") == b"a"
    os.rename("d2", "d3/d2")
    assert get("d3/d2/x") == b"x"
    os.rename("d3/b", "d3/b")
    fd = os.open("d3/b", os.O_RDONLY)
    put("new", b"new")
    os.rename("new", "d3/b")
    assert os.pread(fd, 9, 0) == b"a" and get("d3/b") == b"new"
    os.close(fd)


def check_rename_flags():
    put("a", b"a")
    put("b", b"b")
    refuses(errno.EEXIST, renameat2, "a", "b", NOREPLACE)
    renameat2("a", "c", NOREPLACE)
    assert get("c") == b"a"
    renameat2("b", "c", EXCHANGE)
    assert get("b") == b"a" and get("c") == b"b"
    os.mkdir("d")
    put("d/in", b"in")
    renameat2("b", "d", EXCHANGE)
    assert get("d") == b"a" and get("b/in") == b"in"
    refuses(errno.ENOENT, renameat2, "b", "none", EXCHANGE)
    refuses(errno.EINVAL, renameat2, "b", "x", NOREPLACE | EXCHANGE)


def check_hard_links():
    put("one", b"1")
    os.link("one", "two")
    os.mkdir("d")
    os.link("one", "d/three")
    st = os.stat("one")
    assert st.st_nlink == 3 and os.stat("d/three").st_ino == st.st_ino
    put("two", b"changed")
    assert get("one") == b"changed" and get("d/three") == b"changed"
    os.unlink("one")
    assert os.stat("two").st_nlink == 2 and get("two") == b"changed"
    os.rename("two", "d/three")
    assert os.path.exists("two") and os.path.exists("d/three"), "rename of two links of one file does nothing"
    refuses(errno.EEXIST, os.link, "two", "d/three")
    refuses(errno.EPERM, os.link, "d", "e")
    os.unlink("two")
    assert os.stat("d/three").st_nlink == 1


def check_symlinks():
    os.symlink("target", "s")
    assert os.readlink("s") == "target"
    refuses(errno.ENOENT, os.stat, "s")
    assert stat.S_ISLNK(os.lstat("s").st_mode) and os.lstat("s").st_size == 6
    put("target", b"t")
    assert get("s") == b"t"
    os.symlink("s", "s2")
    assert get("s2") == b"t"
    os.symlink("loop", "loop")
    refuses(errno.ELOOP, os.stat, "loop")
    refuses(errno.EEXIST, os.symlink, "x", "s")
    refuses(errno.EINVAL, os.readlink, "target")
    for n in (1, 255, 1000, 4095):
        os.symlink("y" * n, f"long{n}")
        assert os.readlink(f"long{n}") == "y" * n
    os.symlink("ü/\n/..", "odd")
    assert os.readlink("odd") == "ü/\n/.."
    refuses(errno.ELOOP, os.open, "s", os.O_RDONLY | os.O_NOFOLLOW)


def check_directories():
    os.mkdir("d")
    refuses(errno.EEXIST, os.mkdir, "d")
    os.mkdir("d/e")
    refuses(errno.ENOTEMPTY, os.rmdir, "d")
    os.rmdir("d/e")
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    assert os.listdir(fd) == []
    refuses(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)
    refuses(errno.ENOENT, os.rmdir, "d")
    refuses((errno.EINVAL, errno.ENOTEMPTY), os.rmdir, "./.")


# ---- attributes --------------------------------------------------------------------------------------

def check_modes():
    old = os.umask(0o027)
    fd = os.open("f", os.O_CREAT | os.O_WRONLY, 0o666)
    os.close(fd)
    os.mkdir("d", 0o777)
    os.umask(old)
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o640
    assert stat.S_IMODE(os.stat("d").st_mode) == 0o750
    for m in (0o600, 0o755, 0o444, 0o000):
        os.chmod("f", m)
        assert stat.S_IMODE(os.stat("f").st_mode) == m, oct(m)
    if os.geteuid() != 0:
        refuses(errno.EACCES, os.open, "f", os.O_RDONLY)
    os.chmod("d", 0o1777)
    assert stat.S_IMODE(os.stat("d").st_mode) == 0o1777
    # Opened before the mode changed: stays usable.
    os.chmod("f", 0o600)
    fd = os.open("f", os.O_RDWR)
    os.fchmod(fd, 0)
    os.write(fd, b"still")
    os.close(fd)
    st = os.stat("f")
    # Through a mount by root all outputs belong to the payload's user.
    owner = int(os.environ.get("OWNER", os.geteuid()))
    assert (st.st_uid, st.st_gid) == (owner, owner), f"owner {st.st_uid}:{st.st_gid}"
    os.chown("f", owner, owner)
    if os.geteuid() != 0:
        refuses((errno.EPERM, errno.EINVAL), os.chown, "f", 0, 0)


def check_created_read_only():
    fd = os.open("f", os.O_CREAT | os.O_WRONLY, 0o444)
    os.write(fd, b"written through the descriptor that made it")
    os.close(fd)
    assert get("f").startswith(b"written")


def check_times():
    put("f")
    ns = 1600000000123456789
    os.utime("f", ns=(ns, ns + 1))
    st = os.stat("f")
    assert (st.st_atime_ns, st.st_mtime_ns) == (ns, ns + 1), f"{st.st_atime_ns} {st.st_mtime_ns}"
    os.utime("f", ns=(0, -5000000001))
    assert os.stat("f").st_mtime_ns == -5000000001, "before 1970"
    put("f", b"x", "ab")
    assert abs(os.stat("f").st_mtime - time.time()) < 5
    before = os.stat("f").st_ctime_ns
    time.sleep(0.02)
    os.chmod("f", 0o640)
    assert os.stat("f").st_ctime_ns > before, "chmod moves ctime"
    os.mkdir("d")
    os.utime("d", ns=(ns, ns))
    put("d/x")
    assert os.stat("d").st_mtime_ns > ns, "a new entry moves the directory's mtime"
    os.utime("d", ns=(ns, ns))
    os.unlink("d/x")
    assert os.stat("d").st_mtime_ns > ns, "so does a removed one"
    os.symlink("x", "l")
    os.utime("l", ns=(ns, ns), follow_symlinks=False)
    assert os.lstat("l").st_mtime_ns == ns


def check_mtime_after_close():
    """A cached write must not move mtime after a utime that follows it (cp -p, tar, rsync)."""
    ns = 1500000000000000000
    fd = os.open("f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"data" * 1000)
    os.utime(fd, ns=(ns, ns))
    os.close(fd)
    os.sync()
    assert os.stat("f").st_mtime_ns == ns


def check_xattrs():
    put("f")
    try:
        os.setxattr("f", "user.one", b"1")
    except OSError as e:
        if e.errno == errno.EOPNOTSUPP and "CONTROL" in os.environ:
            raise Skip("the host has none here")
        raise
    os.setxattr("f", "user.two", pattern(3000))
    os.setxattr("f", "user.empty", b"")
    assert os.getxattr("f", "user.one") == b"1"
    assert os.getxattr("f", "user.two") == pattern(3000)
    assert os.getxattr("f", "user.empty") == b""
    assert sorted(os.listxattr("f")) == ["user.empty", "user.one", "user.two"]
    refuses(errno.EEXIST, os.setxattr, "f", "user.one", b"2", os.XATTR_CREATE)
    refuses(errno.ENODATA, os.setxattr, "f", "user.three", b"2", os.XATTR_REPLACE)
    os.setxattr("f", "user.one", b"2", os.XATTR_REPLACE)
    assert os.getxattr("f", "user.one") == b"2"
    os.removexattr("f", "user.two")
    refuses(errno.ENODATA, os.getxattr, "f", "user.two")
    refuses(errno.ENODATA, os.removexattr, "f", "user.two")
    refuses((errno.EOPNOTSUPP, errno.EPERM), os.setxattr, "f", "nonsense.x", b"1")
    os.mkdir("d")
    os.setxattr("d", "user.dir", b"yes")
    assert os.getxattr("d", "user.dir") == b"yes"
    os.rename("f", "g")
    assert os.getxattr("g", "user.one") == b"2"


def check_statfs():
    s = os.statvfs(".")
    assert s.f_namemax == 255 and s.f_bsize >= 4096 and s.f_blocks > 0 and s.f_bfree <= s.f_blocks
    assert s.f_files > 0


def check_inodes():
    for i in range(50):
        put(f"f{i}")
    inos = {os.stat(f"f{i}").st_ino for i in range(50)}
    assert len(inos) == 50
    before = os.stat("f7").st_ino
    os.rename("f7", "g7")
    assert os.stat("g7").st_ino == before
    fd = os.open("g7", os.O_RDONLY)
    assert os.fstat(fd).st_ino == before
    os.close(fd)


def check_working_directory():
    os.mkdir("cwd")
    os.chdir("cwd")
    os.rename("../cwd", "../moved")
    assert os.getcwd().endswith("/moved")
    put("here", b"1")
    os.unlink("here")
    os.rmdir("../moved")
    refuses(errno.ENOENT, os.getcwd)
    os.chdir(TOP)


# ---- durability calls, locks, execution ----------------------------------------------------------------

def check_syncs():
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"1")
    os.fsync(fd)
    os.fdatasync(fd)
    d = os.open(".", os.O_RDONLY)
    os.fsync(d)
    assert libc.syncfs(d) == 0, errno.errorcode[ctypes.get_errno()]
    os.close(d)
    os.close(fd)
    fd = os.open("g", os.O_RDWR | os.O_CREAT | os.O_SYNC)
    os.write(fd, b"sync")
    os.close(fd)
    fd = os.open("g", os.O_RDWR | os.O_DSYNC)
    os.write(fd, b"SYNC")
    os.close(fd)
    assert get("g") == b"SYNC"


def check_flock():
    put("lock")
    a = os.open("lock", os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)

    def other():
        b = os.open("lock", os.O_RDWR)
        try:
            fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    assert in_child(other), "two exclusive locks"
    fcntl.flock(a, fcntl.LOCK_SH)
    assert in_child(lambda: fcntl.flock(os.open("lock", os.O_RDWR), fcntl.LOCK_SH | fcntl.LOCK_NB) is None)
    fcntl.flock(a, fcntl.LOCK_UN)
    assert in_child(lambda: fcntl.flock(os.open("lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB) is None)


def check_fcntl_locks():
    put("lock", bytes(100))
    fd = os.open("lock", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)

    def overlapping():
        mine = os.open("lock", os.O_RDWR)
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)
        try:
            fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 22)
        except OSError as e:
            return e.errno in (errno.EAGAIN, errno.EACCES)
        return False

    assert in_child(overlapping)
    fcntl.lockf(fd, fcntl.LOCK_UN, 10, 20)
    assert in_child(lambda: fcntl.lockf(os.open("lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 22) is None)


def check_lock_waits():
    put("lock")
    fd = os.open("lock", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    pid = os.fork()
    if pid == 0:
        mine = os.open("lock", os.O_RDWR)
        fcntl.lockf(mine, fcntl.LOCK_EX)
        put("got", b"1")
        os._exit(0)
    time.sleep(0.2)
    assert not os.path.exists("got")
    fcntl.lockf(fd, fcntl.LOCK_UN)
    os.waitpid(pid, 0)
    assert os.path.exists("got")


def check_exec():
    put("script", b"#!/bin/sh\necho from-script\n")
    os.chmod("script", 0o755)
    assert subprocess.run(["./script"], capture_output=True).stdout == b"from-script\n"
    shutil.copy("/bin/true", "true")
    assert subprocess.run(["./true"]).returncode == 0
    os.chmod("script", 0o644)
    refuses(errno.EACCES, subprocess.run, ["./script"])


def check_parallel_names():
    """Four processes make, rename and remove in one directory; afterwards it is empty."""
    pids = []
    for who in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for n in range(150):
                    put(f"{who}-{n}", b"x" * n)
                    os.rename(f"{who}-{n}", f"{who}-{n}-renamed")
                    assert get(f"{who}-{n}-renamed") == b"x" * n
                    os.unlink(f"{who}-{n}-renamed")
                os._exit(0)
            except BaseException as e:
                print(e)
                os._exit(1)
        pids.append(pid)
    assert all(os.waitpid(p, 0)[1] == 0 for p in pids)
    assert os.listdir(".") == []


def check_permission_denied_elsewhere():
    if os.geteuid() == 0:
        raise Skip("root is not refused")
    os.mkdir("closed", 0o700)
    put("closed/f")
    os.chmod("closed", 0o000)
    refuses(errno.EACCES, os.listdir, "closed")
    refuses(errno.EACCES, os.stat, "closed/f")
    os.chmod("closed", 0o500)
    refuses(errno.EACCES, put, "closed/new")
    refuses(errno.EACCES, os.unlink, "closed/f")
    os.chmod("closed", 0o700)


TOP = None


def main():
    global TOP
    base = os.path.abspath(sys.argv[1])
    checks = [(n[6:], f) for n, f in list(globals().items()) if n.startswith("check_")]
    wanted = sys.argv[2:]
    bad = 0
    for name, fn in checks:
        if wanted and name not in wanted:
            continue
        TOP = base
        here = os.path.join(base, "check-" + name)
        os.mkdir(here)
        os.chdir(here)
        begin = time.time()
        try:
            fn()
            print(f"ok   {name} {time.time() - begin:.2f}s", flush=True)
        except Skip as e:
            print(f"skip {name}: {e}", flush=True)
        except Exception as e:
            tb = e.__traceback__
            while tb.tb_next and tb.tb_next.tb_frame.f_code.co_filename == __file__:
                tb = tb.tb_next
            print(f"BAD  {name}: line {tb.tb_lineno}: {type(e).__name__}: {str(e)[:300]}", flush=True)
            bad += 1
        os.chdir(base)
        if subprocess.run(["rm", "-rf", here]).returncode != 0:
            print(f"BAD  {name}: cannot be removed again: {os.listdir(here)[:5]}", flush=True)
            bad += 1
            os.rename(here, here + ".kept")
    print(f"{bad} bad")
    return 1 if bad else 0


sys.exit(main())
