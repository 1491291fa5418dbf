# Nothing of what is inside can be found outside: markers in contents, names, link targets,
# attributes, arguments, environment and passphrase are searched in every spelling that a mistake
# could leave behind, in the store, the settings, the run records, the logs, in /proc of our
# processes, while a run is going on, after the daemon was killed in the middle, and afterwards.
# run: root user
# needs: fuse userns
# timeout: 120
import base64, ctypes, json, os, re, signal, subprocess, sys, time

WS = os.path.abspath("ws")
DEGRADED = [] if os.environ["MODE"] == "root" and os.environ.get("SBX_CGROUP") else ["--allow-degraded"]
USER = os.getuid() != 0


def fail(text):
    sys.exit("failed: " + text)


def mark(what):
    """One per thing that is hidden: unlike anything else, and without parts of the others."""
    return "zQ" + base64.b32encode(os.urandom(10)).decode().lower() + what


MARKS = {w: mark(w) for w in
         ("content", "sparse", "overwritten", "removed", "file", "longname", "dir", "target", "longtarget",
          "attrname", "attrvalue", "dirattr", "argument", "environment", "passphrase", "input", "output", "data")}


def spellings(text):
    """Every form to look for, with a word for it.  Ends that depend on neighbours are cut off."""
    raw = text.encode()
    yield "raw", raw
    yield "utf-16le", text.encode("utf-16le")[:-1]
    yield "utf-16be", text.encode("utf-16be")[1:]
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "reversed", raw[::-1]
    for shift in range(3):
        for encode, word in ((base64.standard_b64encode, "base64"), (base64.urlsafe_b64encode, "base64url")):
            whole = encode(b"\0" * shift + raw + b"\0" * 3)
            yield "%s+%d" % (word, shift), whole[4 if shift else 0:(shift + len(raw)) // 3 * 4]
    yield "base32", base64.b32encode(raw)[:-6]


NEEDLES = {}
for what, text in MARKS.items():
    for word, needle in spellings(text):
        assert len(needle) >= 16
        NEEDLES.setdefault(needle, (what, word))
PATTERN = re.compile(b"|".join(re.escape(n) for n in NEEDLES))


def found_in(data):
    m = PATTERN.search(data)
    return "%s as %s" % NEEDLES[m.group()] if m else None


def expect_clean(place, data):
    hit = found_in(data)
    if hit:
        fail("%s: holds the marker of %s" % (place, hit))


def search_tree(top):
    """Names, targets, attributes and contents of all that is below."""
    files = size = 0
    for d, dirs, names in os.walk(top):
        for n in [""] + dirs + names:
            path = os.path.join(d, n)
            expect_clean("a name in " + d, os.fsencode(n))
            if os.path.islink(path):
                expect_clean(path, os.fsencode(os.readlink(path)))
                continue
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    data = f.read()
                expect_clean(path, data)
                files, size = files + 1, size + len(data)
            try:
                for x in os.listxattr(path, follow_symlinks=False):
                    expect_clean("an attribute's name of " + path, os.fsencode(x))
                    expect_clean("an attribute of " + path, os.getxattr(path, x, follow_symlinks=False))
            except OSError:
                pass
    return files, size


def self_test():
    """The search finds what is there."""
    for needle, where in NEEDLES.items():
        if not found_in(b"xx" + needle + b"yy"):
            fail("the search is blind for %s as %s" % where)
    for shift in range(3):
        text = base64.standard_b64encode(b"abc"[:shift] + MARKS["content"].encode() + b"tail")
        if not found_in(text):
            fail("the search is blind for base64 at %d" % shift)


def run(*argv, **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(argv, capture_output=True, text=True, **kw)


def must(*argv, **kw):
    r = run(*argv, **kw)
    if r.returncode:
        fail("%s: %s%s" % (" ".join(argv)[:80], r.stdout, r.stderr))
    return r.stdout


INSIDE = r'''
import json, os, sys
m = json.load(sys.stdin)
os.chdir("/workspace")
os.makedirs(m["dir"], exist_ok=True)
def put(path, text, sync):
    f = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    os.write(f, text.encode())
    if sync:
        os.fsync(f)
    return f
for i in range(40):
    put("%s/%s.%d" % (m["dir"], m["file"], i), (m["content"] + "\n") * (1 + i * 37), i % 3 == 0)
f = put("overwritten", (m["overwritten"] + " ") * 2000, True)
os.pwrite(f, m["overwritten"].encode() * 300, 5000); os.fsync(f)
f = put("sparse", "", False)
for i in range(0, 60, 3):
    os.pwrite(f, m["sparse"].encode(), i * 4096 + 11)
os.fsync(f); os.truncate("sparse", 100000)
f = put(m["removed"], m["removed"] * 1000, True); os.unlink(m["removed"])
long = (m["longname"] * 8)[:240]
put(long, m["content"], True)
put("before", m["content"], True); os.rename("before", m["file"])
for name, target in (("link", m["target"]), ("longlink", m["longtarget"] * 90)):
    if not os.path.lexists(name):
        os.symlink(target, name)
os.setxattr(m["file"], "user." + m["attrname"], m["attrvalue"].encode())
os.setxattr(m["dir"], "user." + m["attrname"], m["dirattr"].encode())
sys.stderr.write(m["output"] + "\n")
print("written", flush=True)
open("/workspace/go", "w").close()
while os.path.exists("/workspace/go"):
    # rewriting for ever, so that a kill comes in the middle
    with open("%s/%s.busy" % (m["dir"], m["file"]), "wb", buffering=0) as f:
        for i in range(50):
            f.write(m["content"].encode() * 500)
        os.fsync(f.fileno())
'''


def session(*more):
    """A run that has written everything and goes on writing."""
    env = dict(os.environ, SECRET=MARKS["environment"])
    p = subprocess.Popen(["sbx-shell", *DEGRADED, "--quiet", *more, WS, "--", "/usr/bin/python3", "-c", INSIDE,
                          MARKS["argument"]],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    p.stdin.write(json.dumps(MARKS).encode())
    p.stdin.close()
    if p.stdout.readline() != b"written\n":
        fail("writing: %s" % p.stderr.read().decode()[-400:])
    return p


def places():
    yield WS
    yield os.path.join(os.environ["HOME"], ".local")
    yield os.path.join(os.environ["HOME"], ".config")
    if "XDG_STATE_HOME" in os.environ:
        yield os.environ["XDG_STATE_HOME"]


def search_everywhere(when):
    files = size = 0
    for top in places():
        f, s = search_tree(top)
        files, size = files + f, size + s
    for name in ("unix", "net/unix"):
        try:
            with open("/proc/" + name, "rb") as f:
                expect_clean("/proc/" + name, f.read())
        except OSError:
            pass
    print("%s: %d files, %d KiB searched for %d spellings" % (when, files, size // 1024, len(NEEDLES)))
    return files


def daemon():
    with open(WS + "/lock") as f:
        return json.load(f)["pid"]


def read_proc(pid, name):
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            return f.read()
    except OSError:
        return b""


def our_processes(supervisor):
    """The supervisor, the daemon, their helpers; not what runs inside."""
    d, out = daemon(), {supervisor}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        stat = read_proc(int(pid), "stat").decode(errors="replace")
        if not stat:
            continue
        parent = int(stat[stat.rindex(")"):].split()[2])
        if int(pid) == d or parent == d:
            out.add(int(pid))
    return d, out


def search_processes(supervisor):
    d, pids = our_processes(supervisor)
    if len(pids) < 3:
        fail("the daemon and its helpers are not found: %r" % pids)
    for pid in pids:
        for name in ("cmdline", "environ", "comm", "maps", "limits", "mountinfo", "stack", "wchan"):
            if pid == supervisor and name in ("cmdline", "environ"):
                continue  # its caller's own words
            expect_clean("/proc/%d/%s (%s)" % (pid, name, read_proc(pid, "comm").decode().strip()),
                         read_proc(pid, name))
        for fd in os.listdir("/proc/%d/fd" % pid) if not USER else ():
            try:
                expect_clean("a descriptor of %d" % pid, os.fsencode(os.readlink("/proc/%d/fd/%s" % (pid, fd))))
            except OSError:
                pass
    return d


def status_of(pid):
    return dict(line.split(":", 1) for line in read_proc(pid, "status").decode().splitlines() if ":" in line)


def kib(text):
    return int(text.split()[0])


def check_memory(d):
    """No core, no tracing, locked, nothing in the swap."""
    limits = read_proc(d, "limits").decode()
    if not re.search(r"^Max core file size +[01] +[01] ", limits, re.M):
        if not USER or limits:
            fail("the daemon may dump core: %s" % limits)
    s = status_of(d)
    if kib(s["VmSwap"]) != 0:
        fail("the daemon has pages in the swap")
    if kib(s["VmLck"]) < 4:
        fail("the daemon has no locked memory: %s" % s["VmLck"])
    if s["NoNewPrivs"].strip() != "1" or s["Seccomp"].strip() != "2":
        fail("the daemon is not confined")
    st = json.loads(must("sbxctl", "status", WS, "--json"))
    if st["keys_locked"] is not True:
        fail("its keys are not locked")
    if not USER and st["memory_locked"] is not True:
        fail("root's daemon is not locked as a whole")
    if not USER:
        regions = re.findall(rb"^VmFlags: (.*)$", read_proc(d, "smaps"), re.M)
        writable = [r for r in regions if b" wr " in b" " + r + b" "]
        if not writable or not all(b" lo" in b" " + r for r in writable):
            fail("some writable memory of the daemon is not locked")
        if not any(b"dd" in r.split() for r in writable):
            fail("no memory of the daemon is excluded from dumps")


def check_not_traceable(d):
    """For a process of the same user that has no privilege."""
    if not USER:
        return
    if os.stat("/proc/%d/mem" % d).st_uid != 0:
        fail("the daemon is dumpable")
    for name in ("mem", "environ", "maps", "auxv", "io", "smaps"):
        try:
            with open("/proc/%d/%s" % (d, name), "rb") as f:
                f.read(1)
            fail("/proc/F/%s can be read" % name)
        except OSError:
            pass
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (16, 0x4206):  # ATTACH, SEIZE
        if libc.ptrace(request, d, None, None) == 0:
            fail("the daemon can be traced")
    buf = ctypes.create_string_buffer(8)

    class iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    local, remote = iovec(ctypes.addressof(buf), 8), iovec(0x400000, 8)
    if libc.process_vm_readv(d, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) >= 0 or \
            ctypes.get_errno() != 1:
        fail("process_vm_readv: errno %d, not EPERM" % ctypes.get_errno())
    fd = libc.syscall(434, d, 0)  # pidfd_open
    if libc.syscall(438, fd, 0, 0) >= 0:  # pidfd_getfd
        fail("descriptors of the daemon can be taken")


def control():
    """It is all there for who has the key."""
    text = must("sbx-shell", *DEGRADED, "--quiet", WS, "--", "sh", "-c",
                "rm -f /workspace/go; cd /workspace; cat %s/*.3; ls; readlink link" % MARKS["dir"])
    for what in ("content", "dir", "file", "longname", "target"):
        if MARKS[what] not in text:
            fail("the control is not readable inside: %s" % what)


def settle():
    for _ in range(500):
        if subprocess.run(["flock", "-n", WS + "/lock", "true"]).returncode == 0:
            return
        time.sleep(0.02)
    fail("still served")


def end(p):
    p.kill()
    p.communicate()


self_test()
must("sbxctl", "init", WS, "--cipher", "xchacha20")
with open(os.open("pass", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
    f.write(MARKS["passphrase"] + "\n")
must("sbxctl", "key", "add", WS, "--new-passphrase-file", "pass")
os.mkdir("plain")
with open("plain/table", "w") as f:
    f.write(MARKS["data"])
must("sbxctl", "dataset", "add", WS, "d", os.path.abspath("plain"))

p = session("--env", "SECRET")
search_everywhere("during a run")
d = search_processes(p.pid)
check_memory(d)
check_not_traceable(d)
must("sbxctl", "ps", WS)
expect_clean("ps", must("sbxctl", "ps", WS, "--json").encode())

# The daemon is killed while it writes.
os.kill(d, signal.SIGKILL)
p.wait()
settle()
search_everywhere("after the daemon was killed")
control()
settle()
search_everywhere("after recovery")

# A daemon that fails badly leaves no image of itself.
p = session("--env", "SECRET")
d = daemon()
os.kill(d, signal.SIGSEGV)
p.wait()
settle()
for where in ("/", WS, os.getcwd(), os.environ["HOME"]):
    cores = [n for n in os.listdir(where) if n.startswith("core") and not os.path.isdir(os.path.join(where, n))]
    if cores:
        fail("a core file in %s" % where)
control()

# An ordinary end: run records, logs, settings.
p = session("--env", "SECRET")
os_go = must("sbx-shell", *DEGRADED, "--quiet", WS, "--", "rm", "/workspace/go")
if p.wait() != 0:
    fail("the last run: %s" % p.stderr.read().decode()[-300:])
settle()
if search_everywhere("at the end") < 50:
    fail("nothing was searched")
if not os.listdir(WS + "/runs"):
    fail("there are no run records to search")

# The identity is outside of the workspace, for its owner alone.
identity = [os.path.join(t, n) for t, _, names in os.walk(os.environ["HOME"]) for n in names if n == "identity.json"]
if len(identity) != 1 or os.stat(identity[0]).st_mode & 0o777 != 0o600 or identity[0].startswith(WS + "/"):
    fail("the identity: %r" % identity)
