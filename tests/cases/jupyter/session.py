# A kernel in the sandbox: computes, reads beside the notebook, writes to the workspace, and sees nothing else.
# run: root user
# needs: fuse py:ipykernel py:jupyter_client
# timeout: 120
import os, socket, threading, time

from checks import check, equal, run_ok
from jup import Kernel, install, new_ws

new_ws("ws", "--quota", "40M")
install("ws")
os.makedirs("study/data")
open("study/data/x.csv", "w").write("a,b\n1,2\n")
open("study/helper.py", "w").write("answer = 42\n")
open("study/.env", "w").write("SECRET=1\n")
open("study/results.csv", "w").write("old\n")
os.environ["JUPYTERHUB_API_TOKEN"] = "this-is-a-secret"

# Something of the host's to reach: its loopback and its abstract sockets.
host = socket.socket()
host.bind(("127.0.0.1", 0))
host.listen()
abstract = socket.socket(socket.AF_UNIX)
abstract.bind("\0sbx-test-%d" % os.getpid())
abstract.listen()

k = Kernel(cwd="study")
before = open(k.km.connection_file).read()
reply, seen = k.run("1+1")
equal([c["data"]["text/plain"] for t, c in seen if t == "execute_result"], ["2"], "1+1")

# -- the notebook's folder
equal(k.out("print(open('data/x.csv').read().split())"), "['a,b', '1,2']\n", "a file beside the notebook")
equal(k.out("import helper; print(helper.answer)"), "42\n", "a module beside the notebook")
reply, _ = k.run("open('results.csv', 'w')")
equal(reply.get("ename"), "OSError", "to write beside the notebook")
k.out("open('out.txt', 'w').write('made')")
equal(k.out("import os; print(os.getcwd(), os.path.exists('.env'))"), "/workspace False\n", "where it works")
equal(sorted(os.listdir("study")), [".env", "data", "helper.py", "results.csv"], "the folder afterwards")

# -- what it cannot see
text = k.out("print(dict(os.environ))")
check("this-is-a-secret" not in text and "JPY_PARENT_PID': '1'" in text, "the environment: " + text)
equal(k.out("""
import socket, errno
def reach(family, addr):
    try:
        socket.socket(family).connect(addr)
        return 'reached'
    except OSError as e:
        return errno.errorcode[e.errno]
print(reach(socket.AF_INET, ('127.0.0.1', %d)), reach(socket.AF_INET, ('198.51.100.1', 80)),
      reach(socket.AF_UNIX, '\\0sbx-test-%d'))
""" % (host.getsockname()[1], os.getpid())), "ECONNREFUSED ENETUNREACH ECONNREFUSED\n", "what it reaches")
# Each of its sockets is in the table of its own network: none came from outside.
equal(k.out("""
import re
own = set(re.findall(r'\\n(?: +\\d+: .{40,}?| .*?)(\\d{4,}) ', '')) | set(
    w for f in ('tcp', 'tcp6', 'udp', 'udp6', 'unix', 'netlink') for line in open('/proc/net/' + f) for w in line.split())
strange = []
for fd in os.listdir('/proc/self/fd'):
    try:
        t = os.readlink('/proc/self/fd/' + fd)
    except OSError:
        continue
    if t.startswith('socket:') and t[8:-1] not in own:
        strange.append((fd, t))
print(strange)
"""), "[]\n", "sockets of another network")
equal(open(k.km.connection_file).read(), before, "the client's connection file")

# -- interrupts: the group's, and every process's (VS Code)
from jup import descendants
import signal
def tree():
    for p in descendants(k.pid):
        try:
            os.kill(p, signal.SIGINT)
        except (ProcessLookupError, PermissionError):
            pass
    os.kill(k.pid, signal.SIGINT)
for how in (k.km.interrupt_kernel, tree) * 4:
    threading.Timer(0.15, how).start()
    reply, seen = k.run("import time\nfor i in range(300): time.sleep(0.1)", 30)
    equal(reply.get("ename"), "KeyboardInterrupt", "interrupted by %s" % how)
    equal(len([1 for t, c in seen if t == "error"]), 1, "errors")
k.km.interrupt_kernel()
time.sleep(0.1)
equal(k.out("print('alive')"), "alive\n", "after an idle interrupt")

# -- the quota: an error in the cell, and the kernel lives
reply, _ = k.run("with open('big', 'wb') as f:\n    for i in range(60): f.write(os.urandom(1 << 20))\n    os.fsync(f.fileno())")
equal(reply.get("ename"), "OSError", "beyond the quota")
k.out("os.remove('big')")

# -- restart; what is computed with is gone, what was written is not
k.km.restart_kernel(now=False)
k.kc.wait_for_ready(timeout=60)
reply, _ = k.run("helper")
equal(reply.get("ename"), "NameError", "state after a restart")
equal(k.out("print(open('out.txt').read())"), "made\n", "a file after a restart")
check("a kernel on" in k.words() and "/notebook" in k.words(), "the server's log: " + k.words())

pids = [k.pid] + descendants(k.pid)
k.stop()
check(not [p for p in pids if os.path.exists("/proc/%d/ns" % p) and open("/proc/%d/stat" % p).read().split()[2] != "Z"],
      "processes are left")
names = run_ok("sbx-shell", *(["--allow-degraded"] if os.environ["MODE"] == "user" or not os.environ["SBX_CGROUP"] else []),
               "--quiet", "ws", "--", "ls", "-A").split()
equal(sorted(names), ["data", "helper.py", "out.txt", "results.csv"], "the outputs")
