# Attack 60: the supervisor is killed at its system calls one after the other, and what is shown is swapped for a
# symlink all the time: nothing is left, no host file is shown, the workspace opens again.
# run: root user degraded
# needs: fuse userns
# timeout: 120
import ctypes, glob, os, subprocess, sys, threading, time

build, root = os.environ["SBX_BUILD"], os.environ["MODE"] == "root"
degraded = [] if root and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
kill_at = os.path.join(build, "tests/escape/kill-at")
word = f"sbx-race-{os.getpid()}"


def fail(text):
    sys.exit("failed: " + text)


def shell(*argv, options=()):
    return ["sbx-shell", *degraded, "--quiet", *options, "ws", "--", *argv]


def ours():
    """Whoever has the word in its command line: the supervisor, its forks, the payload."""
    found = []
    for p in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            line = open(p, "rb").read()
        except OSError:
            continue
        if word.encode() in line and b"python3" not in line:
            found.append((p.split("/")[2], line.replace(b"\0", b" ")[:80]))
    return found


def cgroups(pid):
    return [d for d, _, _ in os.walk("/sys/fs/cgroup") if f"-{pid}-" in os.path.basename(d)]


# The daemon stays, so that every round meets it as it is.
keeper = subprocess.Popen(shell("sh", "-c", "echo up; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
if keeper.stdout.readline() != b"up\n":
    fail("no session")

# ---- killed at every step ----

def mounts():
    """Those that tell of this place: others may be mounting as well."""
    return {l for l in open("/proc/self/mountinfo") if os.getcwd() in l}


before = mounts()
# Every 64th call; which ones differs from run to run. SEED=N COUNT=1 tries them all.
stride = int(os.environ.get("COUNT", 64))
n = 1 + int(os.environ.get("SEED", time.time())) % stride
hits, slowest = 0, 0
while True:
    p = subprocess.Popen([kill_at, str(n), *shell("sh", "-c", f": {word}; sleep 30")], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # Once the payload sleeps the supervisor makes no further calls: that was the last step.
    try:
        p.wait(1)
    except subprocess.TimeoutExpired:
        for pid in open(f"/proc/{p.pid}/task/{p.pid}/children").read().split():
            os.kill(int(pid), 9)
        p.wait()
        break
    if p.returncode == 77:
        print("skipped: no process can be traced here")
        sys.exit(77)
    if p.returncode != 0:
        fail(f"step {n}: kill-at exited {p.returncode}: {p.stderr.read()}")
    hits += 1
    at = time.time()
    while ours():
        if time.time() - at > 2:
            fail(f"step {n}: left {ours()}")
        time.sleep(0.002)
    slowest = max(slowest, time.time() - at)
    n += stride
print(f"killed at {hits} steps of {n}, the slowest was gone after {slowest * 1000:.0f} ms")
if hits < 200 // stride:
    fail("too few steps: is the supervisor killed where it should be?")
at = time.time()
while ours():
    if time.time() - at > 2:
        fail(f"left at the end: {ours()}")
    time.sleep(0.01)
if mounts() != before:
    fail("mounts were left")

# ---- swapped for a symlink all the time ----

libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("data/sub")
os.makedirs("secret/sub")
for d, text in (("data", "mine"), ("secret", "secret")):
    for f in ("name", "sub/name"):
        open(f"{d}/{f}", "w").write(text + "\n")
# What takes turns with the dataset's directory, and with one below it.
os.symlink(os.path.abspath("secret"), "other")
os.symlink(os.path.abspath("secret/sub"), "data/other")
subprocess.run(["sbxctl", "dataset", "add", "ws", "d", "data"], check=True, stdout=subprocess.DEVNULL)
swapping = True


def swap():
    while swapping:
        libc.renameat2(-100, b"data", -100, b"other", 2)
        for d in (b"data", b"other"):
            libc.renameat2(-100, d + b"/sub", -100, d + b"/other", 2)


t = threading.Thread(target=swap)
t.start()
try:
    seen = set()
    end = time.time() + 5
    while time.time() < end and not {"mine\n", "secret\n"} <= seen:
        for f in ("data/name", "data/sub/name"):
            try:
                seen.add(open(f).read())
            except OSError:
                pass
    if not {"mine\n", "secret\n"} <= seen:
        fail(f"the control: outside only {seen} was read")
    probe = """
import time
seen, end = {}, time.time() + 0.3
while time.time() < end:
    for f in ("name", "sub/name", "other/name"):
        try:
            text = open("/datasets/d/" + f).read()
        except OSError as e:
            text = str(e.errno)
        seen[text] = seen.get(text, 0) + 1
print(seen)
if any("secret" in s for s in seen):
    raise SystemExit("a file of the host was shown")
"""
    for i in range(3):
        r = subprocess.run(shell("python3", "-c", probe), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        print(r.stdout.strip())
        if r.returncode:
            fail(f"run {i}: exit {r.returncode}: {r.stdout} {r.stderr}")
finally:
    swapping = False
    t.join()

keeper.communicate()
r = subprocess.run(shell("sh", "-c", "echo fine >/workspace/f; cat /workspace/f"), capture_output=True, text=True, stdin=subprocess.DEVNULL)
if r.stdout != "fine\n":
    fail(f"it does not open again: {r}")
# The next start has swept what the killed ones left.
time.sleep(0.5)
