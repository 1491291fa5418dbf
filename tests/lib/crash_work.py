"""What programs do to files: each workload is a function of a recorded Place and a generator."""
import mmap, os, sqlite3, subprocess, threading


def append(p, rng):
    """Logs: appended, mostly synced, sometimes closed and opened again."""
    files = [p.create(f"log{i}") for i in range(3)]
    for _ in range(110):
        f = rng.choice(files)
        f.append(rng.choice((10, 100, 700, 4096, 5000, rng.randrange(1, 30000))))
        if rng.random() < 0.6:
            f.fsync(rng.random() < 0.5)
        if rng.random() < 0.1:
            f.close()
            f.open(dsync=rng.random() < 0.3)


def overwrite(p, rng):
    """A file in place: blocks and parts of blocks."""
    files = [p.create(f"data{i}") for i in range(2)]
    for f in files:
        f.write(0, 40 * 4096 + 123)
        f.fsync()
    for _ in range(120):
        f = rng.choice(files)
        if rng.random() < 0.5:
            f.write(rng.randrange(40) * 4096, 4096 * rng.randrange(1, 4))
        else:
            f.write(rng.randrange(f.size), rng.randrange(1, 3000))
        if rng.random() < 0.4:
            f.fsync(rng.random() < 0.5)


def mapped(p, rng):
    """Through a shared mapping, synced by msync and fsync."""
    f = p.create("map")
    f.write(0, 30 * 4096 + 77)
    f.fsync()
    memory = mmap.mmap(f.fd, f.size)
    for _ in range(100):
        off = rng.randrange(f.size - 1)
        f.store(memory, off, min(f.size - off, rng.choice((1, 50, 3000, 9000))))
        if rng.random() < 0.3:
            p.call(memory.flush, "fsync", f.number)
        elif rng.random() < 0.1:
            f.fsync()
    memory.close()


def large(p, rng):
    """Past the first tag pages, with holes; rewritten by so much that the file is retired."""
    files = [p.create(f"big{i}") for i in range(2)]
    for n in range(14):
        f = rng.choice(files)
        what = rng.random()
        if what < 0.4:
            f.append(rng.randrange(1, 900000))
        elif what < 0.7:
            for _ in range(10):
                f.write(rng.randrange(4 << 20), rng.randrange(1, 9000))
        else:
            f.close()
            f.open(truncate=True)
            for _ in range(5):
                f.append(1 << 20)
        if rng.random() < 0.6:
            f.fsync(rng.random() < 0.5)


def replace(p, rng):
    """Written beside, synced, renamed over; the directory synced now and then."""
    for n in range(70):
        target = f"conf{rng.randrange(3)}"
        f = p.create(f"tmp{n}")
        f.write(0, rng.randrange(1, 20000))
        if rng.random() < 0.8:
            f.fsync()
        late = rng.random() < 0.2
        if not late:
            f.close()
        p.rename(f"tmp{n}", target)
        if late:
            f.append(100)
            f.fsync()
            f.close()
        if rng.random() < 0.4:
            p.fsyncdir()


def trees(p, rng):
    """Directories, names of every length, links, and what is moved and removed among them."""
    dirs, n = [""], 0
    for _ in range(150):
        d = rng.choice(dirs)
        n += 1
        name = f"{d}/n{n}" if d else f"n{n}"
        if rng.random() < 0.3:
            name += "-" * rng.choice((100, 150, 180, 230))
        what = rng.random()
        if what < 0.25 and len(name) < 900:
            p.mkdir(name)
            dirs.append(name)
            if rng.random() < 0.3:
                p.fsyncdir(name)
        elif what < 0.6:
            f = p.create(name)
            if rng.random() < 0.6:
                f.write(0, rng.randrange(1, 9000))
            if rng.random() < 0.5:
                f.fsync()
            f.close()
            if rng.random() < 0.2:
                p.link(f, name + "b")
            elif rng.random() < 0.2:
                p.rename(name, name + "r")
            elif rng.random() < 0.2:
                p.unlink(name)
        elif what < 0.75:
            p.symlink(name, "t" * rng.choice((5, 100, 2000, 3500)))
        elif what < 0.8:
            p.mkfifo(name)
        elif what < 0.9:
            p.fsyncdir(d)
        elif len(dirs) > 4:
            gone = dirs.pop()
            if not os.listdir(p.at(gone)):
                p.rmdir(gone)


def rewrite(p, rng):
    """Cut, punched, grown and written again."""
    files = [p.create(f"r{i}") for i in range(3)]
    for _ in range(160):
        f = rng.choice(files)
        what = rng.random()
        if what < 0.1:
            f.chmod(rng.choice((0o644, 0o600, 0o400, 0o200, 0o000, 0o755, 0o666)))
        elif what < 0.5:
            f.write(rng.randrange(1 + min(f.size, 150000)), rng.randrange(1, 12000))
        elif what < 0.65:
            f.cut(rng.randrange(1 + f.size))
        elif what < 0.72:
            f.cut(rng.randrange(180000))
        elif what < 0.8 and f.size:
            f.punch(rng.randrange(f.size), rng.randrange(1, 40000))
        else:
            f.fsync(rng.random() < 0.5)


def truncate(p, rng):
    """Opened with O_TRUNC and written anew, as editors and compilers do."""
    files = [p.create(f"o{i}") for i in range(3)]
    for f in files:
        f.write(0, 10000)
        f.close()
    for _ in range(70):
        f = rng.choice(files)
        f.open(truncate=True)
        for _ in range(rng.randrange(3)):
            f.append(rng.randrange(1, 30000))
        if rng.random() < 0.5:
            f.fsync()
        f.close()


def crowd(p, rng):
    """Many writers at once: their batches share the log, their syncs too."""
    def one(i, rng):
        f = p.create(f"c{i}")
        for k in range(35):
            f.write(rng.randrange(1 + min(f.size, 200000)), rng.randrange(1, 20000))
            if rng.random() < 0.5:
                f.fsync(rng.random() < 0.5)
            if rng.random() < 0.05:
                f.cut(0)
    import random
    threads = [threading.Thread(target=one, args=(i, random.Random(rng.random()))) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def pauses(p, rng):
    """Short bursts of everything, and a rest after each: the store is clean then, and not clean from
    the first change on."""
    files = [p.create(f"p{i}") for i in range(3)]
    gone = []
    for n in range(24):
        for k in range(rng.randrange(1, 7)):
            f, what, name = rng.choice(files), rng.random(), f"n{n}-{k}"
            if what < 0.35:
                f.write(rng.randrange(1 + min(f.size, 100000)), rng.randrange(1, 12000))
            elif what < 0.45:
                f.fsync(rng.random() < 0.5)
            elif what < 0.5:
                f.cut(rng.randrange(1 + f.size))
            elif what < 0.55:
                f.chmod(rng.choice((0o600, 0o644, 0o400)))
            elif what < 0.65:
                p.mkdir(name + "-" * rng.choice((1, 180)))
            elif what < 0.75:
                p.symlink(name, "t" * rng.choice((5, 3500)))
            elif what < 0.85:
                p.link(f, name)
                if rng.random() < 0.5:
                    p.rename(name, name + "r")
            else:  # a temporary file, open over the rest
                gone.append(p.create(name))
                gone[-1].append(rng.randrange(1, 30000))
                p.unlink(name)
        p.rest()
        if gone and rng.random() < 0.5:
            gone.pop().close()


def sqlite(p, rng, mode):
    os.mkdir(p.at("db"))
    p.free("db")
    db = sqlite3.connect(p.at("db/data"), isolation_level=None)
    db.execute(f"pragma journal_mode={mode}")
    # In DELETE mode only "extra" syncs the directory that the journal is removed from.
    db.execute("pragma synchronous=extra" if mode == "delete" else "pragma synchronous=full")
    db.execute("create table t (n integer primary key, text blob)")
    for n in range(1, 61):
        text = rng.randbytes(rng.choice((20, 300, 3000)))

        def commit():
            db.execute("begin immediate")
            db.execute("insert into t values (?, ?)", (n, text))
            if n > 3:
                db.execute("update t set text = ? where n = ?", (text, rng.randrange(1, n)))
            db.execute("commit")
        p.call(commit, "commit", n)
    db.close()


def sqlite_wal(p, rng):
    """SQLite with a write-ahead log."""
    sqlite(p, rng, "wal")


def sqlite_delete(p, rng):
    """SQLite with a rollback journal that is deleted."""
    sqlite(p, rng, "delete")


def settings(p, rng):
    """Settings and key slots change while files are written."""
    f = p.create("file")

    def sbxctl(*args):
        r = subprocess.run(["sbxctl", *args], capture_output=True, text=True)
        if r.returncode != 0:
            raise SystemExit(f"sbxctl {args}: {r.stderr}")
        return r.stdout
    slots = []
    for n in range(1, 26):
        f.append(rng.randrange(1, 9000))
        if rng.random() < 0.3:
            f.fsync()
        p.call(lambda: sbxctl("set", p.ws, f"quota={n + 63}M"), "commit", n + 63)
        if rng.random() < 0.3:
            sbxctl("key", "recovery", p.ws)
            slots = [line.split()[0] for line in sbxctl("key", "list", p.ws).splitlines()
                     if line.startswith("recovery-")]
        elif slots and rng.random() < 0.5:
            sbxctl("key", "remove", p.ws, slots.pop())


def many(p, rng):
    """Files that are there already, far apart in the numbers of their inodes."""
    beside = 0
    for i in range(30):
        f = p.create(f"old{i}")
        f.write(0, rng.choice((1, 3000, 4096, 20000, 150000)))
        f.fsync()
        f.close()
        for _ in range(130):
            beside += 1
            os.close(os.open(p.at(f"beside{beside}"), os.O_CREAT | os.O_WRONLY))
    for i in range(beside):
        os.unlink(p.at(f"beside{i + 1}"))


def touched(p, rng):
    """A few of many old files changed, replaced, removed; new ones; a rest now and then: recovery
    must find the ones that it has to look at."""
    old = {f.path: f for f in p.files}
    for n in range(90):
        f, what = rng.choice(list(old.values())), rng.random()
        if what < 0.5:
            f.open(truncate=rng.random() < 0.15)
            for _ in range(rng.randrange(1, 4)):
                f.write(rng.randrange(1 + f.size), rng.randrange(1, 12000))
            if rng.random() < 0.5:
                f.fsync(rng.random() < 0.5)
            if rng.random() < 0.2:
                f.cut(rng.randrange(1 + f.size))
            f.close()
        elif what < 0.75:
            new = p.create(f"new{n}")
            new.write(0, rng.randrange(1, 20000))
            if rng.random() < 0.5:
                new.fsync()
            new.close()
            old[new.path] = new
            if rng.random() < 0.5:
                p.rename(new.path, f.path)
                del old[new.path]
                old[f.path] = new
                new.path = f.path
        elif what < 0.8 and len(old) > 10:
            p.unlink(f.path)
            del old[f.path]
        elif what < 0.85:
            p.link(f, f"link{n}")
        elif what < 0.9:
            p.symlink(f"symlink{n}", "target")
        elif what < 0.95:
            p.mkdir(f"dir{n}")
            p.fsyncdir()
        else:
            p.rest()


touched.before = many

WORKLOADS = (append, overwrite, mapped, sqlite_wal, sqlite_delete, replace, trees, rewrite, truncate,
             crowd, large, settings, pauses, touched)
