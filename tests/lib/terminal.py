# A real terminal for the cases: a pty whose other end is the controlling terminal of one program.
# In a case: sys.path.insert(0, os.environ["SBX_SRC"] + "/tests/lib"); import terminal
import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, time

# Without a cgroup of our own, memory and CPU limits are degraded and must be accepted as such.
degraded = [] if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else ["--allow-degraded"]


class Terminal:
    """sbx-shell on a terminal; what it shows is kept in 'shown', all of it in 'all' as bytes."""

    def __init__(self, argv, rows=31, cols=101, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.shown, self.all = "", b""

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal, env=env)

    def read(self, seconds=0.1):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.all += data
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
