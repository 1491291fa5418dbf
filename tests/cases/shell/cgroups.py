# Control groups: memory with swap, processes, CPU rate and time, the counters, many runs at once, and nothing left of a killed supervisor.
# run: root
# needs: fuse userns cgroup
# timeout: 90
# One process and few runs: this case is run in a virtual machine, too, where starting Python takes a second.
import json
import os
import random
import signal
import subprocess
import sys
import time

programs = os.environ["SBX_BUILD"] + "/tests/escape"
there = f"/opt/escape-{os.getpid()}-{random.randrange(10**6)}"
M = 1 << 20


def fail(text):
    sys.exit("failed: " + text)


def expect(good, what, *facts):
    if not good:
        fail(f"{what}: " + " ".join(str(f) for f in facts))


def start(name, *args, ws="ws"):
    cmd = ["sbx-shell", "--quiet", "--result", name, "--ro", f"{programs}:{there}", *args[:-1], ws, "--", "sh", "-c", args[-1]]
    return subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, name):
    out, err = process.communicate()
    expect(os.path.exists(name), "no result", process.returncode, err)
    with open(name) as f:
        r = json.load(f)
    r["code"], r["out"], r["err"] = process.returncode, out, err
    return r


count = 0


def run(*args):
    global count
    count += 1
    r = finish(start(f"r{count}.json", *args), f"r{count}.json")
    expect(r["isolation"]["cgroup"] in ("v2", "v1+v2", "v1") and r["degraded"] == [], "not by control groups", r)
    expect(leaves(r["run"]) == [], "cgroups are left", leaves(r["run"]))
    return r


def leaves(part):
    return [d for d, _, _ in os.walk("/sys/fs/cgroup") if part in d and "/sbx-2" in d]


def swap_used():
    with open("/proc/meminfo") as f:
        m = {line.split(":")[0]: int(line.split()[1]) for line in f}
    return (m["SwapTotal"] - m["SwapFree"]) << 10


def wait_for(seconds, what, good):
    end = time.monotonic() + seconds
    while not good():
        expect(time.monotonic() < end, what)
        time.sleep(0.02)


for name in ("ws", "ws1", "ws2", "ws3"):
    subprocess.run(["sbxctl", "init", name, "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)

# Nothing met: what was used is counted, and no limit was hit.
r = run("--memory", "128M", "--pids", "32", "--cpus", "2",
        f"{there}/memory-bomb heap 40; exec {there}/busy-threads 1 1")
expect(40 * M <= r["max_memory_bytes"] <= 90 * M, "max_memory_bytes of 40 MiB", r)
expect(r["cpu_ms"] >= 20 and r["oom_kills"] == 0 and r["pids_max_hits"] == 0, "counters", r)

# Memory, and swap with it: all of the run is ended, and nothing was pushed out to get past the limit.
before = swap_used()
r = run("--memory", "48M", f"sleep 600 & sleep 601 & exec {there}/memory-bomb heap 160")
expect((r["verdict"], r["code"]) == ("oom", 137), "160 MiB under --memory 48M", r)
expect(r["oom_kills"] >= 1 and 40 * M <= r["max_memory_bytes"] <= 49 * M, "counters of it", r)
expect(swap_used() - before < 4 * M, "bytes of swap used by it", swap_used() - before)
expect(r["wall_ms"] < 60000, "the sleepers were waited for", r)

# What hides a kill is told by the counter.
r = run("--memory", "48M", f"{there}/memory-bomb /dev/shm 160; {there}/memory-bomb heap 160; exit 0")
expect(r["oom_kills"] >= 1 and r["verdict"] in ("oom", "ok"), "a kill that is hidden", r)

# Processes.
r = run("--pids", "48", "--time", "3s", "--grace", "0", f"exec {there}/fork-bomb")
expect(r["pids_max_hits"] >= 1 and r["verdict"] in ("timeout", "pids") and r["wall_ms"] < 60000, "a fork bomb", r)

# CPU: the rate, then the time.
r = run("--cpus", "0.25", "--time", "4s", "--grace", "0", f"exec {there}/busy-threads 8 600")
expect(r["verdict"] == "timeout" and 50 <= r["cpu_ms"] <= 2000, "cpu_ms of 4 s at --cpus 0.25", r)
r = run("--cpu-time", "1s", "--grace", "0", f"exec {there}/busy-threads 16 600")
expect((r["verdict"], r["code"]) == ("cpu_timeout", 124) and 950 <= r["cpu_ms"] <= 3000, "--cpu-time 1s", r)

# Three at once, begun by one session: each has its own limits, counters and verdict.
what = ["true", f"exec {there}/memory-bomb heap 96", f"exec {there}/memory-bomb heap 20"]
runs = [start(f"c{i}.json", "--memory", "48M", "sleep 1; " + what[i], ws=f"ws{i + 1}") for i in range(3)]
got = [finish(p, f"c{i}.json") for i, p in enumerate(runs)]
expect([g["verdict"] for g in got] == ["ok", "oom", "exit"], "verdicts of three at once", got)
expect([g["oom_kills"] > 0 for g in got] == [False, True, False], "kills of three at once", got)
expect(not [x for g in got for x in leaves(g["run"])], "cgroups are left by three at once")

# A supervisor that is killed takes everything with it, the cgroup too.
p = start("killed.json", "--memory", "64M", "echo up; sleep 600 & exec sleep 601")
expect(p.stdout.readline() == "up\n", "it did not start", p.poll())
expect(leaves(f"-{p.pid}-"), "control: it has no cgroup while it runs")
p.send_signal(signal.SIGKILL)
p.wait()
wait_for(30, "left of a killed supervisor", lambda: not leaves(f"-{p.pid}-"))
expect(run("--memory", "64M", "exit 3")["code"] == 3, "a run after that")
