# The interactive shell: a pty of its own, a prompt, job control, window size, Ctrl-C, Ctrl-Z, the
# terminal restored, everything inside ended when it is left.
# run: root user
# needs: fuse userns
# timeout: 90
import os, signal, subprocess, sys, termios, time

sys.path.insert(0, os.environ["SBX_SRC"] + "/tests/lib")
from terminal import Terminal, degraded

subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)

t = Terminal(["sbx-shell", *degraded, "ws"])
t.expect(r"[$#] ")
t.type("echo tty=$(tty) user=$(id -un) size=$(stty size)\r")
t.expect(r"tty=/dev/pts/\d+ user=sbx size=31 101")
t.resize(40, 120)
time.sleep(0.3)
t.type("stty size\r")
t.expect(r"40 120")
# Ctrl-C ends the command and not the shell.
t.type("sleep 100\r")
time.sleep(0.5)
t.type("\x03")
t.type("echo after=$?\r")
t.expect(r"after=130")
# Ctrl-Z, jobs, fg.
t.type("sleep 100\r")
time.sleep(0.5)
t.type("\x1a")
t.expect(r"Stopped")
t.type("jobs\r")
t.expect(r"Stopped.*sleep 100")
t.type("fg\r")
time.sleep(0.3)
t.type("\x03")
t.type("echo back=$?\r")
t.expect(r"back=130")
# A program that wants the whole screen gets a terminal that works; colours pass.
t.type("printf '\\033[31mred\\033[0m\\n'; tput cols\r")
t.expect("\x1b\\[31mred\x1b\\[0m")
t.expect(r"120")
# A background job does not outlive the shell.
t.type("(sleep 98765 &) ; echo started\r")
t.expect(r"started")
t.type("exit 7\r")
t.close(7)
time.sleep(0.2)
left = subprocess.run(["pgrep", "-fx", "sleep 98765"], capture_output=True, text=True).stdout
if left:
    sys.exit("failed: a background job is left")

# Ctrl-D leaves too.
t = Terminal(["sbx-shell", *degraded, "ws"])
t.expect(r"[$#] ")
t.type("\x04")
t.close(0)

# A command of a pipeline on a terminal: output arrives, Ctrl-C ends it with 130.
t = Terminal(["sbx-shell", *degraded, "ws", "--", "sh", "-c", "echo up; sleep 100"])
t.expect(r"up")
t.type("\x03")
t.close(130)

# TERM to the supervisor ends all and restores the terminal.
t = Terminal(["sbx-shell", *degraded, "ws"])
t.expect(r"[$#] ")
t.process.send_signal(signal.SIGTERM)
try:
    t.process.wait(8)
except subprocess.TimeoutExpired:
    t.process.send_signal(signal.SIGHUP)
    t.process.wait(8)
if termios.tcgetattr(t.slave) != t.before:
    sys.exit("failed: after TERM the terminal is not as it was")

# The terminal goes away (the window is closed): everything ends.
t = Terminal(["sbx-shell", *degraded, "ws"])
t.expect(r"[$#] ")
os.close(t.slave)
os.close(t.master)
try:
    t.process.wait(8)
except subprocess.TimeoutExpired:
    sys.exit("failed: it outlives its terminal")
