# --explain names what the filters refused, counts it, and changes nothing: the same errno inside,
# the same verdict, the same limits; without it nobody counts.
# run: root user
# needs: fuse userns
import json, os, subprocess, sys, time

DEGRADED = [] if os.environ["SBX_LIMITS"] == "yes" else ["--allow-degraded"]
TRIES = """
import ctypes, errno, os, platform, socket, threading
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    r = libc[name](*args)
    print(name, r, errno.errorcode.get(ctypes.get_errno(), 0) if r < 0 else 0)
def number(nr, *args):
    r = libc.syscall(nr, *args)
    print(nr, errno.errorcode.get(ctypes.get_errno(), 0) if r < 0 else 0)
call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
for _ in range(5):
    call("unshare", 0x10000000)
call("swapoff", b"/nowhere")
number(1000)
for family in (40, 38):
    try:
        socket.socket(family, socket.SOCK_STREAM)
    except OSError as e:
        print("socket", family, errno.errorcode[e.errno])
t = threading.Thread(target=lambda: call("vhangup"))
t.start()
t.join()
pid = os.fork()
if pid == 0:
    libc.prctl(15, b"the child", 0, 0, 0)
    call("acct", None)
    os._exit(0)
os.waitpid(pid, 0)
# allowed, or refused by something else than a filter
os.stat("/"); os.getpid(); socket.socket(socket.AF_INET).close()
try:
    open("/etc/passwd", "w")
except OSError as e:
    print(errno.errorcode[e.errno])
print(sorted(os.listdir("/proc/self/fd")))
os._exit(3)
"""


def fail(text):
    sys.exit("failed: " + text)


def run(*options, script=TRIES):
    if os.path.exists("r.json"):
        os.unlink("r.json")
    p = subprocess.run(["sbx-shell", *DEGRADED, "--result", "r.json", *options, "ws", "--", "python3", "-uc", script],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return p, json.load(open("r.json"))


subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
plain, r = run()
if r["denied"] is not None or "explain" in plain.stderr:
    fail(f"counted without being asked: {r['denied']} {plain.stderr}")
p, r = run("--explain")
if p.stdout != plain.stdout or p.returncode != plain.returncode or r["verdict"] != "exit":
    fail(f"other outcome with --explain: {p} instead of {plain}")
got = {(d["call"], d["argument"]): d for d in r["denied"]}
want = {("mount", None): ("EPERM", 1), ("unshare", None): ("EPERM", 5), ("swapoff", None): ("EPERM", 1),
        ("1000", None): ("ENOSYS", 1), ("socket", 40): ("EPERM", 1), ("socket", 38): ("EPERM", 1),
        ("vhangup", None): ("EPERM", 1), ("acct", None): ("EPERM", 1)}
for key, (error, count) in want.items():
    if key not in got or (got[key]["errno"], got[key]["count"]) != (error, count):
        fail(f"{key}: {got.get(key)}, expected {error} {count} times; all: {list(got)}")
    if f"{key[0]}" not in p.stderr:
        fail(f"{key} is not on stderr: {p.stderr}")
# What the C library tries by itself (clone3) may be there, nothing else.
if set(got) - set(want) - {("clone3", None), ("rseq", None)}:
    fail(f"named without reason: {set(got) - set(want)}")
if got["acct", None]["first_command"] != "the child" or got["mount", None]["first_command"] != "python3":
    fail(f"who: {got['acct', None]} {got['mount', None]}")
if not 2 <= got["mount", None]["first_pid"] < 10 or "view of files" not in got["mount", None]["reason"]:
    fail(f"{got['mount', None]}")
q, r = run("--explain", "--quiet")
if q.stderr or len(r["denied"]) < len(want):
    fail(f"--quiet: {q.stderr} {r['denied']}")
p, r = run("--explain", script="print('hello')")
if r["denied"] != [] and [d["call"] for d in r["denied"]] != ["clone3"]:
    fail(f"a harmless program: {r['denied']}")
# Who does nothing else does not keep the supervisor from its limits.
flood = """
import ctypes, os
libc = ctypes.CDLL(None)
for _ in range(6):
    if os.fork() == 0:
        break
while True:
    libc.unshare(0x10000000)
"""
begin = time.monotonic()
p, r = run("--explain", "--time", "1s", "--grace", "0", script=flood)
if r["verdict"] != "timeout" or not 1000 <= r["wall_ms"] < 2000:
    fail(f"a flood of refused calls: {r}")
count = sum(d["count"] for d in r["denied"] if d["call"] == "unshare")
if count < 100:
    fail(f"the flood was not counted: {r['denied']}")
print(f"{count} refused calls in a second")
