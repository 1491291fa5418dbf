#!/usr/bin/env python3
"""What an operation costs as the number of files and the size of a file grow: it should not.

  python3 tests/bench/scale.py [--build DIR] [--store DIR | --keep DIR] [--fill SECONDS] [--tree]
                               [--files 1000,10000,100000] [--sizes 1,1024,102400] [--ops N]
                               [--parts PART,PART]

A workspace in --store (/dev/shm) is filled with more and more files, in one directory or (--tree)
1000 in each.  At each number: microseconds of an operation, median of --ops; seconds to walk over
all names and attributes, to mount, to mount after kill -9 (when nothing was being written, and when
something was: then recovery reads every name), and of the check; and what the daemon occupies:
private memory (smaps_rollup) after the mount, for each inode that the kernel knows after the walk,
and when root has told the kernel to forget them (drop_caches).  --parts ops,memory,times: some of it.

--keep DIR leaves the workspace there and goes on with the one that is there; with --fill a run ends
when making files took so long, and the next one with the same --keep goes on: so a million files
can be made in pieces.  They need 5 GiB: a disk, or an image of ext4.

Then sparse files of --sizes MiB: microseconds to open, of a 4 KiB write at a random place and at
the end, each with its fsync, of a cold 4 KiB read, of a cut by one block.  --files 0 and --sizes 0
leave a part out.  Needs /dev/fuse; nothing is asserted."""
import argparse, os, random, shutil, signal, statistics, subprocess, sys, tempfile, time


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", default="build-test")
    p.add_argument("--store", default="/dev/shm")
    p.add_argument("--keep")
    p.add_argument("--fill", type=float, default=0)
    p.add_argument("--files", default="1000,10000,100000")
    p.add_argument("--tree", action="store_true")
    p.add_argument("--sizes", default="1,1024,102400")
    p.add_argument("--ops", type=int, default=300)
    p.add_argument("--parts", default="ops,memory,times")
    return p.parse_args()


class Workspace:
    def __init__(self, o):
        self.keep = bool(o.keep)
        self.tmp = os.path.abspath(o.keep) if o.keep else tempfile.mkdtemp(prefix="sbx-scale.", dir=o.store)
        self.ctl = os.path.join(os.path.abspath(o.build), "shell", "sbxctl")
        self.ws, self.m = os.path.join(self.tmp, "ws"), os.path.join(self.tmp, "m")
        self.mark = os.path.join(self.tmp, "made.tree" if o.tree else "made")
        os.environ.update(HOME=self.tmp, XDG_CONFIG_HOME=self.tmp, XDG_STATE_HOME=self.tmp)
        if not os.path.exists(self.ws):
            os.makedirs(self.m)
            self.run("init", self.ws)
        self.root = os.path.join(self.m, "workspace")
        self.mount()

    def run(self, *args):
        begin = time.perf_counter()
        subprocess.run((self.ctl,) + args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begin

    def mount(self):
        took = self.run("mount", self.ws, self.m)
        out = subprocess.run((self.ctl, "status", self.ws, "--json"), capture_output=True, text=True)
        self.pid = int(out.stdout.split('"pid":')[1].split(",")[0].strip(" }\n"))
        return took

    def umount(self):
        self.run("umount", self.m)
        while os.path.exists(f"/proc/{self.pid}"):  # it may have much to write
            time.sleep(0.01)

    def remount(self):
        self.umount()
        return self.mount()

    def crash(self):
        os.kill(self.pid, signal.SIGKILL)
        while os.path.exists(f"/proc/{self.pid}"):
            time.sleep(0.01)
        subprocess.run(("umount", "-l", self.m), stderr=subprocess.DEVNULL)
        return self.mount()

    def memory(self):
        sums = {}
        for line in open(f"/proc/{self.pid}/smaps_rollup"):
            word = line.split()
            if word[0].startswith("Private_"):
                sums[word[0]] = int(word[1]) * 1024
        return sum(sums.values())

    def made(self):
        return int(open(self.mark).read()) if os.path.exists(self.mark) else 0

    def end(self):
        self.umount()
        if not self.keep:
            shutil.rmtree(self.tmp)


def median_us(fn, items):
    times = []
    for i in items:
        begin = time.perf_counter()
        fn(i)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def place(w, tree, i):
    return os.path.join(w.root, f"d{i // 1000}" if tree else "d", f"file-number-{i}.csv")


def create(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def read(path):
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 4096)
    os.close(fd)


def fill(w, o, end):
    """False: not all could be made in the time."""
    begin, at = time.monotonic(), w.made()
    while at < end:
        if o.fill and time.monotonic() - begin > o.fill:
            break
        stop = min(at + 1000, end)
        os.makedirs(os.path.dirname(place(w, o.tree, at)), exist_ok=True)
        for i in range(at, stop):
            create(place(w, o.tree, i))
        at = stop
        with open(w.mark, "w") as f:
            f.write(str(at))
    return at >= end


def walk(top):
    """As ls -lR: the kernel knows all inodes then."""
    seen = 0
    for entry in os.scandir(top):
        entry.stat(follow_symlinks=False)
        seen += 1
        if entry.is_dir(follow_symlinks=False):
            seen += walk(entry.path)
    return seen


def forget():
    """The kernel forgets inodes that nobody uses, the directory after its files; False: not allowed."""
    try:
        for _ in range(2):
            with open("/proc/sys/vm/drop_caches", "w") as f:
                f.write("2")
            time.sleep(1)
        return True
    except OSError:
        return False


COLUMNS = {
    "ops": ("stat", "read", "create", "rename", "unlink"),
    "memory": ("walk s", "MiB at first", "bytes/inode", "MiB forgotten"),
    "times": ("mount s", "idle killed s", "busy killed s", "check s"),
}


def ops(w, o, n):
    some = random.sample(range(n), min(o.ops, n))
    new = [place(w, o.tree, i) + ".new" for i in some]
    w.remount()
    os.stat(place(w, o.tree, some[0]))  # the directory, if it is read as a whole
    stat = median_us(lambda i: os.stat(place(w, o.tree, i)), some[1:])
    w.remount()
    os.stat(place(w, o.tree, some[0]))
    small = median_us(lambda i: read(place(w, o.tree, i)), some[1:])
    made = median_us(create, new)
    renamed = median_us(lambda p: os.rename(p, p + "er"), new)
    return stat, small, made, renamed, median_us(lambda p: os.unlink(p + "er"), new)


def memory(w, o, n):
    w.remount()
    empty = w.memory()
    begin = time.perf_counter()
    seen = walk(w.root)
    took = time.perf_counter() - begin
    each = (w.memory() - empty) / seen
    return took, empty / 2**20, each, w.memory() / 2**20 if forget() else 0


def times(w, o, n):
    mounted = w.remount()
    idle = w.crash()  # nothing was changed since the mount
    new = place(w, o.tree, 0) + ".new"
    create(new)
    busy = w.crash()
    if os.path.exists(new):
        os.unlink(new)
    w.umount()
    checked = w.run("fsck", w.ws)
    w.mount()
    return mounted, idle, busy, checked


def show(head, row):
    print("  ".join((f"{v:.2f}" if c.endswith(" s") else f"{v:.0f}").rjust(len(c)) for c, v in zip(head, row)),
          flush=True)


def files(w, o):
    parts = [p for p in COLUMNS if p in o.parts.split(",")]
    head = ["    files"] + [c for p in parts for c in COLUMNS[p]]
    print("  ".join(head))
    for n in [int(x) for x in o.files.split(",")]:
        if w.made() > n:
            continue
        if not fill(w, o, n):
            print(f"{w.made()} files so far: run again with --keep {w.tmp}")
            return False
        show(head, [n] + [v for p in parts for v in globals()[p](w, o, n)])
    return True


def sizes(w, o):
    print(f"{'MiB':>9} {'open':>7} {'write+fsync':>12} {'append+fsync':>13} {'read':>7} {'cut':>7}")
    for mib in [int(x) for x in o.sizes.split(",")]:
        path, size = os.path.join(w.root, "big"), mib << 20
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(fd, size)
        at = [random.randrange(size // 4096) * 4096 for _ in range(o.ops)]

        def write(off):
            os.pwrite(fd, b"x" * 4096, off)
            os.fsync(fd)

        written = median_us(write, at)
        added = median_us(write, [size + k * 4096 for k in range(o.ops)])
        os.close(fd)
        w.remount()
        opened = median_us(lambda _: os.close(os.open(path, os.O_RDONLY)), range(20))
        fd = os.open(path, os.O_RDWR)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        got = median_us(lambda off: os.pread(fd, 4096, off), at)
        cut = median_us(lambda k: os.ftruncate(fd, size - k * 4096), range(1, 21))
        os.close(fd)
        os.unlink(path)
        print(f"{mib:9} {opened:7.0f} {written:12.0f} {added:13.0f} {got:7.0f} {cut:7.0f}", flush=True)


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # not without unmounting
    w = Workspace(o)
    try:
        print(f"{'a tree, 1000 files in a directory' if o.tree else 'one directory'}; times in us, or s")
        if (o.files == "0" or files(w, o)) and o.sizes != "0":
            sizes(w, o)
    finally:
        w.end()


main()
