# Runs full of processes that are hard to end, ended in every way and at any moment, also while the
# daemon of the workspace is stopped or killed: 100 ms after the end nothing is left of any.
# As many runs as fit into 15 s; by hand any number: COUNT=500 SEED=1 sh tests/run.sh -k life/horrors
# run: root user
# needs: fuse userns
# timeout: 1200
import ctypes, glob, json, os, random, shutil, signal, subprocess, sys, time

COUNT = int(os.environ.get("COUNT", 0))
SEED = int(os.environ.get("SEED", time.time()))
BUDGET_S = 15
WORKERS = 2
PROGRAM = os.environ["SBX_BUILD"] + "/tests/horror/horrors"
FLAGS = ["--quiet"] + ([] if os.environ["SBX_LIMITS"] == "yes" else ["--allow-degraded"])
CGROUPS = glob.glob("/sys/fs/cgroup/*/") + ["/sys/fs/cgroup/"]
PR_SET_CHILD_SUBREAPER = 36

# How a run is ended, how often, and the verdicts that are right then.  A run may end itself before
# its end comes; one that stops everybody inside cannot, and meets its time limit.
ALWAYS = {"exit", "timeout"}
ENDS = {
    "self": (4, ALWAYS),
    "time": (4, ALWAYS),
    "grace": (2, ALWAYS | {"signal"}),
    "cpu": (2, ALWAYS | {"cpu_timeout"}),
    "output": (2, ALWAYS | {"output_limit"}),
    "TERM": (2, ALWAYS | {"signal"}),
    "INT": (2, ALWAYS | {"signal"}),
    "kill S": (4, None),
    "kill I": (3, ALWAYS | {"signal", "setup"}),
    "kill F": (3, ALWAYS | {"fs_lost", "setup"}),
    "stop F": (4, ALWAYS | {"fs_lost", "setup"}),
}


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def stat_of(pid):
    """(state, parent, start time, name), or None"""
    name, _, text = read(f"/proc/{pid}/stat").rpartition(b")")
    text = text.split()
    return (text[0].decode(), int(text[1]), int(text[19]), name.partition(b"(")[2]) if text else None


def marked(mark):
    """Processes with the mark in their command line: ours (S and its forks) and those inside."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and mark in read(f"/proc/{name}/cmdline"):
            st = stat_of(name)
            if st:
                found[int(name)] = st[2]
    return found


def children(pid):
    return [int(c) for c in read(f"/proc/{pid}/task/{pid}/children").split()]


def inner_init(supervisor):
    for c in children(supervisor):
        for line in read(f"/proc/{c}/status").splitlines():
            if line.startswith(b"NSpid:") and line.split()[-1] == b"1" and len(line.split()) > 2:
                return c
    return None


def daemon(ws):
    """By its command line; never by number from a file, which may be stale."""
    found = [p for p in marked(b"\0" + os.fsencode(ws) + b"\0") if b"sbxfsd" in read(f"/proc/{p}/cmdline")]
    for p in found:
        st = stat_of(p)
        if st and st[1] not in found:
            return p
    return None


def cgroups(pid):
    return [d for top in CGROUPS for d in glob.glob(f"{top}**/sbx-*-{pid}-*", recursive=True)]


def send(pid, sig):
    try:
        if pid:
            os.kill(pid, sig)
            return True
    except ProcessLookupError:
        pass
    return False


def still_there(mark, seen):
    """Marked ones, and those seen before whose memory, and so their command line, is gone already.
    A fork of S may have become the daemon since, whose end is looked at when all runs are over."""
    left = marked(mark)
    for pid, start in seen.items():
        st = stat_of(pid)
        if st and st[2] == start and st[0] not in "ZX" and st[3] != b"sbxfsd":
            left[pid] = start
    return left


def describe(pids):
    return "; ".join(f"{p} {stat_of(p)} {read(f'/proc/{p}/wchan').decode()} "
                     f"{read(f'/proc/{p}/cmdline')[:200]}" for p in pids)


class Worker:
    def __init__(self, number, seed):
        self.rng = random.Random(seed)
        self.ws = os.path.realpath(f"ws{number}")
        self.number = number
        self.ends = {e: 0 for e in ENDS}
        self.late, self.late_stopped, self.survivors, self.runs = 0, 0, 0, 0
        subprocess.run(["sbxctl", "init", self.ws, "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)

    def options(self, end):
        rng = self.rng
        ms, limit, more = -1, rng.randint(60, 300), []
        grace = 0
        if end == "self":
            ms, limit = rng.randint(0, 120), 700
        elif end == "grace":
            grace = 150
        elif end == "cpu":
            more = ["--cpu-time", f"{rng.randint(50, 200)}ms"]
            limit = 700
        elif end == "output":
            ms, more, limit = -2, ["--output", "4K"], 700
        elif end != "time":
            limit, grace = 700, 100
        return ms, limit, grace, more

    def disturb(self, end, shell):
        """Returns the daemon when it was stopped."""
        rng = self.rng
        if end in ("self", "time", "grace", "cpu", "output"):
            return None
        # From before anything exists to well into the work.
        time.sleep(rng.choice((rng.uniform(0, 0.03), rng.uniform(0, 0.1), rng.uniform(0.05, 0.25))))
        if end in ("TERM", "INT"):
            for _ in range(3 if end == "INT" else 1):
                send(shell.pid, signal.Signals["SIG" + end])
                time.sleep(0.002)
        elif end == "kill S":
            send(shell.pid, signal.SIGKILL)
        elif end == "kill I":
            send(inner_init(shell.pid), signal.SIGKILL)
        elif end == "kill F":
            send(daemon(self.ws), signal.SIGKILL)
        else:
            pid = daemon(self.ws)
            return pid if send(pid, signal.SIGSTOP) else None
        return None

    def run(self, n):
        rng = self.rng
        end = rng.choices(list(ENDS), [w for w, _ in ENDS.values()])[0]
        mark = f"sbx-horror-{os.getpid()}-{n}"
        result = f"r{self.number}.json"
        ms, limit, grace, more = self.options(end)
        argv = ["sbx-shell", *FLAGS, "--result", result, "--time", f"{limit}ms", "--grace", f"{grace}ms",
                "--pids", "64", "--memory", "256M", "--tmp", "8M", "--ro", f"{PROGRAM}:/opt/horrors", *more, self.ws, "--",
                "/opt/horrors", mark, str(rng.getrandbits(31)), str(rng.randint(1, 10)), str(ms)]
        if end == "stop F":
            argv[-2] = "files"
        if os.path.exists(result):
            os.unlink(result)
        begin = time.monotonic()
        shell = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.ends[end] += 1
        stopped = self.disturb(end, shell)
        seen = marked(mark.encode())
        seen.pop(shell.pid, None)
        try:
            # A launch that waits for a stopped daemon gives up when that is killed; by us, here.
            shell.wait(2 if stopped else 15)
        except subprocess.TimeoutExpired:
            if not stopped:
                self.bad(n, end, f"sbx-shell lives on after 15 s: {describe(marked(mark.encode()))}", argv)
            send(stopped, signal.SIGKILL)
            shell.wait(15)
        took = time.monotonic() - begin
        time.sleep(0.1)
        left = still_there(mark.encode(), seen)
        if left:
            # On a machine that is too busy what is dead may not have come to leave yet.
            self.survivors += len(left)
            print(f"run {n}, {end}, not gone after 100 ms: {describe(left)}", flush=True)
            patience = time.monotonic() + 2
            while left and time.monotonic() < patience:
                time.sleep(0.02)
                left = still_there(mark.encode(), seen)
        if left:
            self.bad(n, end, f"{len(left)} left: {describe(left)}", argv)
        groups = cgroups(shell.pid)
        for _ in range(40):
            if groups:
                time.sleep(0.05)
                groups = cgroups(shell.pid)
        if groups:
            self.bad(n, end, f"cgroups left: {groups}", argv)
        if stopped:
            send(stopped, signal.SIGKILL)
        self.judge(n, end, result, shell, argv, limit + grace, took)
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        self.runs += 1

    def judge(self, n, end, result, shell, argv, due, took):
        allowed = ENDS[end][1]
        if not os.path.exists(result):
            if allowed is not None:
                # A signal that came before it had its own way of taking them.
                if not (end in ("TERM", "INT") and shell.returncode < 0):
                    self.bad(n, end, f"no result, exit {shell.returncode}: {shell.stderr.read()}", argv)
            return
        r = json.load(open(result))
        if allowed is not None and r["verdict"] not in allowed:
            self.bad(n, end, f"verdict {r['verdict']}: {r['reason']} {shell.stderr.read()}", argv)
        if end in ("self", "time", "grace") and r["verdict"] == "timeout":
            self.late = max(self.late, r["wall_ms"] - due)
        if end == "stop F":
            self.late_stopped = max(self.late_stopped, r["wall_ms"] - due)

    def bad(self, n, end, text, argv):
        print(f"failed: seed {SEED}, worker {self.number}, run {n}, {end}: {text}\n{argv}", flush=True)
        os._exit(1)


def work(number):
    w = Worker(number, SEED * WORKERS + number)
    end = time.monotonic() + BUDGET_S
    n = 0
    while n < COUNT / WORKERS if COUNT else time.monotonic() < end:
        w.run(n)
        n += 1
    print(f"worker {number}: {w.runs} runs, {w.survivors} processes left after 100 ms, "
          f"latest end {w.late} ms after its time (the daemon stopped: {w.late_stopped})", w.ends, flush=True)
    after(w)
    os._exit(0)


def after(w):
    """Nothing of the daemon either, and the workspace is whole."""
    end = time.monotonic() + 5
    name = json.loads(read(w.ws + "/lock") or b"{}").get("socket", "?").encode()
    while daemon(w.ws) or name in read("/proc/net/unix"):
        if time.monotonic() > end:
            w.bad(w.runs, "after", f"the daemon or its socket is still there: {daemon(w.ws)}", [])
        time.sleep(0.02)
    mounts = [l for l in open("/proc/self/mountinfo") if w.ws in l]
    if mounts or os.listdir(os.environ["TMPDIR"]):
        w.bad(w.runs, "after", f"left: {mounts} {os.listdir(os.environ['TMPDIR'])}", [])
    # A daemon that was killed leaves its store to be mended by the next one.
    subprocess.run(["sbx-shell", *FLAGS, w.ws, "--", "true"], stdin=subprocess.DEVNULL, check=True)
    while daemon(w.ws) and time.monotonic() < end:
        time.sleep(0.02)
    r = subprocess.run(["sbxctl", "fsck", w.ws], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if r.returncode != 0:
        w.bad(w.runs, "after", f"fsck: {r.stdout} {r.stderr}", [])


if not os.path.exists(PROGRAM):
    print("skipped: the build has no tests/horror/horrors")
    sys.exit(77)
print("seed", SEED, flush=True)
pids = []
for number in range(WORKERS):
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            work(number)
        except BaseException as e:
            import traceback
            traceback.print_exc()
            os._exit(1)
    pids.append(pid)
codes = [os.waitpid(p, 0)[1] for p in pids]
if any(codes):
    sys.exit("failed: see above")
