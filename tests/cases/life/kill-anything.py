# SIGKILL to the supervisor, the daemon, pid 1 inside or the janitor at random moments of set-up, run
# and tear-down, a hundred times: nothing is left: no process, mount, cgroup, namespace, socket, lock,
# temporary file or half a record; and the workspace opens again. By hand: COUNT=1000 SEED=1.
# run: root user
# needs: fuse userns
# timeout: 1200
# slow: yes
import fcntl, glob, json, os, random, signal, subprocess, sys, time

ROUNDS = int(os.environ.get("COUNT", 100 if os.environ["MODE"] == "root" else 60))
seed = int(os.environ.get("SEED", time.time()))
print("seed", seed)
rng = random.Random(seed)
degraded = [] if os.environ["SBX_LIMITS"] == "yes" else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
ours = os.path.basename(os.path.dirname(os.environ["SBX_BUILD"]))
word = f"sbx-life-{os.getpid()}"


def processes():
    """Ours by program, and payloads by a word in their command line."""
    found = {}
    for p in glob.glob("/proc/[0-9]*"):
        try:
            exe = os.readlink(p + "/exe")
        except OSError:
            exe = ""
        try:
            line = open(p + "/cmdline", "rb").read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        mine = line.find(word) >= 0 and "python3" not in line
        # The daemon lets nobody but root see its program: it is known by its command line then.
        serving = "sbxfsd serve" in line and ours in line
        if mine or serving or (ours in exe and "/build" in exe):
            # Under the case's own workspace only: other cases do not run at the same time.
            found[int(p[6:])] = line[:100] or exe
    return found


def cgroups(supervisors):
    """sbx-RUN-PID-START: of these and nobody else's."""
    return [g for g in glob.glob("/sys/fs/cgroup/**/sbx-*", recursive=True) if g.split("-")[-2] in supervisors]


def socket_name():
    try:
        return json.load(open("ws/lock")).get("socket")
    except (OSError, ValueError):
        return None


def locked():
    with open("ws/lock", "a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def left_in_files():
    """What only a run in progress may have there."""
    odd = [n for n in os.listdir("ws/runs") if not n.endswith(".json") or n.startswith(".")]
    for n in os.listdir("ws/runs"):
        try:
            json.load(open("ws/runs/" + n))
        except ValueError:
            odd.append(n)
        os.unlink("ws/runs/" + n)
    return odd


def mounts():
    return {l for l in open("/proc/self/mountinfo") if " fuse" in l and os.getcwd() in l}


def namespaces():
    """User namespaces that processes of ours are in; none is left when no process is."""
    seen = set()
    for p in processes():
        try:
            seen.add(os.readlink(f"/proc/{p}/ns/user"))
        except OSError:
            pass
    return seen


def temporary():
    return set(os.listdir(os.environ["TMPDIR"]))


def soon(find, *args):
    """Half a second at most for what is not there yet, and then a moment more: not always its first."""
    end = time.time() + 0.5
    while time.time() < end:
        found = find(*args)
        if found:
            time.sleep(rng.choice((0, rng.uniform(0, 0.08))))
            return found
    return None


def daemon():
    """The daemon, once it is there; not a helper of its own. Never by number from a file: that may be stale."""
    pids = {p for p, line in processes().items() if "sbxfsd" in line}
    for p in pids:
        try:
            if int(open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[1]) not in pids:
                return p
        except OSError:
            pass
    return None


def janitor(supervisor):
    try:
        for c in open(f"/proc/{supervisor}/task/{supervisor}/children").read().split():
            if open(f"/proc/{c}/comm").read() == "sbx-janitor\n":
                return int(c)
    except OSError:
        pass
    return None


def inner_init(supervisor):
    """Pid 1 of the sandbox, as a number of the host."""
    try:
        for c in open(f"/proc/{supervisor}/task/{supervisor}/children").read().split():
            for line in open(f"/proc/{c}/status"):
                if line.startswith("NSpid:") and line.split()[-1] == "1" and len(line.split()) > 2:
                    return int(c)
    except OSError:
        pass
    return None


LOOP = "(setsid sleep 1000 &); i=0; while :; do i=$((i+1)); echo $i >>/workspace/log; mv /workspace/log /workspace/log2; mv /workspace/log2 /workspace/log; done"
before = (mounts(), temporary())
supervisors = set()
killed = {"S": 0, "F": 0, "I": 0, "J": 0, "none": 0}
late = 0
for n in range(ROUNDS):
    # A third of them ends by itself, another third at a limit: the moment may be in the tear-down.
    ends = rng.choice(("never", "itself", "limit"))
    limit = ["--time", f"{rng.randint(1, 150)}ms", "--grace", "0"] if ends == "limit" else []
    script = f"sleep 0.0{rng.randint(0, 99):02}" if ends == "itself" else LOOP
    shell = subprocess.Popen(
        ["sbx-shell", *degraded, "--quiet", *limit, "ws", "--", "sh", "-c", f": {word}; {script}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    supervisors.add(str(shell.pid))
    who = rng.choice("SSFFIIJ")
    # From before the daemon exists to well into the work, or its end.
    if who in "SF":
        time.sleep(rng.choice((rng.uniform(0, 0.05), rng.uniform(0, 0.1), rng.uniform(0, 0.3))))
    victim = None
    if who == "S":
        victim = shell.pid
    elif who == "F":
        victim = daemon()
    elif who == "J":
        victim = soon(janitor, shell.pid)
    else:
        victim = soon(inner_init, shell.pid)
    if victim:
        try:
            os.kill(victim, signal.SIGKILL)
            killed[who] += 1
        except ProcessLookupError:
            victim = None
    at = time.time()
    if not victim:
        killed["none"] += 1
    if not victim or who == "J":
        shell.terminate()
    try:
        shell.wait(3)
    except subprocess.TimeoutExpired:
        # A daemon that was killed before anybody had called it is started again: that is no session lost.
        if who == "F" and daemon():
            os.kill(daemon(), signal.SIGKILL)
    try:
        shell.wait(7)
    except subprocess.TimeoutExpired:
        sys.exit(f"failed: round {n}: sbx-shell lives on after {who} was killed: {processes()}")
    while True:
        # Twice: who forks and leaves while we read the list is in it, and its child is not.
        left = processes() or processes()
        if not left and locked():
            left = "the lock"
        if not left and (socket_name() or "no socket") in open("/proc/net/unix").read():
            left = "the socket"
        if not left:
            break
        if time.time() - at > 3:
            sys.exit(f"failed: round {n}: {who} was killed, left: {left}")
        time.sleep(0.01)
    if time.time() - at > 0.3:
        late += 1
    # Whoever removes them was waited for above.
    if cgroups({str(shell.pid)}):
        sys.exit(f"failed: round {n}: {who} was killed, cgroups left: {cgroups({str(shell.pid)})}")
    if mounts() - before[0]:
        sys.exit(f"failed: round {n}: mounts left: {mounts() - before[0]}")
    if temporary() - before[1] or left_in_files():
        sys.exit(f"failed: round {n}: files left: {temporary() - before[1]} {os.listdir('ws/runs')}")
print("killed", killed, "slower than 300 ms:", late)
if min(killed["S"], killed["F"], killed["I"]) < ROUNDS // 15:
    sys.exit(f"failed: too few kills hit: {killed}")
# The workspace is sound, and after one more run nothing at all is left.
r = subprocess.run(["sbx-shell", *degraded, "--quiet", "ws", "--", "sh", "-c", "ls -la /workspace && echo fine >/workspace/fine"],
                   capture_output=True, text=True, stdin=subprocess.DEVNULL)
if r.returncode != 0:
    sys.exit(f"failed: it does not open again: {r.stderr}")
time.sleep(0.5)
if cgroups(supervisors):
    sys.exit(f"failed: cgroups left: {cgroups(supervisors)}")
if processes() or namespaces():
    sys.exit(f"failed: left: {processes()}")
