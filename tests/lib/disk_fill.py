"""Fill the disk below /workspace, in /workspace/full, and try every kind of change on it, full of
bytes and full of inodes: each is done or gives ENOSPC, and then nothing has changed."""
import collections
import errno
import os

top = "/workspace/full"
told = collections.Counter()


def entries(path):
    return sorted(os.listdir(path))


def attempt(kind, path, fn, *args, **kw):
    """One change of 'path'; True when it was done."""
    before = entries(path)
    try:
        fn(*args, **kw)
    except OSError as e:
        assert e.errno == errno.ENOSPC, (kind, errno.errorcode[e.errno])
        assert entries(path) == before, (kind, "failed, and has changed something")
        told[kind, "ENOSPC"] += 1
        return False
    told[kind, "done"] += 1
    return True


def make_file(name):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o640))


def fill(name):
    """All bytes that there are; the number that was taken."""
    fd = os.open(name, os.O_CREAT | os.O_WRONLY)
    n = 0
    for step in (1 << 20, 65536, 4096, 1):
        try:
            while True:
                n += os.write(fd, b"x" * step)
        except OSError as e:
            assert e.errno == errno.ENOSPC, errno.errorcode[e.errno]
    for last in (os.fsync, os.close):
        try:
            last(fd)
        except OSError as e:
            assert e.errno == errno.ENOSPC, (last, errno.errorcode[e.errno])
    return n


def every_kind(path, turns):
    """Until nothing more fits, and some more."""
    os.chdir(path)
    long = "n" * 200
    for i in range(turns):
        attempt("mkdir", ".", os.mkdir, f"d{i}")
        attempt("long mkdir", ".", os.mkdir, f"d{i}{long}")
        attempt("create", ".", make_file, f"f{i}")
        attempt("long create", ".", make_file, f"f{i}{long}")
        attempt("fifo", ".", os.mkfifo, f"p{i}")
        attempt("symlink", ".", os.symlink, "t" * 900, f"s{i}")
        attempt("far symlink", ".", os.symlink, "t" * 3500, f"t{i}")
        attempt("link", ".", os.link, "base", f"l{i}{long}")
        attempt("rename", ".", os.rename, f"f{i}", f"r{i}{long}") if os.path.exists(f"f{i}") else None
        attempt("chmod", ".", os.chmod, "base", 0o4755 if i % 2 else 0o755)
        attempt("xattr", ".", os.setxattr, "base", f"user.a{i % 90}", b"v" * (i % 30))
        attempt("truncate", ".", os.truncate, "base", 1000 + i % 500)
    os.chdir(top)


os.mkdir(top)
for name in ("bytes", "inodes"):
    os.mkdir(f"{top}/{name}")
    make_file(f"{top}/{name}/base")
    with open(f"{top}/{name}/base", "wb") as f:
        f.write(b"b" * 5000)
n = fill(f"{top}/ballast")
assert n > 10 << 20, n
every_kind(f"{top}/bytes", 50)
assert told["create", "ENOSPC"] > 0, ("the disk was not full", n, dict(told))
os.unlink(f"{top}/ballast")
told.clear()
every_kind(f"{top}/inodes", 100)
for kind in ("mkdir", "create", "fifo", "symlink"):
    assert told[kind, "done"] > 0 and told[kind, "ENOSPC"] > 0, (kind, dict(told))
for name in entries(f"{top}/inodes"):
    st = os.lstat(f"{top}/inodes/{name}")
    assert name[0] != "s" or len(os.readlink(f"{top}/inodes/{name}")) == 900, name
print(n, "bytes,", sum(told.values()), "attempts")
