# sbxctl doctor finds what is missing: each layer is really taken away, the row and its remedy must say so, and the others stay.
# run: root
# needs: fuse userns
# timeout: 120
import json
import os
import subprocess
import sys

lib = os.environ["SBX_SRC"] + "/tests/lib"
user = "sbxtest"


def fail(text):
    sys.exit("failed: " + text)


def doctor(*before):
    r = subprocess.run([*before, "sbxctl", "doctor", "--json"], capture_output=True, text=True)
    if not r.stdout:
        fail(f"{before}: exit {r.returncode}: {r.stderr}")
    d = json.loads(r.stdout)
    return r.returncode, {c["name"]: c for c in d["checks"]}


def in_mounts(script, *more):
    """With a view of the files of its own, changed by 'script'."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-euc", script + '; exec "$@"', "sh", *more)


def as_user(*cmd):
    return ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", *cmd)


def deny(names, code):
    return (sys.executable, lib + "/deny.py", names, code)


code, rows = doctor()
here = {n for n, c in rows.items() if c["state"] != "ok"}
as_user_here = {n for n, c in doctor(*as_user())[1].items() if c["state"] != "ok"}

FUSE, CGROUPS = {"FUSE"}, {"cgroup memory", "cgroup cpu"}
ALL_NS = {"user namespaces", "other namespaces", "nested user namespace", "mounts", "private /proc", "network", "process namespace", "FUSE"}


def expect(what, before, state, names, words, base=here, beside=()):
    """'names' and nothing else became 'state'; the rows of 'names' together say 'words'."""
    code, rows = doctor(*before)
    bad = {n for n, c in rows.items() if c["state"] != "ok"}
    if not names <= bad:
        fail(f"{what}: {sorted(names - bad)} should not be ok: {rows}")
    if bad - names - base - set(beside):
        fail(f"{what}: {sorted(bad - names - base)} should be ok: " + str([rows[n] for n in bad - names - base]))
    for n in names - base:
        if rows[n]["state"] != state:
            fail(f"{what}: {n} is {rows[n]['state']}, not {state}")
        if not rows[n]["fix"] or not rows[n]["detail"]:
            fail(f"{what}: {n} has no cause or no remedy: {rows[n]}")
    said = " ".join(rows[n]["detail"] + " " + rows[n]["fix"] for n in names)
    for w in words:
        if w not in said:
            fail(f"{what}: '{w}' is not said: {said}")
    if any(rows[n]["state"] == "missing" for n in rows):
        want = 6
    else:
        want = 1
    if code != want:
        fail(f"{what}: exit {code}, not {want}")


# User namespaces: the limit of the host; refused by a filter; the other kinds.
sysctl = ("unshare", "--user", "--map-root-user", "sh", "-euc", 'echo %s; exec "$@"', "sh")
expect("no user namespaces", [w.replace("%s", "0 >/proc/sys/user/max_user_namespaces") for w in sysctl], "missing",
       ALL_NS, ["user.max_user_namespaces", "sysctl -w"], beside={*CGROUPS, "cgroup pids", "locked memory"})
expect("no network namespaces", [w.replace("%s", "0 >/proc/sys/user/max_net_namespaces") for w in sysctl], "missing",
       ALL_NS, ["/proc/sys/user"], beside={*CGROUPS, "cgroup pids", "locked memory"})
expect("no pid namespaces", [w.replace("%s", "0 >/proc/sys/user/max_pid_namespaces") for w in sysctl], "missing",
       {"other namespaces", "private /proc", "process namespace"}, ["'pid'", "/proc/sys/user"],
       beside={*CGROUPS, "cgroup pids", "locked memory"})
expect("a filter refuses user namespaces", deny("unshare-user,clone-user,clone3", "EPERM"), "missing", ALL_NS,
       ["filter of a surrounding container", "seccomp=unconfined"])

# Mounts, and /proc as containers cover it.
expect("no mount calls", deny("open_tree,move_mount,fsopen,mount_setattr", "ENOSYS"), "missing", {"mounts", "private /proc"},
       ["Linux 5.12"])
expect("a covered /proc", in_mounts("mount -t tmpfs tmpfs /proc/irq"), "missing", {"private /proc"},
       ["covered", "unmask=ALL", "systempaths=unconfined"])

# /dev/fuse: not there, another device, not for users.
expect("no /dev/fuse", in_mounts("""
    mkdir fewer; mount -t tmpfs tmpfs fewer
    for n in null zero full random urandom tty; do touch fewer/$n; mount --bind /dev/$n fewer/$n; done
    mkdir fewer/pts fewer/shm; mount --bind /dev/pts fewer/pts; ln -s pts/ptmx fewer/ptmx
    ln -s /proc/self/fd fewer/fd
    mount --move fewer /dev"""), "missing", FUSE, ["modprobe fuse", "--device /dev/fuse"])
expect("/dev/fuse is something else", in_mounts("mount --bind /dev/null /dev/fuse"), "missing", FUSE,
       ["over /dev/fuse", "10, 229"])
expect("/dev/fuse is root's", in_mounts("touch f; mount --bind f f; rm -f f2; mknod -m 600 f2 c 10 229; mount --bind f2 /dev/fuse",
                                        *as_user()), "missing", FUSE, ["chmod 666", "udev"], base=as_user_here)

# Filters and Landlock.
expect("no filters", deny("seccomp", "EINVAL"), "missing", {"system call filter"}, ["CONFIG_SECCOMP_FILTER"])
expect("no Landlock", deny("landlock_create_ruleset", "ENOSYS"), "degraded", {"landlock"}, ["lsm=landlock"])

# Control groups that cannot be written.
if not here & CGROUPS:
    read_only = "grep -o ' /sys/fs/cgroup[^ ]*' /proc/self/mountinfo | sort -u | while read -r m; do mount -o remount,bind,ro $m; done"
    expect("read-only control groups", in_mounts(read_only), "degraded", CGROUPS, ["read-write"])

# What users need.
expect("no fusermount3", in_mounts("touch n; chmod 644 n; mount --bind n $(readlink -f $(command -v fusermount3))", *as_user()), "degraded",
       {"fusermount3"}, ["fuse3", "install"], base=as_user_here)
expect("locked memory", ("prlimit", "--memlock=4096", *as_user()), "degraded", {"locked memory"}, ["memlock", "limits.conf"],
       base=as_user_here)

# AppArmor's restriction: simulated as far as it goes without that kernel, a namespace with no rights in it.
lie = "mkdir k; mount -t tmpfs tmpfs /proc/sys/kernel; echo 1 >/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
expect("AppArmor", in_mounts(lie, *as_user(), *deny("unshare-user,clone-user,clone3", "EPERM")), "missing", ALL_NS - FUSE,
       ["AppArmor", "apparmor_parser -r", "/etc/apparmor.d/sbx", "kernel.apparmor_restrict_unprivileged_userns=0"], base=as_user_here | FUSE)
