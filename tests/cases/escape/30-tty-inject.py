# Attack 30: nothing can be typed into the caller's terminal, neither by a command nor in a shell.
# run: root user degraded
# needs: fuse userns
import os, pty, select, subprocess, sys, time

build = os.environ["SBX_BUILD"]
program = os.path.join(build, "tests/escape/tty-inject")
degraded = [] if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)


def on_terminal(argv, typed=b"", until=None, limit=20):
    """Run argv on a terminal of its own; returns exit code, what it showed, what was left to read."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    shown, end, sent = b"", time.time() + limit, not typed
    while time.time() < end:
        if select.select([master], [], [], 0.2)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        if not sent and (b"$" in shown or b"#" in shown):
            os.write(master, typed)
            sent = True
    for _ in range(100):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]
        sys.exit(f"failed: {argv} did not end: {shown!r}")
    os.close(master)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


show = ["--ro", os.path.dirname(program) + ":/opt/escape"]
code, shown = on_terminal([program, "control"])
print("control:", shown)
if os.environ["MODE"] == "root" and "control works" not in shown and "EIO" not in shown:
    sys.exit("failed: the positive control")

code, shown = on_terminal(["sbx-shell", *degraded, "--quiet", *show, "ws", "--", "/opt/escape/tty-inject"])
print("command:", shown)
if code != 0 or "BAD" in shown or shown.count("EPERM") < 4:
    sys.exit(f"failed: as a command: exit {code}")
if "X" in shown.replace("TIOCLINUX", ""):
    sys.exit("failed: a character was injected")

code, shown = on_terminal(["sbx-shell", *degraded, "--quiet", *show, "ws"],
                          b"/opt/escape/tty-inject; echo result=$?; exit\r")
print("shell:", shown)
if "result=0" not in shown or "BAD" in shown:
    sys.exit("failed: in a shell")
