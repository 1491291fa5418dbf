"""Assertions for cases in Python; the first that does not hold ends the case."""
import os, subprocess, sys

# As in common.sh: without a cgroup of our own, limits are degraded and must be accepted as such.
limits_enforced = os.environ["MODE"] == "root" and bool(os.environ["SBX_CGROUP"])
degraded = [] if limits_enforced else ["--allow-degraded"]


def fail(what):
    print("failed: " + str(what), file=sys.stderr)
    sys.exit(1)


def check(fact, what):
    if not fact:
        fail(what)


def equal(got, want, what):
    if got != want:
        fail("%s: got %r, expected %r" % (what, got, want))


def run_ok(*cmd, **kw):
    p = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)
    if p.returncode != 0:
        fail("%s exited %d: %s" % (" ".join(cmd), p.returncode, p.stdout.decode()[-800:]))
    return p.stdout.decode()
