# One run for each verdict: the verdict, the exit code, a result and a record as doc/result.schema.json
# says, and one line on stderr that names the limit, its value and the option that raises it. Limits
# that a command met and handled do not change its verdict, but are counted and said.
# run: root user
# needs: fuse userns
# timeout: 120
import copy, glob, json, os, platform, signal, subprocess, sys, time

import schema

ENFORCED = os.environ["SBX_LIMITS"] == "yes"
DEGRADED = [] if ENFORCED else ["--allow-degraded"]
SCHEMA = json.load(open(os.environ["SBX_SRC"] + "/doc/result.schema.json"))
seen = {}


def fail(text):
    sys.exit("failed: " + text)


def run(verdict, code, says, *argv, ws="ws", meanwhile=None):
    """'says': words of the one line on stderr; None = no line of ours."""
    if os.path.exists("r.json"):
        os.unlink("r.json")
    p = subprocess.Popen(["sbx-shell", *DEGRADED, "--result", "r.json", *argv], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if meanwhile:
        meanwhile(p)
    out, err = p.communicate(timeout=60)
    r = json.load(open("r.json"))
    lines = [l for l in err.splitlines() if l.startswith("sbx-shell: ") and " degraded" not in l
             and not any(d in l for d in r["degraded"])]
    what = f"{argv}: exit {p.returncode}, {json.dumps(r)}, {err}"
    if r["verdict"] != verdict or p.returncode != code:
        fail(f"expected {verdict}, {code}: {what}")
    if says is None and lines or says is not None and len(lines) != 1:
        fail(f"lines on stderr: {what}")
    for word in says or []:
        if word not in lines[0]:
            fail(f"'{word}' is not said: {what}")
    wrong = schema.errors(r, SCHEMA)
    record = glob.glob(f"{ws}/runs/{r['run']}.json")
    if verdict != "setup" or r["limits"]:
        if not record:
            fail(f"no record of {r['run']}")
        wrong += schema.errors(json.load(open(record[0])), SCHEMA)
    if wrong:
        fail("; ".join(wrong) + " in " + json.dumps(r))
    seen[verdict] = r
    return r


def sh(script, *options, ws="ws"):
    return [*options, ws, "--", "sh", "-c", script]


subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
subprocess.run(["sbxctl", "init", "small", "--cipher", "xchacha20", "--quota", "2M"], check=True, stdout=subprocess.DEVNULL)
big = ["python3", "-c", "x = b'x' * (1 << 28); import time; time.sleep(20)"]

run("ok", 0, None, "ws", "--", "true")
run("exit", 3, None, *sh("exit 3"))
run("signal", 139, ["SIGSEGV"], *sh("kill -SEGV $$"))
run("timeout", 124, ["wall clock", "300 ms", "--time"], *sh("sleep 20", "--time", "300ms", "--grace", "0"))
run("cpu_timeout", 124, ["CPU time", "200 ms", "--cpu-time"], *sh("while :; do :; done", "--cpu-time", "200ms", "--grace", "0"))
run("oom", 137, ["memory limit", "64M", "--memory"], "--memory", "64M", "--time", "15s", "ws", "--", *big)
run("output_limit", 137, ["output limit", "10K", "--output"], *sh("exec yes", "--output", "10K"))
run("quota", 153, ["file size", "1M", "--fsize"], *sh("exec head -c 3000000 /dev/zero >/workspace/big", "--fsize", "1M"))
run("quota", 134, ["quota", "2M", "quota.bytes"], *sh("head -c 4000000 /dev/zero >/workspace/x 2>/dev/null; kill -ABRT $$", ws="small"), ws="small")
run("setup", 125, ["no-such-workspace"], "no-such-workspace", "--", "true")
run("setup", 127, ["no-such-command"], "ws", "--", "no-such-command")
if platform.machine() == "x86_64":
    run("seccomp", 159, ["system call", "SIGSYS"], "ws", "--", "python3", "-c", "import ctypes; ctypes.CDLL(None).syscall(0x40000000 + 39)")


def kill_daemon(p):
    p.stdout.readline()
    os.kill(json.load(open("ws/lock"))["pid"], signal.SIGKILL)


run("fs_lost", 125, ["daemon"], *sh("echo up; sleep 20"), meanwhile=kill_daemon)

# Met and handled.
r = run("ok", 0, ["warning", "quota", "2M", "quota.bytes"],
        *sh("head -c 4000000 /dev/zero >/workspace/x 2>/dev/null; rm /workspace/x; true", ws="small"), ws="small")
if not r["quota_hits"]:
    fail(f"the quota was not counted: {r}")
r = run("ok", 0, None, *sh("head -c 100000 /dev/zero >/workspace/x", ws="small"), ws="small")
if r["quota_hits"] != 0:
    fail(f"the quota of before was counted: {r}")
if ENFORCED:
    r = run("ok", 0, ["warning", "processes", "10", "--pids"], *sh("python3 -c '\nimport os, time\ntry:\n while True:\n"
            "  if os.fork() == 0: time.sleep(1); os._exit(0)\nexcept OSError: os._exit(0)'", "--pids", "10"))
    if not r["pids_max_hits"]:
        fail(f"the refused processes were not counted: {r}")
    run("pids", 134, ["processes", "10", "--pids"], *sh("python3 -c '\nimport os, time\ntry:\n while True:\n"
        "  if os.fork() == 0: time.sleep(1); os._exit(0)\nexcept OSError: os._exit(0)'; kill -ABRT $$", "--pids", "10"))
    # Out of memory in a child ends all, unless the parent is faster; then it is said.
    p = subprocess.run(["sbx-shell", "--result", "r.json", "--memory", "64M", *sh("python3 -c 'b\"x\" * (1 << 28)'; exit 0")],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    r = json.load(open("r.json"))
    if r["verdict"] not in ("ok", "oom") or r["oom_kills"] < 1 or "64M" not in p.stderr or "--memory" not in p.stderr:
        fail(f"a child out of memory is hidden: {r} {p.stderr}")

# The schema refuses what is not as it says.
for change in ({"verdict": "fine"}, {"exit_code": None}, {"oom_kills": -1}, {"extra": 1}, {"limits": None}, {"run": "x"},
               {"degraded": [1]}, {"denied": [{}]}, {"started": "2026-11-20T10:15:00Z"}):
    r = copy.deepcopy(seen["ok"])
    r.update(change)
    if not schema.errors(r, SCHEMA):
        fail(f"the schema takes {change}")
for key in SCHEMA["required"]:
    r = copy.deepcopy(seen["ok"])
    del r[key]
    if not schema.errors(r, SCHEMA):
        fail(f"the schema does without {key}")
missing = set(SCHEMA["properties"]["verdict"]["enum"]) - set(seen) - ({"pids"} if not ENFORCED else set()) - ({"seccomp"} if platform.machine() != "x86_64" else set())
if missing:
    fail(f"no run had the verdict {missing}")
