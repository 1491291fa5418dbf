# A passphrase asked for on a terminal: not echoed, asked twice, and Ctrl-C leaves the terminal as it was.
# run: user
# timeout: 120
import os
import pty
import select
import sys
import termios
import time



def start(*argv):
    """The command on a terminal of its own."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    return pid, fd


def expect(fd, text, seconds=30):
    """Read until 'text' was printed; everything that was read."""
    got, end = b"", time.time() + seconds
    while text not in got:
        if not select.select([fd], [], [], max(0, end - time.time()))[0]:
            sys.exit(f"failed: waited for {text!r}, got {got!r}")
        try:
            piece = os.read(fd, 4096)
        except OSError:
            sys.exit(f"failed: ended before {text!r}, got {got!r}")
        got += piece
    return got


def rest(fd):
    got = b""
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:
            return got
        if not piece:
            return got
        got += piece


def finish(pid, fd):
    out = rest(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out


def say(fd, text):
    # The prompt drops what was typed before it was shown, so a moment after it.
    time.sleep(0.2)
    os.write(fd, text + b"\n")


def check(fact, what):
    if not fact:
        sys.exit(f"failed: {what}")


# Two that differ are refused, and nothing is made.
pid, fd = start("sbxctl", "init", "--passphrase", "--cipher", "xchacha20", "wp")
expect(fd, b"assphrase")
say(fd, b"first secret")
expect(fd, b"gain")
say(fd, b"other secret")
code, out = finish(pid, fd)
check(code == 1 and b"differ" in out, f"two that differ: {code} {out!r}")
check(not os.path.exists("wp"), "a workspace after two that differ")

# Ctrl-C at the prompt: ended by the signal, echo is back on.
pid, fd = start("sbxctl", "init", "--passphrase", "wp")
expect(fd, b"assphrase")
time.sleep(0.2)
check(not termios.tcgetattr(fd)[3] & termios.ECHO, "the terminal echoes a passphrase")
os.write(fd, b"\x03")
for _ in range(100):
    if termios.tcgetattr(fd)[3] & termios.ECHO:
        break
    time.sleep(0.02)
else:
    sys.exit("failed: echo is off after Ctrl-C")
code, out = finish(pid, fd)
check(code != 0, "Ctrl-C was a success")
check(not os.path.exists("wp"), "a workspace after Ctrl-C")

# Given twice: made, and not shown.
pid, fd = start("sbxctl", "init", "--passphrase", "--cipher", "xchacha20", "wp")
seen = expect(fd, b"assphrase")
say(fd, b"first secret")
seen += expect(fd, b"gain")
say(fd, b"first secret")
code, out = finish(pid, fd)
check(code == 0, f"init: {code} {out!r}")
check(b"first secret" not in seen + out, "the passphrase was shown")

# Asked for by the daemon when the workspace is opened, and once more after a slip.
pid, fd = start("sbxctl", "show", "wp")
seen = expect(fd, b"assphrase")
say(fd, b"wrong secret")
seen += expect(fd, b"assphrase of")
say(fd, b"first secret")
code, out = finish(pid, fd)
check(code == 0 and b"xchacha20" in out, f"the right passphrase: {code} {out!r}")
check(b"secret" not in seen + out, "a passphrase was shown")

# Ctrl-C there: no daemon is left asking.
pid, fd = start("sbxctl", "show", "wp")
expect(fd, b"assphrase")
time.sleep(0.2)
os.write(fd, b"\x03")
code, out = finish(pid, fd)
check(code != 0, f"Ctrl-C was a success: {out!r}")
