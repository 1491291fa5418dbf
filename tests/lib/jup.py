"""Jupyter kernels in a sandbox, driven by jupyter_client as every front end does."""
import json, os, subprocess, sys, time

from checks import degraded, fail, run_ok  # noqa: F401


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def install(ws, *options, name="sbx", kernel="python3"):
    run_ok("sbxctl", "kernel", "install", ws, "--from", kernel, "--name", name, *degraded, *options)
    return name


def new_ws(ws, *options):
    run_ok("sbxctl", "init", ws, "--cipher", "xchacha20", *options)


class Kernel:
    """One kernel and one client of it."""

    def __init__(self, name="sbx", cwd=None, **kw):
        from jupyter_client.manager import KernelManager
        self.log = open("server.log", "ab+")
        self.log.seek(0, 2)
        self.at = self.log.tell()
        self.km = KernelManager(kernel_name=name)
        self.km.start_kernel(cwd=cwd, stderr=self.log, stdout=self.log, **kw)
        self.connect()

    def connect(self):
        self.kc = self.km.blocking_client()
        self.kc.start_channels()
        self.kc.wait_for_ready(timeout=60)

    @property
    def pid(self):
        return self.km.provisioner.process.pid

    def words(self):
        """What was written to the server's log since the start."""
        with open("server.log", "rb") as f:
            f.seek(self.at)
            return f.read().decode("utf-8", "replace")

    def run(self, code, timeout=60, **kw):
        """Returns the reply's content and all that came for the cell: [(type, content)]."""
        seen = []
        reply = self.kc.execute_interactive(
            code, timeout=timeout, output_hook=lambda m: seen.append((m["msg_type"], m["content"])), **kw)
        return reply["content"], seen

    def out(self, code, timeout=60):
        """What the cell printed; it must not fail."""
        reply, seen = self.run(code, timeout)
        if reply["status"] != "ok":
            fail("%r: %s" % (code, "\n".join(reply.get("traceback", [])) or reply))
        return "".join(c["text"] for t, c in seen if t == "stream")

    def ended(self, seconds=5):
        """The exit code of the launcher, which must end by itself."""
        p = self.km.provisioner.process
        end = time.monotonic() + seconds
        while p.poll() is None:
            if time.monotonic() > end:
                fail("the launcher still runs after %s s" % seconds)
            time.sleep(0.02)
        return p.returncode

    def stop(self, **kw):
        self.kc.stop_channels()
        self.km.shutdown_kernel(**kw)


def descendants(pid):
    """As pidtree finds them."""
    try:
        children = open("/proc/%d/task/%d/children" % (pid, pid)).read().split()
    except OSError:
        return []
    found = []
    for c in map(int, children):
        found += [c] + descendants(c)
    return found


def wait_until(what, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False
