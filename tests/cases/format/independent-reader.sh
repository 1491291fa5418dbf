# What random work leaves in the store is, for an implementation that shares no code with ours, what
# code inside saw at the end: contents, names, links, modes, times, xattrs.
# run: root
# needs: fuse userns
# timeout: 180
. "$SBX_SRC/tests/lib/common.sh"

cat >work.py <<'PY'
import os, random, sys
seed = int(sys.argv[1])
r = random.Random(seed)
os.chdir("/workspace")
os.umask(0o022)
dirs, files = ["."], []

def name():
    n = r.choice((1, 5, 15, 16, 17, 40, 159, 160, 161, 200, 255))
    return "".join(r.choice("abcdefgh .-_~é") for _ in range(n)).encode()[:n].decode("utf-8", "ignore").strip(". ") or "x"

def new():
    return os.path.join(r.choice(dirs), name())

def step():
    op = r.randrange(16)
    if op < 4 or not files:
        p = new()
        if not os.path.lexists(p):
            with open(p, "wb") as f:
                f.write(r.randbytes(r.choice((0, 1, 100, 4095, 4096, 4097, 20000, 140000, 300000))))
            files.append(p)
        return
    p = r.choice(files)
    if op == 4:
        with open(p, "r+b") as f:
            f.seek(r.randrange(0, 200000))
            f.write(r.randbytes(r.choice((1, 50, 4096, 9000))))
            if r.random() < 0.5:
                f.flush()
                os.fsync(f.fileno())
    elif op == 5:
        os.truncate(p, r.choice((0, 1, 4095, 4096, 5000, 131072, 131073, 400000)))
    elif op == 6:
        with open(p, "ab") as f:
            f.write(r.randbytes(r.choice((1, 100, 5000))))
    elif op == 7:
        q = new()
        if not os.path.isdir(q):
            os.rename(p, q)
            files.remove(p)
            if q in files:
                files.remove(q)
            files.append(q)
    elif op == 8:
        os.unlink(p)
        files.remove(p)
    elif op == 9:
        q = new()
        if not os.path.lexists(q):
            os.link(p, q)
            files.append(q)
    elif op == 10 and len(dirs) < 30:
        q = new()
        if not os.path.lexists(q) and len(q) < 1000:
            os.mkdir(q)
            dirs.append(q)
    elif op == 11:
        os.setxattr(p, "user." + r.choice("abc"), b"v%d" % r.randrange(1000))
    elif op == 12:
        os.chmod(p, r.choice((0o644, 0o600, 0o755, 0o640)))
    elif op == 13:
        q = new()
        if not os.path.lexists(q):
            os.symlink("t" * r.choice((1, 100, 3031, 3032, 4095)), q)
    elif op == 14:
        # zeros over a part: holes where the file was full
        with open(p, "r+b") as f:
            n = os.fstat(f.fileno()).st_size
            if n > 8192:
                os.system(f"fallocate -p -o 4096 -l {r.choice((1, 4096, 5000))} /proc/{os.getpid()}/fd/{f.fileno()} 2>/dev/null")
    elif op == 15:
        os.utime(p, ns=(1500000000123456789 + r.randrange(10**15),) * 2)

for _ in range(500):
    step()
PY
for seed in 1 2 3; do
	for cipher in xchacha20 aes-gcm; do
		[ $cipher = xchacha20 ] || grep -qw aes /proc/cpuinfo || continue
		rm -rf ws plain
		sbxctl init ws --cipher $cipher >init.out 2>&1 || fail "init: $(cat init.out)"
		sbx-shell $degraded --quiet --env PYTHONUTF8=1 ws -- /usr/bin/python3 - $seed <work.py || fail "work $seed"
		sbx-shell $degraded --quiet ws -- /usr/bin/python3 - list /workspace <"$SBX_SRC/tests/lib/golden.py" >inside.list ||
			fail "list $seed"
		wait_for 20 eval '! [ -s ws/lock ]' || fail "the daemon stays"
		/usr/bin/python3 -B "$SBX_SRC/tests/lib/wfs.py" decrypt ws plain --identity "$HOME/.config/sbx/identity.json" ||
			fail "seed $seed, $cipher: wfs.py"
		/usr/bin/python3 -B "$SBX_SRC/tests/lib/golden.py" list plain >outside.list
		[ "$(wc -l <inside.list)" -gt 50 ] || fail "only $(wc -l <inside.list) entries were made"
		diff inside.list outside.list || fail "seed $seed, $cipher: they differ"
		chmod -R u+rwx plain
	done
done
