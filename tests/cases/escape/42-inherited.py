# Attack 42: a thousand open descriptors, a directory and an environment of the caller: none of it comes in.
# run: root user degraded
# needs: fuse userns
import os, resource, subprocess, sys

build = os.environ["SBX_BUILD"]
degraded = [] if os.environ["MODE"] == "root" and os.environ["SBX_CGROUP"] else ["--allow-degraded"]
subprocess.run(["sbxctl", "init", "ws", "--cipher", "xchacha20"], check=True, stdout=subprocess.DEVNULL)
program = os.path.join(build, "tests/escape/inherited")

resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
null, top = os.open("/dev/null", os.O_RDWR), os.open("/", os.O_RDONLY)
for fd in range(3, 1024):
    try:
        os.fstat(fd)
    except OSError:
        os.dup2(top if fd % 7 == 0 else null, fd)
    os.set_inheritable(fd, True)
os.makedirs("gone")
env = dict(os.environ, SECRET_OF_HOST="1", HOST_DIR=os.path.abspath("gone"), SSH_AUTH_SOCK="/run/x",
           LD_LIBRARY_PATH="/nonexistent")


def run(what, *argv):
    r = subprocess.run([*argv], env=env, cwd="gone", close_fds=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    print(what, r.stdout, r.stderr)
    if r.returncode or "BAD  " in r.stdout or r.stdout.count("ok ") < 5:
        sys.exit(f"failed: {what}: exit {r.returncode}")


run("control:", program, "control")
run("inside:", "sbx-shell", *degraded, "--quiet", "--env", "HOST_DIR", "--ro", os.path.dirname(program) + ":/opt/escape",
    "../ws", "--", "/opt/escape/inherited")
# The working directory of the caller is removed before the start.
ws = os.path.abspath("ws")
os.chdir("gone")
os.rmdir("../gone")
env["HOST_DIR"] = "/nonexistent"
r = subprocess.run(["sbx-shell", *degraded, "--quiet", ws, "--", "pwd"], env=env, close_fds=False, capture_output=True,
                   text=True, stdin=subprocess.DEVNULL)
if (r.returncode, r.stdout) != (0, "/workspace\n"):
    sys.exit(f"failed: from a directory that is gone: {r}")
