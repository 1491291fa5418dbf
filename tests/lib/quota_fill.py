"""Fill a workspace to its quota in many ways; run inside it, prints one line for each and a verdict."""
import errno
import mmap
import os
import sys
import time

D = "/workspace"
bad = 0


def say(what, ok, *more):
    global bad
    bad += not ok
    print("ok " if ok else "BAD", what, *more, flush=True)


def room():
    return os.statvfs(D).f_bavail * 4096


def blocks():
    return sum(os.stat(f"{D}/{f}").st_blocks * 512 for f in os.listdir(D))


def clean():
    for f in os.listdir(D):
        os.unlink(f"{D}/{f}")


def fill(fd, buf, most=1 << 40):
    """Write until it fails: (bytes, errno)."""
    n = 0
    while n < most:
        try:
            n += os.write(fd, buf)
        except OSError as e:
            return n, e.errno
    return n, 0


def back(was):
    """The kernel tells that a file was closed when it finds the time, and only then it is gone."""
    for _ in range(100):
        if room() == was:
            return True
        time.sleep(0.02)
    return False


def name(e):
    return errno.errorcode.get(e, str(e))


def one_file(what, flags, buf):
    was = room()
    fd = os.open(f"{D}/f", os.O_CREAT | os.O_RDWR | flags, 0o600)
    n, e = fill(fd, buf)
    os.fsync(fd)  # what write(2) took is there
    os.close(fd)
    size = os.stat(f"{D}/f").st_size
    say(what, e == errno.ENOSPC and n == size and was - 4096 < size <= was and room() == 0,
        name(e), n, "of", was)
    fd = os.open(f"{D}/f", os.O_RDWR)
    say(what + ": what is there may be overwritten", os.pwrite(fd, b"x" * 4096, 0) == 4096)
    os.fsync(fd)
    os.ftruncate(fd, 0)
    say(what + ": deleting inside helps at once", os.pwrite(fd, b"x" * 65536, 0) == 65536)
    os.fsync(fd)
    os.close(fd)
    clean()
    say(what + ": the space is back", back(was), room(), was)


def many(writers, buf, same):
    was = room()
    pids = []
    for i in range(writers):
        pid = os.fork()
        if pid == 0:
            code = 0
            try:
                fd = os.open(f"{D}/{0 if same else i}",
                             os.O_CREAT | os.O_RDWR | (os.O_APPEND if same else 0))
                code = 0 if fill(fd, buf)[1] == errno.ENOSPC else 1
                os.fsync(fd)
                os.close(fd)
            except OSError as e:
                code = 0 if e.errno == errno.ENOSPC and code == 0 else 2
            os._exit(code)
        pids.append(pid)
    codes = [os.waitpid(p, 0)[1] >> 8 for p in pids]
    size = sum(os.stat(f"{D}/{f}").st_size for f in os.listdir(D))
    say(f"{writers} writers", not any(codes) and blocks() <= was and room() == 0, codes.count(0),
        blocks(), "of", was, "sizes", size)
    clean()
    say(f"{writers} writers: the space is back", back(was), room(), was)


def sparse():
    was = room()
    fd = os.open(f"{D}/f", os.O_CREAT | os.O_RDWR)
    e = n = 0
    for i in range(1 << 20):
        try:
            os.pwrite(fd, b"x" * 4096, (i * 7919 % 65536) * 40960)
            n += 4096
        except OSError as x:
            e = x.errno
            break
    os.fsync(fd)
    os.close(fd)
    say("sparse", e == errno.ENOSPC and n == os.stat(f"{D}/f").st_blocks * 512 and room() == 0,
        name(e), n, "of", was)
    clean()
    say("sparse: the space is back", back(was))


def mapped():
    """Stores ask nobody: they fail at msync or fsync, with ENOSPC."""
    was = room()
    fd = os.open(f"{D}/f", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, was + (1 << 20))
    m = mmap.mmap(fd, was + (1 << 20))
    e = 0
    for at in range(0, len(m), 4096):
        m[at] = 1
    try:
        m.flush()
        os.fsync(fd)
    except OSError as x:
        e = x.errno
    m.close()
    try:
        os.close(fd)
    except OSError as x:
        e = e or x.errno
    say("mapped", e == errno.ENOSPC and blocks() <= was, name(e), blocks(), "of", was)
    clean()
    say("mapped: the space is back", back(was))


def allocate():
    was = room()
    fd = os.open(f"{D}/f", os.O_CREAT | os.O_RDWR)
    try:
        os.posix_fallocate(fd, 0, was + 8192)
        e = 0
    except OSError as x:
        e = x.errno
    say("fallocate", e == errno.ENOSPC, name(e))
    os.posix_fallocate(fd, 0, was // 2)
    os.close(fd)
    clean()


if __name__ == "__main__":
    blob = os.urandom(1 << 20)
    one_file("1 MiB", 0, blob)
    one_file("4 KiB", 0, blob[:4096])
    one_file("append", os.O_APPEND, blob[:3000])
    if "long" in sys.argv:
        one_file("one write of more than there is", 0, blob * 64)
        one_file("sync", os.O_DSYNC, blob[:65536])
        many(100, blob[:65536], False)
        many(10, blob[:100000], True)
    sparse()
    mapped()
    allocate()
    sys.exit(bad > 0)
