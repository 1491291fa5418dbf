# What an operation costs in messages of the kernel to the daemon: no more than this table says.
# run: root user
# needs: fuse fusermount3
# timeout: 120
# A message costs two switches between programs, so that their number is what the speed of names and
# attributes comes down to.  Messages that nobody waits for (forget) are not counted.
import json, os, subprocess, sys

N = 40
M = os.path.join(os.getcwd(), "m", "workspace")


def sbxctl(*args):
    r = subprocess.run(("sbxctl",) + args, capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(f"sbxctl {args}: {r.stderr}")
    return r.stdout


def requests():
    counts = json.loads(sbxctl("status", "ws", "--json"))["requests"]
    return {k: v for k, v in counts.items() if k not in ("forget", "batch_forget")}


def remount():
    sbxctl("umount", "m")
    sbxctl("mount", "ws", "m")


def path(kind, i, where="d"):
    return os.path.join(M, where, f"{kind}-{i}")


def create(i):
    os.close(os.open(path("f", i), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def write_new(i):
    fd = os.open(path("w", i), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    os.write(fd, b"x" * 100)
    os.close(fd)


def read_all(i):
    fd = os.open(path("w", i), os.O_RDONLY)
    os.fstat(fd)
    os.read(fd, 4096)
    os.close(fd)


def stat(i):
    os.stat(path("f", i))


def absent(i):
    os.path.exists(path("absent", i))


def chmod(i):
    os.chmod(path("f", i), 0o600)


def utime(i):
    os.utime(path("f", i), ns=(10**18 + i, 10**18 + i))


def rename(i):
    os.rename(path("f", i), path("r", i))


def link(i):
    os.link(path("r", i), path("l", i))


def replace(i):
    os.rename(path("l", i), path("w", i))


def unlink(i):
    os.unlink(path("r", i))


def mkdir(i):
    os.mkdir(path("sub", i))


def rmdir(i):
    os.rmdir(path("sub", i))


def symlink(i):
    os.symlink("target", path("s", i))


def readlink(i):
    os.readlink(path("s", i))


def fsync(i):
    fd = os.open(path("w", i), os.O_WRONLY)
    os.pwrite(fd, b"y", 0)
    os.fsync(fd)
    os.close(fd)


def listing(i):
    for e in os.scandir(os.path.join(M, "d")):
        e.stat(follow_symlinks=False)


# Name, what is done with each of N, whether the kernel knows nothing before, the most messages of each.
TABLE = [
    ("create", create, False, {"lookup": 1, "getattr": 1, "create": 1, "release": 1}),
    # After close(2) the kernel does not know st_blocks any more.
    ("stat, closed", stat, False, {"getattr": 1}),
    ("stat, known", stat, False, {}),
    ("stat, cold", stat, True, {"lookup": 1}),
    ("stat, absent", absent, False, {"lookup": 1}),
    ("stat, known absent", absent, False, {}),
    ("chmod", chmod, False, {"setattr": 1}),
    ("utime", utime, False, {"setattr": 1}),
    # The kernel asks for security.capability at the first write to an inode; it may tell the times
    # of the write on their own.
    ("create and write", write_new, False,
     {"lookup": 1, "getattr": 1, "create": 1, "getxattr": 1, "write": 1, "setattr": 1, "release": 1}),
    ("read, known", read_all, False, {"open": 1, "getattr": 1, "release": 1}),
    ("read, cold", read_all, True, {"lookup": 1, "open": 1, "read": 1, "release": 1}),
    ("write, fsync", fsync, False,
     {"open": 1, "getxattr": 1, "write": 1, "setattr": 1, "fsync": 1, "release": 1}),
    ("rename", rename, True, {"lookup": 2, "getattr": 1, "rename": 1, "setattr": 1}),
    ("link", link, False, {"lookup": 1, "getattr": 1, "link": 1, "setattr": 1}),
    ("rename over", replace, False, {"lookup": 1, "getattr": 1, "rename": 1, "setattr": 2}),
    ("unlink", unlink, False, {"getattr": 1, "unlink": 1, "setattr": 1}),
    ("mkdir", mkdir, False, {"lookup": 1, "getattr": 1, "mkdir": 1}),
    ("rmdir", rmdir, False, {"getattr": 1, "rmdir": 1}),
    ("symlink", symlink, False, {"lookup": 1, "getattr": 1, "symlink": 1}),
    ("readlink", readlink, False, {"readlink": 1}),
    ("readlink, known", readlink, False, {}),
    # A directory of some hundred entries comes in a few answers, attributes included.
    ("list, cold", listing, True, {"readdirplus": 0.2, "readdir": 0.2, "lookup": 0, "getattr": 0.2}),
]
# The first of N may find something stale, and times are written back when the kernel likes.
SLACK = 3

sbxctl("init", "ws", "--cipher", "xchacha20")
os.mkdir("m")
sbxctl("mount", "ws", "m")
os.mkdir(os.path.join(M, "d"))
failures = 0
for name, op, fresh, most in TABLE:
    if fresh:
        remount()
        os.stat(os.path.join(M, "d"))
    before = requests()
    for i in range(N):
        op(i)
    after = requests()
    got = {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}
    text = ", ".join(f"{k} {v / N:g}" for k, v in sorted(got.items()))
    print(f"{name:20} {text}")
    bad = [k for k, v in got.items() if v > most.get(k, 0) * N + SLACK]
    if bad:
        print(f"    more than the table says: {', '.join(bad)}")
        failures += 1
sbxctl("umount", "m")
sys.exit(1 if failures else 0)
