#!/usr/bin/env python3
"""What an operation costs as the number of files and the size of a file grow: it should not.

  python3 tests/bench/scale.py [--build DIR] [--store DIR] [--files 1000,10000,100000] [--tree]
                               [--sizes 1,1024,102400] [--ops N]

A workspace in --store (/dev/shm) is filled with more and more files, in one directory or (--tree)
1000 in each; at each number: microseconds of an operation (median of --ops), of the first look into
a directory that was not read yet, and what the daemon occupies for each inode that the kernel knows.
Then sparse files of --sizes MiB: a 4 KiB write with its fsync, a cold read, a cut by one block.
Needs /dev/fuse; nothing is asserted."""
import argparse, os, random, shutil, statistics, subprocess, sys, tempfile, time


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", default="build-test")
    p.add_argument("--store", default="/dev/shm")
    p.add_argument("--files", default="1000,10000,100000")
    p.add_argument("--tree", action="store_true")
    p.add_argument("--sizes", default="1,1024,102400")
    p.add_argument("--ops", type=int, default=300)
    return p.parse_args()


class Workspace:
    def __init__(self, o):
        self.tmp = tempfile.mkdtemp(prefix="sbx-scale.", dir=o.store)
        self.ctl = os.path.join(os.path.abspath(o.build), "shell", "sbxctl")
        self.ws, self.m = os.path.join(self.tmp, "ws"), os.path.join(self.tmp, "m")
        os.environ.update(HOME=self.tmp, XDG_CONFIG_HOME=self.tmp, XDG_STATE_HOME=self.tmp)
        os.mkdir(self.m)
        self.run("init", self.ws)
        self.run("mount", self.ws, self.m)
        self.root = os.path.join(self.m, "workspace")

    def run(self, *args):
        subprocess.run((self.ctl,) + args, check=True, stdout=subprocess.DEVNULL)

    def remount(self):
        self.run("umount", self.m)
        self.run("mount", self.ws, self.m)

    def rss(self):
        out = subprocess.run((self.ctl, "status", self.ws, "--json"), capture_output=True, text=True)
        pid = out.stdout.split('"pid":')[1].split(",")[0].strip(" }\n")
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def end(self):
        self.run("umount", self.m)
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


def fill(w, tree, begin, end):
    for i in range(begin, end):
        if i % 1000 == 0 and (tree or i == 0):
            os.makedirs(os.path.dirname(place(w, tree, i)), exist_ok=True)
        create(place(w, tree, i))


def files(w, o):
    print(f"{'files':>9} {'first us':>10} {'stat':>7} {'create':>7} {'rename':>7} {'unlink':>7} {'list 1000 us':>13} {'bytes/inode':>12}")
    done = 0
    for n in [int(x) for x in o.files.split(",")]:
        fill(w, o.tree, done, n)
        done = n
        w.remount()
        empty = w.rss()
        some = random.sample(range(n), min(o.ops, n))
        first = median_us(lambda i: os.stat(place(w, o.tree, i)), some[:1])
        stat = median_us(lambda i: os.stat(place(w, o.tree, i)), some[1:])
        new = [place(w, o.tree, i) + ".new" for i in some]
        made = median_us(create, new)
        renamed = median_us(lambda p: os.rename(p, p + "er"), new)
        gone = median_us(lambda p: os.unlink(p + "er"), new)
        begin, seen = time.perf_counter(), 0
        for at, _, names in os.walk(w.root):
            for name in names:
                os.lstat(os.path.join(at, name))
                seen += 1
        listed = (time.perf_counter() - begin) / seen * 1e9
        each = (w.rss() - empty) / seen
        print(f"{n:9} {first:10.0f} {stat:7.0f} {made:7.0f} {renamed:7.0f} {gone:7.0f} {listed:13.0f} {each:12.0f}", flush=True)


def sizes(w, o):
    print(f"{'MiB':>9} {'open':>7} {'write+fsync':>12} {'read':>7} {'cut':>7}")
    for mib in [int(x) for x in o.sizes.split(",")]:
        path, size = os.path.join(w.root, "big"), mib << 20
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        os.ftruncate(fd, size)
        at = [random.randrange(size // 4096) * 4096 for _ in range(o.ops)]

        def write(off):
            os.pwrite(fd, b"x" * 4096, off)
            os.fsync(fd)

        written = median_us(write, at)
        os.close(fd)
        w.remount()
        opened = median_us(lambda _: os.close(os.open(path, os.O_RDONLY)), range(20))
        fd = os.open(path, os.O_RDWR)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        read = median_us(lambda off: os.pread(fd, 4096, off), at)
        cut = median_us(lambda k: os.ftruncate(fd, size - k * 4096), range(1, 21))
        os.close(fd)
        os.unlink(path)
        print(f"{mib:9} {opened:7.0f} {written:12.0f} {read:7.0f} {cut:7.0f}", flush=True)


def main():
    o = options()
    w = Workspace(o)
    try:
        print(f"{'a tree, 1000 files in a directory' if o.tree else 'one directory'}; times in us")
        if o.files != "0":
            files(w, o)
        if o.sizes != "0":
            sizes(w, o)
    finally:
        w.end()


main()
