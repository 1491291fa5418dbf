# Workspaces that were cut off at each step of the protocols, once or in recovery, too: the daemon
# mends them to what an implementation of its own, wfs.py, reads in them without writing; and after
# that it reads the same in what the daemon has closed.
# run: root
# needs: fuse userns
# timeout: 120
import glob, json, os, subprocess, sys

LIB = os.environ["SBX_SRC"] + "/tests/lib/"
GOLDEN = os.environ["SBX_SRC"] + "/tests/data/volumes/v1/"
PYTHON = "/usr/bin/python3"
DEGRADED = [] if os.environ.get("SBX_CGROUP") else ["--allow-degraded"]


def fail(text):
    sys.exit("failed: " + text)


def run(*argv, **kw):
    r = subprocess.run(argv, capture_output=True, text=True, **kw)
    return r.returncode, r.stdout, r.stderr


def by_wfs(ws, *more):
    """The listing of a workspace, through the independent reader."""
    code, out, err = run(PYTHON, "-B", LIB + "wfs.py", "decrypt", ws, "plain", "--identity", GOLDEN + "identity.json",
                         *more)
    if code:
        fail("%s: wfs.py: %s" % (ws, err))
    code, out, err = run(PYTHON, "-B", LIB + "golden.py", "list", "plain")
    subprocess.run(["rm", "-rf", "plain"], check=True)
    return out


def without_times(text):
    """Recovery may write to a file: its time may be newer then."""
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        row.pop("mtime", None)
    return rows


def settle(ws):
    subprocess.run(["flock", "-w", "20", ws + "/lock", "true"], check=True)


config = os.path.join(os.environ["HOME"], ".config/sbx")
os.makedirs(config, mode=0o700)
subprocess.run(["install", "-m", "600", GOLDEN + "identity.json", config + "/identity.json"], check=True)
with open(LIB + "golden.py", encoding="utf-8") as f:
    lister = f.read()
# Without --crashed wfs.py reads what was closed, or was clean while idle.
refusal = {"idle-clean": "", "idle-once": "in the other slot", "idle-change-torn": "in the other slot"}
tried = 0
for path in sorted(glob.glob(GOLDEN + "crashed/*.tar.gz")):
    ws = os.path.basename(path)[:-len(".tar.gz")]
    with open(path[:-len(".tar.gz")] + ".list", encoding="utf-8") as f:
        want = f.read()
    subprocess.run(["tar", "--xattrs", "--xattrs-include=user.*", "--no-same-owner", "-pxzf", path], check=True)
    code, out, err = run(PYTHON, "-B", LIB + "wfs.py", "check", ws, "--identity", GOLDEN + "identity.json")
    why = refusal.get(ws, "not closed cleanly")
    if code != (1 if why else 0) or why not in err:
        fail("%s: wfs.py does not refuse it: %s" % (ws, err))
    if by_wfs(ws, "--crashed") != want:
        fail("%s: wfs.py reads something else than it did" % ws)
    code, out, err = run("sbx-shell", *DEGRADED, "--quiet", ws, "--", PYTHON, "-", "list", "/workspace", input=lister)
    if code:
        fail("%s does not open: %s" % (ws, err))
    if without_times(out) != without_times(want):
        fail("%s: recovered to\n%sexpected\n%s" % (ws, out, want))
    settle(ws)
    if by_wfs(ws) != out:
        fail("%s: closed by the daemon, wfs.py reads something else" % ws)
    subprocess.run(["rm", "-rf", ws], check=True)
    tried += 1
print("%d workspaces" % tried)
if tried < 20:
    fail("only %d golden workspaces" % tried)
