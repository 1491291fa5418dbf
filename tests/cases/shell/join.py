# A second terminal into a run: the same files, id, limits and filters; as many as one likes; they
# end with the run, and the run does not end with them. Nothing is left, and nobody else gets in.
# run: root user
# needs: fuse userns
# timeout: 90
import json, os, re, signal, subprocess, sys, time

sys.path.insert(0, os.environ["SBX_SRC"] + "/tests/lib")
from terminal import Terminal, degraded

env = {**os.environ, "LANG": "C.UTF-8", "TERM": "xterm-256color"}
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)


def fail(what):
    sys.exit("failed: " + what)


def run_id():
    runs = json.loads(subprocess.run(["sbxctl", "ps", "--json", "ws"], capture_output=True, check=True).stdout)
    return runs[0]["run"] if len(runs) == 1 else fail(f"runs: {runs}")


def join(*args, **more):
    return subprocess.run(["sbx-shell", "--join", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, **more)


first = Terminal(["sbx-shell", *degraded, "--pids", "64", "--nofile", "321", "ws"], env=env)
first.expect(r"\$ ")
first.type("echo mark >/tmp/mark; echo $((40+2))\r")
first.expect(r"42\r")
run = run_id()

# As a program: what is there, who one is, what is in force.
r = join(run, "ws", "--", "sh", "-c", "cat /tmp/mark; id -u; ulimit -n; pwd; ls /proc/self/fd | wc -l; "
         "grep -E '^(Seccomp|NoNewPrivs|CapEff|CapBnd):' /proc/self/status; exit 7")
inside = subprocess.run(["sbx-shell", *degraded, "--quiet", "ws", "--", "grep", "-E", "^(Seccomp|NoNewPrivs|CapEff|CapBnd):", "/proc/self/status"],
                        capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
if r.returncode != 7 or r.stdout != f"mark\n1000\n321\n/workspace\n4\n{inside}" or "Seccomp:\t2" not in inside:
    fail(f"inside: {r}")
# Its environment is the run's, with this terminal's.
r = join(run, "--env", "EXTRA=1", "--", "sh", "-c", "echo $HOME $USER $EXTRA $LANG", env={**env, "SECRET": "x"})
if r.stdout != "/home/sbx sbx 1 C.UTF-8\n":
    fail(f"environment: {r}")
# Standard streams pass byte for byte; the order of bytes and the end of input.
data = os.urandom(3000000)
r = subprocess.run(["sbx-shell", "--join", run, "--", "cat"], input=data, capture_output=True, timeout=20)
if r.stdout != data or r.returncode:
    fail("3 MB through it")
# What cannot be: a clear word, and the codes of a run.
for args, code, word in (
    ([run, "--", "no-such-command"], 127, "no-such-command"),
    ([run, "--memory", "1G"], 125, "limits are those of the run"),
    ([run, "--ro", "/usr"], 125, "those of the run"),
    (["20990101T000000Z-00000000"], 125, "sbxctl ps"),
    (["x"], 125, "sbxctl ps"),
):
    r = join(*args)
    if r.returncode != code or word not in r.stderr or r.stderr.count("\n") != 1:
        fail(f"{args}: {r}")

# As a person, twice: a terminal of its own, its size, job control, the escape character.
a = Terminal(["sbx-shell", "--join", run[-8:]], rows=20, cols=70, env=env)
a.expect(r"second terminal into a run")
a.expect(r"sbx:ws\S* /workspace \$ ")
a.type("stty size; cat /tmp/mark; id -un\r")
a.expect(r"20 70\r\nmark\r\nsbx\r")
a.resize(25, 80)
time.sleep(0.3)
a.type("stty size\r")
a.expect(r"25 80")
a.type("sleep 100\r")
time.sleep(0.5)
a.type("\x1a")
a.expect(r"Stopped")
b = Terminal(["sbx-shell", "--join", run, "ws"], env=env)
b.expect(r"/workspace \$ ")
b.type("echo from-b >/workspace/b; exit 3\r")
b.close(3)
a.type("cat b\r")
a.expect(r"from-b\r")
a.type("\r~.")
a.close(137)
first.type("cat b; echo $((50+5))\r")
first.expect(r"from-b\r\n55\r")

# Its owner goes away, even by SIGKILL: so does it, and the run goes on.
p = subprocess.Popen(["sbx-shell", "--join", run, "--", "sh", "-c", "echo up; exec sleep 98761"], stdout=subprocess.PIPE)
p.stdout.readline()
p.kill()
end = time.time() + 5
while subprocess.run(["pgrep", "-fx", "sleep 98761"], stdout=subprocess.DEVNULL).returncode == 0:
    if time.time() > end:
        fail("it outlives its owner")
    time.sleep(0.02)
# A signal is passed on.
p = subprocess.Popen(["sbx-shell", "--join", run, "--", "sh", "-c", "trap 'echo caught; exit 4' USR1; echo up; while :; do sleep 0.05; done"],
                     stdout=subprocess.PIPE, text=True)
p.stdout.readline()
p.send_signal(signal.SIGUSR1)
if p.communicate(timeout=10)[0] != "caught\n" or p.returncode != 4:
    fail("a signal")

# Another user does not get in.
if os.environ["MODE"] == "root":
    r = subprocess.run(["setpriv", "--reuid", "nobody", "--clear-groups", "sbx-shell", "--join", run, "--", "id"], capture_output=True, text=True, cwd="/")
    if r.returncode == 0 or "uid=" in r.stdout:
        fail(f"another user: {r}")

# They end with the run.
c = Terminal(["sbx-shell", "--join", run], env=env)
c.expect(r"/workspace \$ ")
first.type("exit 0\r")
first.close(0)
c.expect(r"has ended")
c.close(137)
r = join(run, "ws")
if r.returncode != 125 or "has ended" not in r.stderr:
    fail(f"after the end: {r}")
# Also when the supervisor is killed.
q = Terminal(["sbx-shell", *degraded, "ws"], env=env)
q.expect(r"\$ ")
run = run_id()
c = Terminal(["sbx-shell", "--join", run], env=env)
c.expect(r"/workspace \$ ")
q.process.kill()
c.expect(r"has ended")
c.close(137)
if "sbx-run-" + run in open("/proc/net/unix").read():
    fail("its socket is left")
