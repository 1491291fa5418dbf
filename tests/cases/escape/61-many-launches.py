# Attack 61: hundreds of launches, in a row and at once: no process, cgroup, mount, descriptor or namespace is left.
# run: root user degraded
# needs: fuse userns
# timeout: 120
import glob, os, subprocess, sys, time

root = os.environ["MODE"] == "root"
degraded = [] if root and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
rows, at_once = int(os.environ.get("COUNT", 60)), 20
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
word = f"sbx-many-{os.getpid()}"
shell = ["sbx-shell", *degraded, "--quiet", "--memory", "200M", "ws", "--"]


def ours():
    n = 0
    for p in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            n += word.encode() in open(p, "rb").read()
        except OSError:
            pass
    return n


keeper = subprocess.Popen([*shell, "sh", "-c", "echo up; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
if keeper.stdout.readline() != b"up\n":
    sys.exit("failed: no session")
import json
daemon = json.load(open("ws/lock"))["pid"]


def state():
    """The daemon's descriptors (root may look), cgroups of ours, mounts that name this place."""
    return (len(os.listdir(f"/proc/{daemon}/fd")) if root else 0,
            len([d for d, _, _ in os.walk("/sys/fs/cgroup") if os.path.basename(d).startswith(f"sbx-") and pids & set(d.split("-"))]),
            len([l for l in open("/proc/self/mountinfo") if os.getcwd() in l]))


pids = set()
took = []
before = None
for i in range(rows + 3):
    at = time.time()
    p = subprocess.Popen([*shell, "sh", "-c", f": {word}"], stdin=subprocess.DEVNULL)
    pids.add(str(p.pid))
    if p.wait():
        sys.exit(f"failed: launch {i}: exit {p.returncode}")
    took.append((time.time() - at) * 1000)
    if i == 2:
        time.sleep(0.5)
        before = state()
procs = [subprocess.Popen([*shell, "sh", "-c", f": {word}; echo fine >/workspace/p{i}; sleep 0.3; cat /workspace/p{i}"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for i in range(at_once)]
pids |= {str(p.pid) for p in procs}
# Control: they are seen while they run.
if not ours():
    sys.exit("failed: the control: none is seen")
for p in procs:
    if p.communicate()[0] != b"fine\n":
        sys.exit(f"failed: one of {at_once} at once: exit {p.returncode}")
end = time.time() + 5
while (ours() or state() > before) and time.time() < end:
    time.sleep(0.02)
took.sort()
print(f"{rows} in a row: median {took[len(took) // 2]:.1f} ms, p95 {took[len(took) * 95 // 100]:.1f} ms; "
      f"descriptors, cgroups, mounts {before} -> {state()}")
if ours() or state() > before:
    sys.exit(f"failed: left: {ours()} processes, {before} -> {state()}")
keeper.communicate()
