# What a person meets on a terminal: the greeting, the escape character, output that cannot reach for
# the terminal, and the terminal as it was after every kind of end.
# run: root user
# needs: fuse userns
# timeout: 90
import os, re, signal, subprocess, sys, termios, time

sys.path.insert(0, os.environ["SBX_SRC"] + "/tests/lib")
from terminal import Terminal, degraded

env = {**os.environ, "LANG": "C.UTF-8", "TERM": "xterm-256color"}
subprocess.run(["sbxctl", "init", "ws", "--quota", "10M", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)


def shell(*options):
    t = Terminal(["sbx-shell", *degraded, *options, "ws"], env=env)
    t.expect(r"sbx:ws\S* /workspace \$ ")
    return t


def check(what, ok, t):
    if not ok:
        sys.exit(f"failed: {what}: {t.all!r}")


# Two lines of greeting; none with --quiet.
t = shell("--memory", "300M", "--pids", "50")
text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", t.all.decode())
check("the greeting", "sbx:ws: 0 of 10M used, memory 300M, 50 processes, no network\r\n/workspace is kept, encrypted; "
      "'exit' leaves, ~. ends it at once, ~? helps\r\n" in text, t)
# The list, the character itself, and not within a line.
t.type("\r~?")
t.expect(r"~\.    end the session and everything inside\r\n")
t.type("\r~~x\r")
t.expect(r"~x: command not found")
t.type("echo a~.b\r")
t.expect(r"a~\.b\r\n")
# It ends what listens to nothing.
t.type("trap '' INT QUIT TSTP HUP TERM; stty -isig -icanon -echo; echo deaf; exec sleep 1000\r")
t.expect("deaf\r\n")
t.type("\r~.")
t.expect("sbx-shell: ended from the keyboard")
t.close(137)

t = shell("--quiet", "--escape", "none")
check("no greeting", "kept, encrypted" not in t.all.decode(), t)
t.type("\r~.\rexit 3\r")
t.close(3)
t = shell("--escape", "^]")
t.type("\r\x1d.")
t.close(137)

# ~^Z stops sbx-shell; continued, it is where it was.
t = Terminal(["bash", "--norc", "-ic", "PS1='outer> '; set -m; sbx-shell " + " ".join(degraded) + " ws; echo stopped=$?; stty -a; fg; echo ended"], env=env)
t.expect(r"sbx:ws\S* /workspace \$ ")
t.type("\r~\x1a")
t.expect(r"stopped=1\d\d")
t.expect(r" icanon")
t.expect(r"sbx-shell .*ws")
t.type("echo in=$((40+2))\r")
t.expect(r"in=42\r")
t.type("exit\r")
t.expect(r"ended")
t.close(0)

# Nothing that code inside writes sets the clipboard, the title, or makes the terminal answer with
# text; what draws passes. With --raw-terminal all of it passes.
hostile = {
    "clipboard": r"\033]52;c;cm0gLXJmIH4K\007", "title": r"\033]0;owned\007", "title report": r"\033[21t",
    "setting report": r"\033P$q\042p\033\\", "answer back": r"\005", "print": r"\033[5i", "file": r"\033]1337;File=:QQ==\007",
    "graphics": r"\033_Gi=1,a=q;AAAA\033\\", "8-bit": r"\302\2350;owned\007", "screen": r"\033kowned\033\\",
}
text = "".join(hostile.values()) + r"\033[31mred\033[0m\033[6n\303\274\342\202\254"
draws = "\x1b[31mred\x1b[0m\x1b[6n\u00fc\u20ac".encode()
command = ["sh", "-c", 'printf "$1"', "sh", "<" + text + ">"]
t = Terminal(["sbx-shell", *degraded, "ws", "--", *command], env=env)
t.close(0)
t.read()
check("filtered", b"<" + draws + b">" in t.all, t)
for name, sequence in hostile.items():
    raw = subprocess.run(["printf", sequence], stdout=subprocess.PIPE).stdout
    check(name, raw not in t.all, t)
t = Terminal(["sbx-shell", *degraded, "--raw-terminal", "ws", "--", *command], env=env)
t.close(0)
t.read()
check("--raw-terminal", b"\x1b]52;c;" in t.all and b"\x1b[21t" in t.all, t)
# The terminal is only where the output goes.
t = Terminal(["sh", "-c", 'true | sbx-shell "$@"', "sh", *degraded, "ws", "--", "sh", "-c", 'printf "$1"; printf "$1" >&2', "sh", text], env=env)
t.close(0)
t.read()
check("stdout and stderr", t.all.count(draws) == 2 and b"owned" not in t.all, t)
# A pipe gets every byte.
out = subprocess.run(["sbx-shell", *degraded, "--quiet", "ws", "--", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
plain = subprocess.run(["printf", "<" + text + ">"], stdout=subprocess.PIPE, check=True)
if out.stdout != plain.stdout:
    sys.exit(f"failed: not byte for byte: {out.stdout!r}")

# A line at the foot that goes before each line of the command's and at the end; never into a pipe.
t = Terminal(["sbx-shell", *degraded, "--progress", "--time", "1m", "ws", "--", "sh", "-c", "head -c 3000000 /dev/zero >f; echo one; sleep 2.3; echo two"], env=env)
t.expect(r"one\r\n\r\x1b\[2m\[0:0\d, 0:5\d left\] memory [^\r]*, CPU 0:0\d, output 5, written [\d.]+M?\x1b\[0m\x1b\[K")
t.expect(r"\r\x1b\[Ktwo\r\n")
t.close(0)
quiet = subprocess.run(["sbx-shell", *degraded, "--progress", "ws", "--", "sleep", "1.2"], stdin=subprocess.DEVNULL, capture_output=True)
if b"memory" in quiet.stdout + quiet.stderr.replace(b"memory limit", b""):
    sys.exit(f"failed: progress without a terminal: {quiet}")

# However it ends, modes of a full-screen program are undone and the settings are back.
full = r"printf '\033[?1049h\033[?25l\033[?1002;1006h\033[?2004h\033[1;31m'; echo up; "


def undone(t):
    t.read(0.3)
    for mode in (b"?1049l", b"?25h", b"?1002l", b"?1006l", b"?2004l", b"0m"):
        check("undone " + mode.decode(), b"\x1b[" + mode in t.all[t.all.rindex(b"up"):], t)
    check("the settings", termios.tcgetattr(t.slave) == t.before, t)


def sandbox_init(pid):
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        if re.search(r"^NSpid:.*\s1$", open(f"/proc/{child}/status").read(), re.M):
            return int(child)


t = Terminal(["sbx-shell", *degraded, "--time", "1s", "--grace", "0", "ws", "--", "sh", "-c", full + "exec sleep 100"], env=env)
t.expect("up\r")
t.expect("wall clock limit of 1 s reached")
t.close(124)
undone(t)
for how in ("sandbox", "daemon", "TERM", "KILL"):
    t = Terminal(["sbx-shell", *degraded, "ws", "--", "sh", "-c", full + "exec sleep 100"], env=env)
    t.expect("up\r")
    pid = t.process.pid
    if how == "sandbox":
        os.kill(sandbox_init(pid), signal.SIGKILL)
    elif how == "daemon":
        subprocess.run("kill -9 $(sbxctl status --json ws | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)[\"pid\"])')", shell=True, check=True)
    else:
        t.process.send_signal(getattr(signal, "SIG" + how))
    t.process.wait(10)
    end = time.time() + 5
    while time.time() < end and termios.tcgetattr(t.slave) != t.before:
        time.sleep(0.02)
    undone(t)
