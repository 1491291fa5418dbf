/* Each layer is tried in a child of its own, which is thrown away: what a file in /proc says about
 * a feature and what a container's filter lets through are two things. */
#include "sandbox/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/caps.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/probe_try.h"
#include "sandbox/userns.h"

/* What a trial in a child found; crosses a pipe. */
struct finding {
	int code;
	struct err err;
};

int probe_in_child(probe_trial fn, bool inside, struct err *err)
{
	struct finding f = { .code = -EIO };
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	int pipe[2];
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	pid = fork();
	if (pid < 0) {
		close(pipe[0]);
		close(pipe[1]);
		return err_set(err, -errno, "start a process");
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		f.code = 0;
		if (inside && unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0)
			f.code = userns_explain(-errno, &f.err);
		if (f.code == 0 && inside)
			f.code = userns_map(0, 0, uid, gid, &f.err);
		if (f.code == 0)
			f.code = fn(&f.err);
		fd_write_full(pipe[1], &f, sizeof(f));
		_exit(0);
	}
	close(pipe[1]);
	if (fd_read_full(pipe[0], &f, sizeof(f)) != (ssize_t)sizeof(f))
		err_set(&f.err, -EIO, "the trial ended without a word.");
	close(pipe[0]);
	waitpid(pid, NULL, 0);
	if (f.code < 0 && err)
		*err = f.err;
	return f.code;
}

/* ---- the trials, see also probe_ns.c ---- */

static int try_nothing(struct err *err)
{
	return 0;
}

/* Calls that an ordinary process may make and a payload may not: true when one went through. */
static bool outlawed_call(size_t i)
{
	struct io_uring_params uring = { 0 };

	switch (i) {
	case 0:
		return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1) >= 0;
	case 1:
		return syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) >= 0;
	case 2:
		return syscall(SYS_io_uring_setup, 1, &uring) >= 0;
	case 3:
		return unshare(CLONE_NEWUSER) == 0;
	default:
		return false;
	}
}

static int try_filters(struct err *err)
{
	bool before[4];
	int r = caps_no_new_privs(err), controls = 0;

	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		controls += before[i] = outlawed_call(i);
	if (r == 0)
		r = filter_load(&filter_allow, err);
	if (r == 0)
		r = filter_load(&filter_deny, err);
	/* Loaded is one thing, in force another. */
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(before); i++) {
		if (before[i] && outlawed_call(i))
			r = err_set(err, -EIO, "a loaded filter refused nothing.");
	}
	/* Nothing that worked before: a surrounding filter is stricter than ours. */
	if (r == 0 && !controls && unshare(CLONE_NEWUTS) == 0)
		r = err_set(err, -EIO, "a loaded filter refused nothing.");
	return r;
}

static int try_landlock(struct err *err)
{
	int r = caps_no_new_privs(err);
	struct {
		uint64_t fs;
	} attr = { landlock_rights(1) };
	autoclose int ruleset = -1;

	if (r < 0)
		return r;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_set(err, -errno, "restrict a process with Landlock");
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES
		       ? 0
		       : err_set(err, -EIO, "Landlock refused nothing.");
}

/* ---- the rows ---- */

struct row {
	const char *name;
	probe_trial fn;
	bool inside;
	const char *detail; /* when it holds */
	const char *fix;    /* when it does not; NULL: the sentence of the error has it */
};

static const struct row rows[] = {
	{ "user namespaces", try_nothing, true, "can be made", NULL },
	{ "other namespaces", probe_try_kinds, true, "ipc, uts, cgroup, pid can be made",
	  "a limit in /proc/sys/user is 0, the kernel lacks that kind, or a container's filter "
	  "refuses it" },
	{ "nested user namespace", probe_try_second_level, true, "can be made, and no third",
	  "an administrator raises the limits in /proc/sys/user ('sysctl -w "
	  "user.max_user_namespaces=10000')" },
	{ "mounts", probe_try_mounts, true, "detached mounts work, read-only ones stay so",
	  "Linux 5.12 or later is needed, and no container filter that refuses the mount calls "
	  "(podman, docker: '--security-opt seccomp=unconfined')" },
	{ "private /proc", probe_try_proc, true, "can be mounted", NULL },
	{ "network", probe_try_network, true, "the own loopback, and no way out",
	  "allow network namespaces to users of this host ('sysctl -w "
	  "user.max_net_namespaces=10000')" },
	{ "process namespace", probe_try_end, true, "its end ends all that is in it",
	  "allow process namespaces to users of this host ('sysctl -w "
	  "user.max_pid_namespaces=10000')" },
	{ "FUSE", probe_try_fuse, true, "mounts in a user namespace", NULL },
	{ "system call filter", try_filters, false, "in force",
	  "a kernel with CONFIG_SECCOMP_FILTER is needed" },
};

void probe_fill(struct probe_result *p, const char *name, enum probe_state state,
		const char *detail, const char *fix)
{
	p->name = name;
	p->state = state;
	snprintf(p->detail, sizeof(p->detail), "%.*s", (int)sizeof(p->detail) - 1, detail);
	snprintf(p->fix, sizeof(p->fix), "%.*s", (int)sizeof(p->fix) - 1,
		 state == PROBE_OK || !fix ? "" : fix);
}

/* "cause; remedy." as one sentence has it, in its two parts. */
static void fill_from_sentence(struct probe_result *ret, const char *name, const char *text)
{
	const char *semicolon = strstr(text, "; ");
	char cause[sizeof(ret->detail)];

	if (!semicolon) {
		probe_fill(ret, name, PROBE_MISSING, text, "ask an administrator of this host");
		return;
	}
	snprintf(cause, sizeof(cause), "%.*s", (int)(semicolon - text), text);
	probe_fill(ret, name, PROBE_MISSING, cause, semicolon + 2);
}

/* What open and mount said of /dev/fuse, by cause. */
static void fill_fuse(struct probe_result *ret, int code, const char *text)
{
	const char *fix = "the module may be missing ('modprobe fuse'), or something else lies "
			  "over /dev/fuse: it must be the character device 10, 229";

	if (code == -ENOENT || code == -ENXIO || code == -ENODEV)
		fix = "load the module ('modprobe fuse', and 'echo fuse > "
		      "/etc/modules-load.d/fuse.conf' for every start); in a container pass "
		      "'--device /dev/fuse'";
	else if (code == -EACCES || code == -EPERM)
		fix = "make /dev/fuse readable and writable for all ('chmod 666 /dev/fuse', for "
		      "good: 'KERNEL==\"fuse\", MODE=\"0666\"' in "
		      "/etc/udev/rules.d/99-fuse.rules); in a container pass '--device /dev/fuse'";
	probe_fill(ret, "FUSE", PROBE_MISSING, text, fix);
}

static void probe_row(const struct row *row, struct probe_result *ret)
{
	struct err err = { 0 };
	int r = probe_in_child(row->fn, row->inside, &err);

	if (r == 0)
		probe_fill(ret, row->name, PROBE_OK, row->detail, NULL);
	else if (r == -EOPNOTSUPP ||
		 ((r == -EPERM || r == -EACCES) && row->inside && userns_apparmor(&err)))
		fill_from_sentence(ret, row->name, err.text);
	else if (row->fn == probe_try_fuse)
		fill_fuse(ret, r, err.text);
	else
		probe_fill(ret, row->name, PROBE_MISSING, err.text,
			   row->fix ? row->fix : "ask an administrator of this host");
}

static void probe_landlock(struct probe_result *ret)
{
	static const char fix[] = "boot with 'lsm=landlock,...' and a kernel with "
				  "CONFIG_SECURITY_LANDLOCK (Linux 5.13 or later); until then runs "
				  "need --allow-degraded";
	struct err err = { 0 };
	char detail[32];
	int abi = landlock_abi();

	snprintf(detail, sizeof(detail), "ABI %d", abi);
	if (abi == 0)
		probe_fill(ret, "landlock", PROBE_DEGRADED, "not offered by this kernel", fix);
	else if (probe_in_child(try_landlock, false, &err) < 0)
		probe_fill(ret, "landlock", PROBE_DEGRADED, err.text, fix);
	else
		probe_fill(ret, "landlock", PROBE_OK, detail, NULL);
}

size_t probe_host(struct probe_result *ret, size_t max)
{
	size_t n = 0;

	for (; n < ARRAY_LEN(rows) && n < max; n++)
		probe_row(&rows[n], &ret[n]);
	if (n < max)
		probe_landlock(&ret[n++]);
	return n + probe_cgroups(ret + n, max - n);
}
