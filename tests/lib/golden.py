#!/usr/bin/env python3
"""The tree of the golden workspaces, and a listing to compare trees by.

usage: golden.py fill DIR [small]     make the tree in DIR
       golden.py list DIR             print what DIR holds, one JSON object a line
       golden.py make OUT BUILD       make the golden workspaces anew (root; never for a format that
                                      was released: its files stay as they are)
       golden.py crashed OUT BUILD [STEP...]
                                      the same for those that were cut off at a step of a protocol
                                      (all, or these), in OUT/crashed, for the identity in OUT;
                                      what each holds is written down as wfs.py reads it, which shares no code with
                                      the daemon
"""
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time


def pattern(n, seed=0):
    return bytes((i * 7 + i // 256 + seed) & 255 for i in range(n))


def put(name, data):
    with open(name, "xb") as f:
        f.write(data)


def fill_small():
    for n in (0, 1, 4096, 4097):
        put(f"size-{n}", pattern(n))
    os.mkdir("dir")
    put("dir/notes.txt", b"some notes\n")
    put("n" * 255, b"a long name\n")
    os.symlink("dir/notes.txt", "link")


def fill_rest():
    for n in (100, 4095, 131072, 131073, 393217):
        put(f"size-{n}", pattern(n))
    for n in (1, 15, 16, 17, 160, 161):
        put("n" * n, b"name of %d\n" % n)
    put(b"\xff\xfe not UTF-8", b"bytes\n")
    put("Ergebnisse für März.csv", b"a,b\n1,2\n")
    os.makedirs("dir/deeper/still")
    put("dir/deeper/still/x", b"x")
    os.mkdir("empty")
    os.mkdir("d" * 200)
    put("d" * 200 + "/inside", b"inside\n")
    os.symlink("/t" * 1515 + "x", "link-3031")
    os.symlink("/u" * 1516, "link-3032")
    os.symlink("/v" * 2047 + "w", "link-4095")
    os.link("size-100", "hard link")
    with open("sparse", "xb") as f:
        f.truncate(10 << 20)
        f.seek(5 << 20)
        f.write(pattern(5000, 3))
    put("rewritten", pattern(30000))
    with open("rewritten", "r+b") as f:
        f.seek(1000)
        f.write(b"changed")
        f.seek(20000)
        f.write(pattern(9000, 9))
        f.truncate(25001)
    put("cut", pattern(50000))
    os.truncate("cut", 12345)
    os.mkfifo("fifo")
    os.setxattr("size-100", "user.mime_type", b"text/plain")
    os.setxattr("dir", "user.note", b"of a directory")
    for name, mode in (("size-1", 0o400), ("size-4096", 0o755), ("size-0", 0), ("empty", 0o555)):
        os.chmod(name, mode)


def fill(where, small):
    os.umask(0o022)
    os.chdir(where)
    fill_small()
    if not small:
        fill_rest()
    for folder, dirs, files in os.walk(b".", topdown=False):
        for name in dirs + files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.utime(path, ns=(1700000000123456789, 1700000000123456789))


def entry(path):
    st = os.lstat(path)
    e = {"mode": f"{stat.S_IMODE(st.st_mode):04o}"}
    if stat.S_ISLNK(st.st_mode):
        return {"kind": "symlink", "target": os.readlink(path).decode()}
    if stat.S_ISFIFO(st.st_mode):
        return dict(e, kind="fifo")
    e["xattrs"] = {n: os.getxattr(path, n).decode() for n in sorted(os.listxattr(path))
                   if n.startswith("user.")}
    if stat.S_ISDIR(st.st_mode):
        return dict(e, kind="dir", mtime=st.st_mtime_ns)
    data = b""
    if st.st_size:  # an empty one may be unreadable by its mode
        with open(path, "rb") as f:
            data = f.read()
    assert len(data) == st.st_size
    return dict(e, kind="file", size=st.st_size, links=st.st_nlink, mtime=st.st_mtime_ns,
                sha256=hashlib.sha256(data).hexdigest())


def listing(where):
    os.chdir(where)
    rows = []
    for folder, dirs, files in os.walk(b"."):
        rows += [os.path.relpath(os.path.join(folder, n), b".") for n in dirs + files]
    return "".join(json.dumps(dict(path=p.decode("utf-8", "backslashreplace"), **entry(p)),
                              sort_keys=True) + "\n" for p in sorted(rows))


# Making the workspaces ---------------------------------------------------------------------------


class Maker:
    def __init__(self, out, build):
        self.out, self.build = os.path.abspath(out), os.path.abspath(build)
        self.tmp = tempfile.mkdtemp(prefix="sbx-golden-")
        self.home = os.path.join(self.tmp, "home")
        self.env = {"PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8"}
        os.mkdir(self.home)

    def run(self, *argv, **kw):
        argv = [os.path.join(self.build, argv[0])] + list(argv[1:])
        return subprocess.run(argv, check=True, env=self.env, cwd=self.tmp, text=True,
                              stdout=subprocess.PIPE, **kw).stdout

    def init(self, name, settings):
        settings = dict(settings, path=os.path.join(self.tmp, name), ring_pages=128)
        self.run("fs/sbxfsd", "init", input=json.dumps(settings))

    def mounted(self, name, work, crash=False):
        mnt = os.path.join(self.tmp, "mnt")
        os.makedirs(mnt, exist_ok=True)
        self.run("shell/sbxctl", "mount", name, mnt)
        work(os.path.join(mnt, "workspace"))
        lock = os.path.join(self.tmp, name, "lock")
        if crash:
            with open(lock, encoding="ascii") as f:
                os.kill(json.load(f)["pid"], 9)
            subprocess.run(["umount", "-l", mnt + "/workspace", mnt + "/datasets"], check=False)
        else:
            self.run("shell/sbxctl", "umount", mnt)
        end = time.monotonic() + 10
        while time.monotonic() < end and not crash and os.path.getsize(lock):
            time.sleep(0.05)

    def fill(self, where, small=False):
        subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "fill", where] +
                       ["small"] * small, check=True)

    def pack(self, name, into=None):
        subprocess.run(["tar", "-C", self.tmp, "--xattrs", "--xattrs-include=user.*", "-S",
                        "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "-czf",
                        os.path.join(into or self.out, name + ".tar.gz"), name], check=True)

    def keys(self, name):
        """Every kind of slot, each with its secret beside it."""
        friend = os.path.join(self.tmp, "friend")
        env = dict(self.env, HOME=friend)
        os.mkdir(friend)
        shown = subprocess.run([os.path.join(self.build, "fs/sbxfsd"), "identity"], env=env,
                               check=True, text=True, stdout=subprocess.PIPE).stdout
        for who, home in (("identity", self.home), ("friend", friend)):
            shutil.copy(os.path.join(home, ".config/sbx/identity.json"),
                        os.path.join(self.out, who + ".json"))
        secret = os.path.join(self.out, "passphrase")
        with open(secret, "w", encoding="ascii") as f:
            f.write("correct horse battery staple\n")
        os.chmod(secret, 0o600)
        self.run("shell/sbxctl", "key", "add", "--recipient", json.loads(shown)["public"], name)
        self.run("shell/sbxctl", "key", "add", "--new-passphrase-file", secret, name)
        self.run("shell/sbxctl", "key", "recovery", "--file",
                 os.path.join(self.out, "recovery"), name)

    def make(self):
        # AES-GCM and padding come last: their settings differ, the tree is the small one.
        self.init("xchacha20", {"cipher": "xchacha20"})
        self.keys("xchacha20")
        self.run("shell/sbxctl", "set", "xchacha20", "limits.memory=2G", "quota.bytes=1G")
        self.mounted("xchacha20", self.fill)
        self.pack("xchacha20")
        for name, settings in (("aes-gcm", {"cipher": "aes-gcm"}),
                               ("padded", {"cipher": "xchacha20", "pad": True})):
            self.init(name, settings)
            self.mounted(name, lambda where: self.fill(where, True))
            self.pack(name)
        self.init("crashed", {"cipher": "xchacha20"})
        self.mounted("crashed", self.crash_work, crash=True)
        self.pack("crashed")
        for name, small in (("tree", False), ("small", True)):
            where = os.path.join(self.tmp, name)
            os.mkdir(where)
            self.fill(where, small)
            text = subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "list", where],
                                  check=True, text=True, stdout=subprocess.PIPE).stdout
            with open(os.path.join(self.out, name + ".list"), "w", encoding="utf-8") as f:
                f.write(text)
        shutil.rmtree(self.tmp)

    def make_crashed(self, *steps):
        program = os.path.join(self.build, "tests/make_crashed")
        into = os.path.join(self.out, "crashed")
        lib = os.path.dirname(os.path.abspath(__file__))
        identity = os.path.join(self.out, "identity.json")
        os.makedirs(into, exist_ok=True)
        for step in steps or subprocess.run([program, "--list"], check=True, text=True,
                                            stdout=subprocess.PIPE).stdout.split():
            ws, plain = os.path.join(self.tmp, step), os.path.join(self.tmp, "plain")
            shutil.copy(identity, ws + ".id")
            os.chmod(ws + ".id", 0o600)
            subprocess.run([program, step, ws], check=True)
            self.pack(step, into)
            subprocess.run([sys.executable, "-B", os.path.join(lib, "wfs.py"), "decrypt", ws, plain,
                            "--crashed", "--identity", identity], check=True)
            text = subprocess.run([sys.executable, "-B", os.path.abspath(__file__), "list", plain],
                                  check=True, text=True, stdout=subprocess.PIPE).stdout
            with open(os.path.join(into, step + ".list"), "w", encoding="utf-8") as f:
                f.write(text)
            shutil.rmtree(plain)
        shutil.rmtree(self.tmp)

    def crash_work(self, where):
        """All of the small tree synced, partly through the log; then the daemon is killed."""
        self.fill(where, True)
        os.sync()
        for n in (1, 4097):
            fd = os.open(f"{where}/size-{n}", os.O_RDWR)
            os.pwrite(fd, bytes(n), 0)
            os.fsync(fd)
            os.pwrite(fd, pattern(n), 0)
            os.utime(fd, ns=(1700000000123456789, 1700000000123456789))
            os.fsync(fd)
            os.close(fd)


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("fill", "list", "make", "crashed"):
        sys.exit(__doc__)
    if sys.argv[1] == "fill":
        fill(sys.argv[2], len(sys.argv) > 3)
    elif sys.argv[1] == "list":
        sys.stdout.write(listing(sys.argv[2]))
    elif sys.argv[1] == "make":
        Maker(sys.argv[2], sys.argv[3]).make()
    else:
        Maker(sys.argv[2], sys.argv[3]).make_crashed(*sys.argv[4:])


if __name__ == "__main__":
    main()
