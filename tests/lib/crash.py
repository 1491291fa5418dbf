"""The life of a workspace under the recorder, and a journal of what was done to it.

A Place holds a workspace and what crash_check (tests/crash/check.c) needs to try power cuts at any
moment of that life: before/ (the store when recording began), inodes, trace, journal."""
import ctypes, fcntl, itertools, json, mmap, os, socket, struct, subprocess, time

BUILD = os.environ["SBX_BUILD"]
RECORDER = f"{BUILD}/tests/crash/recorder.so"
CHECKER = f"{BUILD}/tests/crash/crash_check"
TRACE_SIZE = 1 << 29  # sparse


class Place:
    def __init__(self, name, ring=128, pad=False, cipher="xchacha20"):
        self.dir = os.path.abspath(name)
        self.ws = f"{self.dir}/ws"
        self.mnt = f"{self.dir}/m"
        self.root = f"{self.mnt}/workspace"
        self.lines = []
        self.files = []
        self.numbers = itertools.count(1)
        self.counter = None
        os.umask(0o022)
        os.makedirs(self.mnt)
        settings = {"path": self.ws, "cipher": cipher, "pad": pad, "ring_pages": ring}
        r = subprocess.run([f"{BUILD}/fs/sbxfsd", "init"], input=json.dumps(settings), text=True,
                           capture_output=True)
        if r.returncode != 0:
            raise SystemExit(f"init: {r.stdout} {r.stderr}")

    # -- serving ----------------------------------------------------------

    def mount(self, env=None):
        r = subprocess.run(["sbxctl", "mount", self.ws, self.mnt], env={**os.environ, **(env or {})},
                           capture_output=True, text=True)
        if r.returncode != 0:
            raise SystemExit(f"mount: {r.stderr}")

    def unmount(self):
        r = subprocess.run(["sbxctl", "umount", self.mnt], capture_output=True, text=True)
        if r.returncode != 0:
            raise SystemExit(f"umount: {r.stderr}")
        with open(f"{self.ws}/lock") as f:
            for _ in range(6000):
                try:
                    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except OSError:
                    time.sleep(0.01)
        raise SystemExit("the workspace is still served")

    def prepare(self, work, rng):
        """Made before recording begins."""
        self.mount()
        work(self, rng)
        self.unmount()

    def record(self, own=False, whole=False):
        """Mount with the recorder; what is there now is durable. 'own': see tests/crash/disk.h.
        'whole': the workspace with its keys and settings, and not its store alone."""
        store, before = self.ws if whole else f"{self.ws}/store", f"{self.dir}/before"
        self.options = [*(["--own"] if own else []), *(["--whole"] if whole else [])]
        subprocess.run(["cp", "-a", "--sparse=always", store, before], check=True)
        with open(f"{self.dir}/inodes", "w") as f:
            f.write(f"{os.lstat(store).st_ino} \n")
            for path, dirs, files in os.walk(store):
                for n in sorted(dirs) + sorted(files):
                    p = os.path.join(path, n)
                    f.write(f"{os.lstat(p).st_ino} {os.path.relpath(p, store)}\n")
        with open(f"{self.dir}/trace", "wb+") as f:
            f.truncate(TRACE_SIZE)
            self.counter = mmap.mmap(f.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)
        self.mount({"LD_PRELOAD": RECORDER, "SBX_CRASH_TRACE": f"{self.dir}/trace",
                    **({"SBX_CRASH_OWN": "1"} if own else {})})

    def stop(self):
        """The clean end of the recorded life."""
        for f in self.files:
            if f.fd >= 0:
                f.close()
        self.call(self.unmount, "end")
        with open(f"{self.dir}/journal", "w") as f:
            f.writelines(self.lines)

    def records(self):
        return struct.unpack_from("<Q", self.counter, 8)[0] if self.counter else 0

    # -- the journal ------------------------------------------------------

    def call(self, fn, *words):
        return self.call_both(fn, words)

    def call_both(self, fn, *calls):
        """One call that is several things."""
        before = self.records()
        r = fn()
        after = self.records()
        for words in calls:
            self.lines.append(f"{before} {after}\t" + "\t".join(str(w) for w in words) + "\n")
        return r

    def free(self, path):
        self.lines.append(f"0 0\tfree\t{path}\n")

    def at(self, path):
        return f"{self.root}/{path}" if path else self.root

    def create(self, path):
        number = next(self.numbers)
        fd = self.call(lambda: os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644),
                       "create", path, number)
        self.files.append(File(self, path, number, fd))
        return self.files[-1]

    def mkdir(self, path):
        self.call(lambda: os.mkdir(self.at(path)), "mkdir", path)

    def rmdir(self, path):
        self.call(lambda: os.rmdir(self.at(path)), "rmdir", path)

    def mkfifo(self, path):
        self.call(lambda: os.mkfifo(self.at(path)), "mkfifo", path)

    def symlink(self, path, target):
        self.call(lambda: os.symlink(target, self.at(path)), "symlink", path, target)

    def link(self, file, path):
        self.call(lambda: os.link(self.at(file.path), self.at(path)), "link", file.number, path)

    def unlink(self, path):
        self.call(lambda: os.unlink(self.at(path)), "unlink", path)

    def rename(self, old, new):
        self.call(lambda: os.rename(self.at(old), self.at(new)), "rename", old, new)

    def rest(self):
        """All of it durable, the store clean until the next change."""
        def sync():
            fd = os.open(self.root, os.O_RDONLY)
            r = ctypes.CDLL(None, use_errno=True).syncfs(fd)  # what the kernel holds
            os.close(fd)
            with open(f"{self.ws}/lock") as f:
                name = json.load(f)["socket"]
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.connect("\0" + name)
                s.send(b'{"op":"sync"}')
                if r != 0 or not json.loads(s.recv(65536))["ok"]:
                    raise SystemExit("sync")
        self.call(sync, "end")

    def fsyncdir(self, path=""):
        fd = os.open(self.at(path), os.O_RDONLY)
        self.call(lambda: os.fsync(fd), "fsyncdir", *([path] if path else []))
        os.close(fd)


class File:
    """One file, with one writer. Values are 1..62, so that what is found tells which write it was."""

    def __init__(self, place, path, number, fd):
        self.p, self.path, self.number, self.fd = place, path, number, fd
        self.size = 0
        self.value = number * 7 % 62
        self.dsync = False

    def write(self, off, n):
        self.value = self.value % 62 + 1
        data = bytes([self.value]) * n
        words = "write", self.number, off, n, self.value
        if self.dsync:
            self.p.call_both(lambda: os.pwrite(self.fd, data, off), words, ("fsync", self.number))
        else:
            self.p.call(lambda: os.pwrite(self.fd, data, off), *words)
        self.size = max(self.size, off + n)

    def store(self, memory, off, n):
        """Through a mapping."""
        self.value = self.value % 62 + 1

        def put():
            memory[off:off + n] = bytes([self.value]) * n
        self.p.call(put, "write", self.number, off, n, self.value)

    def append(self, n):
        self.write(self.size, n)

    def cut(self, size):
        self.p.call(lambda: os.ftruncate(self.fd, size), "cut", self.number, size)
        self.size = size

    def punch(self, off, n):
        libc = ctypes.CDLL(None, use_errno=True)

        def punch():
            if libc.fallocate(self.fd, 3, ctypes.c_long(off), ctypes.c_long(n)) != 0:
                raise OSError(ctypes.get_errno(), "fallocate")
        self.p.call(punch, "punch", self.number, off, n)

    def chmod(self, mode):
        self.p.call(lambda: os.fchmod(self.fd, mode), "chmod", self.number, mode)

    def fsync(self, data_only=False):
        self.p.call(lambda: (os.fdatasync if data_only else os.fsync)(self.fd), "fsync", self.number)

    def close(self):
        os.close(self.fd)
        self.fd = -1

    def open(self, truncate=False, dsync=False):
        self.dsync = dsync

        def opened():
            return os.open(self.p.at(self.path), os.O_RDWR | (os.O_TRUNC if truncate else 0) |
                           (os.O_DSYNC if dsync else 0))
        if truncate:
            self.fd = self.p.call(opened, "cut", self.number, 0)
            self.size = 0
        else:
            self.fd = opened()


def check(place, *options):
    """Runs crash_check: (exit code, last line, all of its output)."""
    r = subprocess.run([CHECKER, *place.options, *map(str, options), place.dir], capture_output=True, text=True)
    last = r.stdout.strip().splitlines()[-1] if r.stdout.strip() else r.stderr.strip()
    return r.returncode, last, r.stdout + r.stderr
