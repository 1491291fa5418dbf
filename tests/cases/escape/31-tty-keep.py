# Attack 31: a terminal left raw, with a process in its foreground that takes what is typed: after the session it is as before.
# run: root user degraded
# needs: fuse userns
import os, pty, select, signal, subprocess, sys, termios, time

build = os.environ["SBX_BUILD"]
program = os.path.join(build, "tests/escape/tty-keep")
degraded = "" if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else "--allow-degraded"
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)


def on_terminal(command, first=""):
    """A shell of the host on a terminal runs the command, then a line is typed. Returns what the shell read of
    it ('' = nothing), whether the settings are as they were, whether the shell has the foreground."""
    pid, master = pty.fork()
    if pid == 0:
        # A shell with job control, as a person's: the command has a process group of its own.
        os.execvp("bash", ["bash", "--norc", "-mc", f"echo rea'dy'; {command}; echo do'ne' $?; read -t 3 x; echo \"got=$x.\""])
    before = termios.tcgetattr(master)
    shown, typed, settings, foreground, end = "", False, None, None, time.time() + 30
    while time.time() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown += os.read(master, 65536).decode(errors="replace")
            except OSError:
                break
        if first and ("$ " in shown or "# " in shown):
            os.write(master, first.encode())
            first = ""
        if "done" in shown and not typed:
            time.sleep(0.3)
            settings, foreground = termios.tcgetattr(master) == before, os.tcgetpgrp(master) == pid
            os.write(master, b"hello\n")
            typed = True
        if "got=" in shown and shown.rstrip().endswith("."):
            break
    os.kill(pid, signal.SIGKILL)
    os.close(master)
    os.waitpid(pid, 0)
    print(repr(shown), settings, foreground)
    return shown.split("got=")[-1].split(".")[0] if "got=" in shown else None, settings, foreground, shown


got, settings, foreground, shown = on_terminal(program)
if "done 0" not in shown or settings or (got == "hello" and foreground):
    sys.exit("failed: the control: outside it does not hold on to the terminal")
show = f"--ro {os.path.dirname(program)}:/opt/escape"
for what, command, first in (("a command", f"sbx-shell {degraded} --quiet {show} ws -- /opt/escape/tty-keep", ""),
                             ("a shell", f"sbx-shell {degraded} --quiet {show} ws", "/opt/escape/tty-keep; exit 42\r")):
    got, settings, foreground, shown = on_terminal(command, first)
    if (got, settings, foreground) != ("hello", True, True) or (first and "done 42" not in shown):
        sys.exit(f"failed: {what}: read {got!r}, settings as before {settings}, foreground {foreground}: {shown!r}")
