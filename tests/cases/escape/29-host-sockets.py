# Attack 29: listeners of the host cannot be reached, neither abstract, nor by path, nor by TCP.
# run: root user degraded
# needs: fuse userns
import os, socket, subprocess, sys, threading, time

build = os.environ["SBX_BUILD"]
degraded = [] if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)

heard = []


def listen(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.bind(address)
    s.listen(8)

    def accept():
        while True:
            try:
                s.accept()[0].close()
            except OSError:
                return
            heard.append(address)

    threading.Thread(target=accept, daemon=True).start()
    return s


name = f"sbx-escape-{os.getpid()}"
path = os.path.join(os.environ["TMPDIR"], "listener")
listeners = [listen(socket.AF_UNIX, "\0" + name), listen(socket.AF_UNIX, path)]
tcp = listen(socket.AF_INET, ("127.0.0.1", 0))
os.environ.update(HOST_ABSTRACT=name, HOST_PATH=path, HOST_PORT=str(tcp.getsockname()[1]),
                  SSH_AUTH_SOCK="/run/nowhere", DBUS_SESSION_BUS_ADDRESS="unix:path=/run/nowhere")
program = os.path.join(build, "tests/escape/host-sockets")
control = subprocess.run([program, "control"], capture_output=True, text=True)
print(control.stdout)
end = time.time() + 3
while len(heard) < 3 and time.time() < end:
    time.sleep(0.02)
if control.returncode != 0 or len(heard) < 3:
    sys.exit(f"failed: the positive control: {control.stdout} heard {heard}")
heard.clear()
inside = subprocess.run(
    ["sbx-shell", *degraded, "--quiet", "--ro", os.path.dirname(program) + ":/opt/escape",
     "--env", "HOST_ABSTRACT", "--env", "HOST_PATH", "--env", "HOST_PORT",
     "ws", "--", "/opt/escape/host-sockets"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
print(inside.stdout, inside.stderr)
if inside.returncode != 0 or "BAD" in inside.stdout or "ok " not in inside.stdout:
    sys.exit("failed: not what was expected inside")
time.sleep(0.2)
if heard:
    sys.exit(f"failed: the host heard {heard}")
