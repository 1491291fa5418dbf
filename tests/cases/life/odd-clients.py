# Clients of the control socket that misbehave hold up nobody: one that asks to add a passphrase and
# never sends it, one that asks and never reads, more clients than there are places.
# run: root user
# needs: fuse
import json, os, socket, subprocess, sys, time

ME = os.getpid()


def fail(text):
    sys.exit("failed: " + text)


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def connect():
    with open("ws/lock") as f:
        name = json.load(f)["socket"]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect("\0" + name)
    return s


def ask(s, **request):
    s.send(json.dumps(request).encode())
    return json.loads(s.recv(65536))


def start():
    """A first client keeps the daemon alive."""
    p = subprocess.Popen(["sbx-shell", "--allow-degraded", "--quiet", "ws", "--", "sh", "-c", "echo up; read x"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if p.stdout.readline() != b"up\n":
        fail("no session")
    return p


r = run("sbxctl", "init", "ws", "--cipher", "xchacha20")
if r.returncode:
    fail(r.stderr)
session = start()

# The passphrase never comes: this client is told so, and others are served.
silent = connect()
r_end, w_end = os.pipe()
socket.send_fds(silent, [b'{"op":"key-add","type":"passphrase"}'], [r_end])
os.write(w_end, b"half of")
if not ask(connect(), op="hello")["ok"]:
    fail("not served beside a silent client")
answer = json.loads(silent.recv(65536))
if answer["ok"] or "passphrase" not in answer["error"]:
    fail("a passphrase that never came: %r" % answer)

# One that never reads is closed as soon as its answers have no more room.
greedy = connect()
greedy.settimeout(60)
closed = False
for _ in range(20000):
    try:
        greedy.send(b'{"op":"status"}')
    except OSError:
        closed = True
        break
if not closed:
    fail("a client that never reads is not closed")
if not ask(connect(), op="hello")["ok"]:
    fail("not served beside a client that does not read")

# All places taken: a clear answer, no waiting.
many = []
for _ in range(260):
    many.append(connect())
r = run("sbxctl", "status", "ws")
if r.returncode == 0 and "clients" not in r.stdout + r.stderr:
    fail("status says nothing of a full house: %r" % (r,))
r = run("sbxctl", "show", "ws")
if r.returncode != 4 or "clients" not in r.stderr:
    fail("a full house: %r" % (r,))
for s in many:
    s.close()
end = time.time() + 10
while True:
    if run("sbxctl", "show", "ws").returncode == 0:
        break
    if time.time() > end:
        fail("not served after the others left")
session.communicate(b"\n")
