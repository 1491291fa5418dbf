# Whoever dies, nothing is left; probes, other users and slow clients do no harm.
# run: root user
# needs: fuse py:ipykernel py:jupyter_client
# timeout: 150
import json, os, signal, socket, subprocess, sys, time

from checks import check, degraded, equal, fail, run_ok
from jup import Kernel, descendants, install, new_ws, wait_until

new_ws("ws")
install("ws", "--notebook-dir", "none")


def gone(pids):
    def dead(p):
        try:
            return open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True
    return wait_until(lambda: all(map(dead, pids)), 5)


# -- SIGKILL of the launcher, and of pid 1 inside
k = Kernel()
pids = descendants(k.pid)
check(len(pids) >= 2, "pid 1 and the kernel are descendants")
os.kill(k.pid, signal.SIGKILL)
check(gone(pids), "left after SIGKILL of the launcher")
k.stop(now=True)
k = Kernel()
pids = descendants(k.pid)
os.kill(next(p for p in pids if open("/proc/%d/comm" % p).read() == "sbx-init\n"), signal.SIGKILL)
k.ended(10)
check(gone(pids), "left after SIGKILL of pid 1")
k.stop(now=True)

# -- the program that started the kernel dies
client = """
import sys
sys.path[:0] = %r
from jup import Kernel
k = Kernel()
print(k.pid, flush=True)
sys.stdin.read()
""" % sys.path
p = subprocess.Popen([sys.executable, "-c", client], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
launcher = int(p.stdout.readline())
pids = [launcher] + descendants(launcher)
p.kill()
p.wait()
check(gone(pids), "left after the client was killed")

# -- TERM is the end, also for a kernel that will not hear of it
k = Kernel()
k.out("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
pids = descendants(k.pid)
os.kill(k.pid, signal.SIGTERM)
equal(k.ended(10), 128 + signal.SIGTERM, "the exit code after TERM")
check(gone(pids), "left after TERM")
k.stop(now=True)

# -- probes before it is ready, a port that is taken
def conn_file(name, **more):
    socks = [socket.socket() for _ in range(5)]
    for s in socks:
        s.bind(("127.0.0.1", 0))
    ports = dict(zip(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), (s.getsockname()[1] for s in socks)))
    for s in socks:
        s.close()
    info = dict(ports, transport="tcp", ip="127.0.0.1", key="k", signature_scheme="hmac-sha256", **more)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, json.dumps(info).encode())
    os.close(fd)
    return info


def launch(name, *command):
    return subprocess.Popen(["sbx-shell", *degraded, "--jupyter", name, "--notebook-dir", "none", "ws", "--", *command],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


kernel = ["/usr/bin/python3", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "@connection_file@"]
info = conn_file("c.json")
p = launch("c.json", *kernel)


def probe(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except OSError:
        return False


check(wait_until(lambda: probe(info["shell_port"]), 20), "nobody listens")
for _ in range(100):
    check(probe(info["shell_port"]) and probe(info["iopub_port"]), "a probe")
from jupyter_client import BlockingKernelClient
kc = BlockingKernelClient()
kc.load_connection_file("c.json")
kc.start_channels()
for _ in range(20):
    try:
        kc.wait_for_ready(timeout=60)
        break
    except RuntimeError:  # without a manager a client takes a second of silence for death
        pass

# -- another user, if there is a way to be one
if os.environ["MODE"] == "root":
    for port in (v for n, v in info.items() if n.endswith("_port")):
        code = ("import socket; s = socket.create_connection(('127.0.0.1', %d), 5); s.settimeout(5); "
                "s.sendall(b'\\xff' + b'\\0' * 8 + b'\\x7f'); print(len(s.recv(10)))" % port)
        try:
            got = run_ok("setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c",
                         "try:\n    exec(%r)\nexcept ConnectionError:\n    print(0)" % code).strip()
        except SystemExit:
            raise
        equal(got, "0", "bytes for another user on port %d" % port)

# -- 60 MB to a client that does not read: the launcher holds no more than its buffers
slow = socket.socket()
slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
slow.connect(("127.0.0.1", info["iopub_port"]))
ready = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"
slow.sendall(b"\xff" + b"\0" * 7 + b"\x01\x7f\x03\x00NULL" + b"\0" * 48 + bytes([4, len(ready)]) + ready + b"\0\x01\x01")


def rss():
    return int(open("/proc/%d/statm" % p.pid).read().split()[1]) * 4096


before = rss()
got = []
kc.execute_interactive("for i in range(60): print('x' * 1000000)", timeout=90,
                       output_hook=lambda m: got.append(len(m["content"].get("text", ""))))
equal(sum(got), 60 * 1000001, "bytes of output")
check(rss() - before < 8 << 20, "the launcher grew by %d bytes" % (rss() - before))
slow.close()
second = conn_file("d.json")
conn = json.load(open("c.json"))
conn["hb_port"] = second["hb_port"]
json.dump(conn, open("d.json", "w"))
q = launch("d.json", *kernel)
err = q.communicate(timeout=30)[1].decode()
check(q.returncode == 125 and "is used by another program" in err, "a taken port: %d %s" % (q.returncode, err))
kc.stop_channels()
p.terminate()
p.wait(5)

# -- refusals
for change, words in (({"ip": "0.0.0.0"}, "127.0.0.1"), ({"transport": "udp"}, "transport")):
    info = conn_file("e.json")
    json.dump(dict(info, **change), open("e.json", "w"))
    q = launch("e.json", *kernel)
    err = q.communicate(timeout=30)[1].decode()
    check(q.returncode == 125 and words in err, "%r: %d %s" % (change, q.returncode, err))
q = launch("c.json", "/bin/true")
err = q.communicate(timeout=30)[1].decode()
check(q.returncode == 125 and "@connection_file@" in err, "no placeholder: " + err)
