# A dataset that the host changes while it is mounted shows what is new, and no mix with what was; as
# root the kernel reads the host's file itself, and an inode is never open in two ways.
# run: root user
# needs: fuse fusermount3
# timeout: 120
import mmap, os, platform, subprocess, sys, threading, time

MIB = 1 << 20
ROOT = os.environ["MODE"] == "root"
failures = 0


def sbxctl(*args):
    r = subprocess.run(("sbxctl",) + args, capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(f"sbxctl {args}: {r.stderr}")
    return r.stdout


def check(ok, what):
    global failures
    if not ok:
        failures += 1
        print("BAD ", what)


def put(name, byte, size=4 * MIB, flags=os.O_CREAT | os.O_WRONLY):
    fd = os.open(os.path.join("data", name), flags, 0o644)
    os.write(fd, byte * size)
    os.close(fd)


def open_files(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]


def daemon_reads():
    """Bytes that the daemon of our workspace has read."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"{os.getcwd()}/ws/store/log" in open_files(pid):
                total += int(open(f"/proc/{pid}/io").readline().split()[1])
        except OSError:
            pass
    return total


os.mkdir("data")
os.mkdir("m")
for n in range(8):
    put(f"f{n}", b"a")
sbxctl("init", "ws", "--cipher", "xchacha20")
sbxctl("dataset", "add", "ws", "d", "data")
sbxctl("mount", "ws", "m")
D = os.path.join(os.getcwd(), "m", "datasets", "d")

# Overwritten in place, with the file open all the time.
fd = os.open(f"{D}/f0", os.O_RDONLY)
check(os.pread(fd, 4096, 0) == b"a" * 4096, "the first content")
time.sleep(0.02)  # a coarse clock must tell the versions apart
put("f0", b"b")
check(os.pread(fd, 4096, 3 * MIB) == b"b" * 4096, "a part not read before is new")
check(os.pread(fd, 4096, 0) == b"b" * 4096, "a part read before is new as soon as another is")
os.close(fd)
with open(f"{D}/f0", "rb") as f:
    check(f.read() == b"b" * 4 * MIB, "the next open sees all that is new")

# Replaced: who has it open keeps what it was, who opens it gets the new one.
fd = os.open(f"{D}/f1", os.O_RDONLY)
check(os.pread(fd, 10, 0) == b"a" * 10, "before it was replaced")
put("new", b"c", 5 * MIB)
os.rename("data/new", "data/f1")
with open(f"{D}/f1", "rb") as f:
    check(f.read() == b"c" * 5 * MIB, "a replaced file")
check(os.pread(fd, 10, 2 * MIB) == b"a" * 10, "the old file, still open")
os.close(fd)

# Mapped.
with open(f"{D}/f2", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    check(m[:] == b"a" * 4 * MIB, "mapped")
    m.close()

# Opened, read and mapped by many at once, while it changes: never an error.
errors = []


def hammer(seed):
    try:
        for i in range(150):
            fd = os.open(f"{D}/f{3 + (seed + i) % 5}", os.O_RDONLY)
            if len(os.pread(fd, 8192, (i * 37 % 500) * 8192)) != 8192:
                errors.append("a short read")
            if i % 10 == 0:
                m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
                m[MIB]
                m.close()
            os.close(fd)
    except OSError as e:
        errors.append(str(e))


threads = [threading.Thread(target=hammer, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
for i in range(20):
    put(f"f{3 + i % 5}", bytes([65 + i]))
for t in threads:
    t.join()
check(not errors, f"many readers: {errors[:3]}")

# As root F does not see what is read.
if ROOT and tuple(map(int, platform.release().split(".")[:2])) >= (6, 9):
    before = daemon_reads()
    with open(f"{D}/f2", "rb") as f:
        check(f.read() == b"a" * 4 * MIB, "content")
    check(daemon_reads() - before < MIB, "the kernel reads it by itself")
sbxctl("umount", "m")
print(f"{failures} failed")
sys.exit(failures > 0)
