# The interactive shell: a pty of its own, a prompt, job control, window size, Ctrl-C, Ctrl-Z, the
# terminal restored, everything inside ended when it is left.
# run: root user
# needs: fuse userns
# timeout: 90
import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, time

degraded = [] if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)


class Terminal:
    """sbx-shell on a terminal; what it shows is kept in 'shown'."""

    def __init__(self, argv, rows=31, cols=101):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.shown = ""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal)

    def read(self, seconds=0.1):
        while select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            if not data:
                return
            self.shown += data.decode(errors="replace")

    def expect(self, regex, seconds=8):
        end = time.time() + seconds
        while time.time() < end:
            m = re.search(regex, self.shown)
            if m:
                self.shown = self.shown[m.end():]
                return m
            self.read(0.05)
            if self.process.poll() is not None and not re.search(regex, self.shown):
                self.read(0.2)
                break
        m = re.search(regex, self.shown)
        if m:
            self.shown = self.shown[m.end():]
            return m
        sys.exit(f"failed: no {regex!r} in {self.shown!r} (exit {self.process.poll()})")

    def type(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def close(self, code):
        try:
            got = self.process.wait(8)
        except subprocess.TimeoutExpired:
            sys.exit(f"failed: it does not end: {self.shown!r}")
        if got != code:
            sys.exit(f"failed: exit {got}, expected {code}: {self.shown!r}")
        if termios.tcgetattr(self.slave) != self.before:
            sys.exit("failed: the terminal is not as it was")


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
