/* Each layer is tried in a child of its own, which is thrown away: what a file in /proc says about
 * a feature and what a container's filter lets through are two things. */
#include "sandbox/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/caps.h"
#include "sandbox/cgroup.h"
#include "sandbox/degrade.h"
#include "sandbox/devices.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/mnt.h"
#include "sandbox/netns.h"
#include "sandbox/userns.h"

/* What a trial in a child found; crosses a pipe. */
struct finding {
	int code;
	struct err err;
};

typedef int (*trial)(struct err *err);

/* Run 'fn' in a child.  With 'inside' the child is first put into new user, mount, pid and network
 * namespaces with its ids mapped. */
static int try_in_child(trial fn, bool inside, struct err *err)
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

/* ---- the trials ---- */

static int try_nothing(struct err *err)
{
	return 0;
}

static int try_second_level(struct err *err)
{
	return userns_second_level(1000, err);
}

/* The order of the real thing: private, new root, clones of the host, new /proc. */
static int try_mounts(struct err *err)
{
	const struct mnt_tmpfs t = { .bytes = 1 << 20, .inodes = 64, .mode = "0755" };
	autoclose int root = -1, here = -1;
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, -errno, "make mounts private");
	root = mnt_new_tmpfs(&t, err);
	if (root < 0)
		return root;
	here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = here < 0 ? err_set(err, -errno, "open /") : mnt_move(root, here, "/", err);
	if (r == 0)
		r = mnt_show(root, "/usr", "/usr", MNT_BASE | MOUNT_ATTR_RDONLY, err);
	if (r == 0)
		r = devices_dev(root, err);
	return r;
}

/* A new /proc belongs to a new pid namespace, which only children are in. */
static int try_proc_in_child(struct err *err)
{
	const struct mnt_tmpfs t = { .bytes = 1 << 20, .inodes = 64, .mode = "0755" };
	autoclose int root = mnt_new_tmpfs(&t, err);
	autoclose int here = -1, proc = -1;
	int r;

	if (root < 0)
		return root;
	here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = here < 0 ? err_set(err, -errno, "open /") : mnt_move(root, here, "/", err);
	if (r < 0)
		return r;
	proc = devices_proc(root, err);
	return proc < 0 ? proc : 0;
}

static int try_proc(struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || unshare(CLONE_NEWPID) < 0)
		return err_set(err, -errno, "make a process namespace");
	return try_in_child(try_proc_in_child, false, err);
}

static int try_filters(struct err *err)
{
	int r = caps_no_new_privs(err);

	if (r == 0)
		r = filter_load(&filter_allow, err);
	if (r == 0)
		r = filter_load(&filter_deny, err);
	/* Loaded is one thing, in force another. */
	if (r == 0 && (unshare(CLONE_NEWUTS) == 0 || errno != EPERM))
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

/* Opened inside: a descriptor from outside would be refused. */
static int try_fuse(struct err *err)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char opts[80];

	if (fd < 0)
		return err_set(err, -errno, "open /dev/fuse");
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("sbx-probe", "/tmp", "fuse", MS_NOSUID | MS_NODEV, opts) < 0)
		return err_set(err, -errno, "mount a FUSE file system in a user namespace");
	return 0;
}

/* ---- the rows ---- */

struct row {
	const char *name;
	trial fn;
	bool inside;
	const char *detail; /* when it works */
	const char *fix;    /* when it does not; NULL: the error says it */
};

static const struct row rows[] = {
	{ "user namespaces", try_nothing, true, "can be made", NULL },
	{ "nested user namespace", try_second_level, true, "can be made", NULL },
	{ "mounts", try_mounts, true, "detached mounts work",
	  "Linux 5.12 or later is needed, and no container filter that refuses the mount calls" },
	{ "private /proc", try_proc, true, "can be mounted", NULL },
	{ "loopback", netns_loopback_up, true, "comes up",
	  "allow network namespaces to users of this host" },
	{ "FUSE", try_fuse, true, "mounts in a user namespace",
	  "load the module ('modprobe fuse') and make /dev/fuse readable and writable for all "
	  "('chmod 666 /dev/fuse', as udev does); in a container pass '--device /dev/fuse'" },
	{ "system call filter", try_filters, false, "in force",
	  "a kernel with CONFIG_SECCOMP_FILTER is needed" },
};

static void fill(struct probe_result *p, const char *name, enum probe_state state,
		 const char *detail, const char *fix)
{
	p->name = name;
	p->state = state;
	snprintf(p->detail, sizeof(p->detail), "%.199s", detail);
	snprintf(p->fix, sizeof(p->fix), "%.299s", state == PROBE_OK || !fix ? "" : fix);
}

static void probe_row(const struct row *row, struct probe_result *ret)
{
	struct err err = { 0 };
	int r = try_in_child(row->fn, row->inside, &err);

	if (r == 0)
		fill(ret, row->name, PROBE_OK, row->detail, NULL);
	else
		fill(ret, row->name, PROBE_MISSING, row->fix ? err.text : "not possible here",
		     row->fix ? row->fix : err.text);
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
		fill(ret, "landlock", PROBE_DEGRADED, "not offered by this kernel", fix);
	else if (try_in_child(try_landlock, false, &err) < 0)
		fill(ret, "landlock", PROBE_DEGRADED, err.text, fix);
	else
		fill(ret, "landlock", PROBE_OK, detail, NULL);
}

/* Make a leaf with limits, and remove it. */
static size_t probe_cgroups(struct probe_result *ret, size_t max)
{
	static const char *const modes[] = { "none", "v2", "v1 and v2 hybrid", "v1" };
	const struct plan_limits limits = { .memory_bytes = 64 << 20,
					    .pids = 64,
					    .cpu_milli = 500 };
	struct cgroup_powers none = { 0 };
	const struct cgroup_powers *p = &none;
	struct cgroup *cg = NULL;
	struct err err = { 0 };
	char detail[64], fix[300];
	int r = cgroup_prepare("probe", &cg, &err);

	if (r == 0)
		r = cgroup_make(cg, &limits, true, &err);
	if (r == 0)
		p = cgroup_get_powers(cg);
	snprintf(fix, sizeof(fix), "%.299s", r < 0 ? err.text : degrade_cgroup_remedy());
	const struct {
		const char *name;
		bool ok;
		enum probe_state otherwise;
		const char *instead;
	} parts[] = {
		{ "cgroup memory", p->memory, PROBE_DEGRADED,
		  "not writable: a memory limit could only be polled" },
		{ "cgroup pids", p->pids, PROBE_OK,
		  "not writable: the limit of the user namespace (RLIMIT_NPROC) is used" },
		{ "cgroup cpu", p->cpu, PROBE_DEGRADED, "not writable: --cpus cannot be enforced" },
	};
	size_t n = 0;

	snprintf(detail, sizeof(detail), "%s, writable", modes[p->mode]);
	for (; n < ARRAY_LEN(parts) && n < max; n++)
		fill(&ret[n], parts[n].name, parts[n].ok ? PROBE_OK : parts[n].otherwise,
		     parts[n].ok ? detail : parts[n].instead, fix);
	if (cg)
		cgroup_remove(cg);
	cgroup_free(cg);
	return n;
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
