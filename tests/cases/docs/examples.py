# Every example of --help, which is every example of the man pages, works as printed.
# run: root user
# needs: fuse userns fusermount3
# timeout: 120
import os, pty, re, shlex, subprocess, sys, time

degraded = "" if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else "--allow-degraded"


def run(line, **kw):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)


def verbs():
    """All commands of sbxctl, by its own word."""
    text = run("sbxctl --help").stdout.split("Commands:")[1]
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?=  |$)", text, re.M)


def examples(program):
    r = run(program + " --help")
    if r.returncode != 0 or not r.stdout:
        sys.exit(f"failed: {program} --help: exit {r.returncode}")
    text = r.stdout.split("Examples:\n")
    return re.findall(r"^  (\S.*)$", text[1], re.M) if len(text) > 1 else []


def on_terminal(line):
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "-c", line])
    os.write(master, b"echo $((40+2)); exit\r")
    shown, end = b"", time.time() + 15
    while time.time() < end:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        shown += data
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


# What the examples suppose: a workspace called WS or ws, scripts in it, a place for libraries.
pub = None
for ws in ("WS", "ws"):
    if run(f"sbxctl init {ws} --cipher xchacha20").returncode != 0:
        sys.exit("failed: init")
    script = "cat > /workspace/$0; chmod 755 /workspace/$0"
    for name in ("analysis.py", "fit.py"):
        subprocess.run(["sbx-shell", *shlex.split(degraded), "--quiet", ws, "--", "sh", "-c", script, name],
                       input="print('fitted')\n", text=True, check=True)
os.makedirs("env/bin")
os.symlink("/usr/bin/python3", "env/bin/python3")
os.mkdir("view")
# Kernels to wrap; whether they would start is what tests/cases/jupyter is about.
for name in ("python3", "ir"):
    os.makedirs(f"jupyter/kernels/{name}")
    with open(f"jupyter/kernels/{name}/kernel.json", "w") as f:
        f.write('{"argv": ["/usr/bin/env", "{connection_file}"], "display_name": "%s", "language": "any"}' % name)
os.environ["JUPYTER_PATH"] = os.getcwd() + "/jupyter"
subprocess.run(["tar", "-czf", "tables.tar.gz", "-C", "/usr/share", "perl"], check=True)
done, bad = [], 0
lines = [("sbx-shell", e) for e in examples("sbx-shell")]
for verb in verbs():
    lines += [(verb, e) for e in examples("sbxctl " + verb)]
if len(lines) < 10:
    sys.exit(f"failed: too few examples: {lines}")
for verb, line in lines:
    text = line
    if verb == "init":
        text = re.sub(r"\bws\b", "made-ws", text)
    if verb == "umount":
        run("sbxctl mount ws view")
    if verb.startswith("dataset") and verb != "dataset add":
        run("sbxctl dataset add ws words /usr/share/perl")
        run("sbxctl dataset add ws wine /usr/share/perl")
    text = text.replace("/usr/share/dict", "/usr/share/perl")
    text = re.sub(r"^sbx-shell", f"sbx-shell {degraded}".strip(), text)
    if verb == "kill":
        sleeper = subprocess.Popen(["sbx-shell", *shlex.split(degraded), "ws", "--", "sleep", "30"],
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        runs = run("sbxctl ps --json").stdout
        ids = re.findall(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+", runs)
        text = re.sub(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]+", ids[0] if ids else "none", text)
    if "sbx-pub-" in text:
        pub = re.findall(r"sbx-pub-\S+", run("sbxctl key show").stdout)
        other = run("HOME=$PWD/other sbxctl key show").stdout
        pub = re.findall(r"sbx-pub-\S+", other)
        text = re.sub(r"sbx-pub-\S*", pub[0], text)
    if re.fullmatch(r"sbx-shell( --allow-degraded)? +(WS|ws)", text.strip()):
        code, shown = on_terminal(text)
        good = code == 0 and "42" in shown
        said = shown
    else:
        r = run(text)
        # doctor says by its code what is missing here.
        good = r.returncode == 0 or (verb == "doctor" and r.returncode in (1, 6))
        said = r.stdout + r.stderr
    if verb == "mount" and good:
        run("sbxctl umount view")
    if verb == "kill":
        sleeper.wait(10)
    print(f"{'ok ' if good else 'BAD'} {text}")
    if not good:
        print("    " + said[-400:].replace("\n", "\n    "))
        bad += 1
sys.exit(f"failed: {bad} examples do not work as printed" if bad else 0)
