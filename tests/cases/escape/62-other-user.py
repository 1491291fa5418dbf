# Another user of the host, while a session runs: the daemon, the supervisor and what is inside cannot be asked, read, joined or signalled.
# run: root degraded
# needs: fuse userns
import errno, json, os, socket, subprocess, sys

degraded = [] if os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
session = subprocess.Popen(["sbx-shell", *degraded, "--quiet", "ws", "--", "sh", "-c", "echo up; echo $$; sleep 60"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
if session.stdout.readline() != "up\n":
    sys.exit("failed: no session")
lock = json.load(open("ws/lock"))


def descendants(pid):
    found = []
    for c in open(f"/proc/{pid}/task/{pid}/children").read().split():
        found += [int(c), *descendants(int(c))]
    return found


pids = {"daemon": lock["pid"], "supervisor": session.pid}
pids.update({f"inside {n}": p for n, p in enumerate(descendants(session.pid))})


def ask():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(5)
        s.connect("\0" + lock["socket"])
        s.send(b'{"op":"status"}')
        reply = s.recv(65536)
        if not reply or not json.loads(reply).get("ok"):
            raise PermissionError(errno.EPERM, "refused")


def attempts():
    yield "ask the daemon", ask
    for name in ("store", "keys", "runs", "lock"):
        yield f"read ws/{name}", lambda n=name: os.close(os.open("ws/" + n, os.O_RDONLY))
    yield "read the identity", lambda: os.close(os.open(os.path.expanduser("~/.config/sbx/identity.json"), os.O_RDONLY))
    for who, pid in pids.items():
        for name in ("mem", "environ", "maps", "fd", "root/", "ns/user", "ns/mnt"):
            yield f"{who}: {name}", lambda p=pid, n=name: os.close(os.open(f"/proc/{p}/{n}", os.O_RDONLY))
        yield f"{who}: a signal", lambda p=pid: os.kill(p, 0)


def run():
    """How many worked."""
    worked = []
    for name, fn in attempts():
        try:
            fn()
            worked.append(name)
        except OSError as e:
            if e.errno not in (errno.EACCES, errno.EPERM, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
                sys.exit(f"failed: {name}: {e}")
    return worked


# Control: root, who is the owner, can.
mine = run()
print(len(pids), "processes,", len(mine), "attempts work as root")
if len(mine) < 15 or "ask the daemon" not in mine:
    sys.exit(f"failed: the control: only {mine} work as root")
child = os.fork()
if child == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    worked = run()
    print("worked:", worked, flush=True)
    os._exit(len(worked) > 0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
session.terminate()
session.wait()
if status:
    sys.exit("failed: another user got through")
