/* I, pid 1 of the sandbox: a fork of the supervisor by way of J, never an exec, so nothing of ours
 * can be replaced from inside.  It starts in fresh namespaces with the host's mounts still in view,
 * builds everything, starts W and then only waits (init.c). */
#include "sandbox/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/attach.h"
#include "sandbox/caps.h"
#include "sandbox/devices.h"
#include "sandbox/init.h"
#include "sandbox/netns.h"
#include "sandbox/report.h"
#include "sandbox/rlim.h"
#include "sandbox/rootfs.h"
#include "sandbox/userns.h"
#include "sandbox/view.h"
#include "sandbox/work.h"

struct inside {
	const struct enter *e;
	int tmpfs[ROOTFS_NTMPFS];
	int root, proc;
	int pty, tty; /* outer and inner end */
	int ns[ATTACH_NS];
};

static int wait_mapped(struct inside *in, struct err *err)
{
	char c;

	prctl(PR_SET_NAME, "sbx-init", 0, 0, 0);
	/* End of file: J died, and its own report says why. */
	if (fd_read_full(in->e->mapped, &c, 1) != 1)
		_exit(1);
	return 0;
}

static int become_inner_root(struct inside *in, struct err *err)
{
	/* When root launches, our host id is 0 until here: never for W, and not for the mounts. */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(err, -errno, "become the sandbox's own user");
	/* Undumpable processes cannot open their own /proc files, which the second level writes. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "open the sandbox's own /proc files");
	return caps_no_new_privs(err);
}

static int build_root(struct inside *in, struct err *err)
{
	in->root = rootfs_build(in->e, in->tmpfs, err);
	return in->root < 0 ? in->root : 0;
}

static int build_devices(struct inside *in, struct err *err)
{
	int r = devices_dev(in->root, err);

	if (r == 0)
		r = devices_sys(in->root, err);
	if (r < 0)
		return r;
	in->proc = devices_proc(in->root, err);
	return in->proc < 0 ? in->proc : 0;
}

static int limit_nested(struct inside *in, struct err *err)
{
	return userns_limit_nested(in->proc, err);
}

/* System V segments need no mapping to hold memory: bounded like /dev/shm. */
static int limit_shm(struct inside *in, struct err *err)
{
	char pages[24];
	int r;

	snprintf(pages, sizeof(pages), "%llu",
		 (unsigned long long)in->e->plan->limits.shm_bytes / 4096);
	r = fd_write_attr(in->proc, "sys/kernel/shmall", pages);
	/* Linux < 6.10 gives these settings to the host's root only; a memory cgroup counts them.
	 */
	return r < 0 && r != -EACCES && r != -EPERM && r != -ENOENT
		       ? err_set(err, r, "bound the System V memory of the sandbox")
		       : 0;
}

/* The payload is the first that a full host should end, and it never leaves a core. */
static int mark_expendable(struct inside *in, struct err *err)
{
	int r = fd_write_attr(in->proc, "self/oom_score_adj", "500");

	if (r == 0)
		r = fd_write_attr(in->proc, "self/coredump_filter", "0");
	/* A kernel without core dumps has no such file. */
	return r < 0 && r != -ENOENT ? err_set(err, r, "mark the sandbox as expendable") : 0;
}

static int cover_host(struct inside *in, struct err *err)
{
	return view_cover(in->root, in->proc, &in->e->plan->limits, err);
}

static int mask_proc(struct inside *in, struct err *err)
{
	return devices_mask_proc(in->root, in->proc, err);
}

static int pivot(struct inside *in, struct err *err)
{
	return rootfs_pivot(in->root, err);
}

static int network(struct inside *in, struct err *err)
{
	return netns_loopback_up(err);
}

static int host_name(struct inside *in, struct err *err)
{
	const char *name = in->e->plan->hostname;

	if (sethostname(name, strlen(name)) < 0 || setdomainname("", 0) < 0)
		return err_set(err, -errno, "set the sandbox's host name");
	return 0;
}

/* Keyrings know no namespace: without a session keyring of its own the payload would see the
 * user's. */
static int keyring(struct inside *in, struct err *err)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS &&
	    errno != EPERM)
		return err_set(err, -errno, "start an empty keyring");
	return 0;
}

static int terminal(struct inside *in, struct err *err)
{
	return in->e->plan->tty ? devices_open_pty(in->e->plan, &in->pty, &in->tty, err) : 0;
}

static int wait_go(struct inside *in, struct err *err)
{
	struct order o;
	ssize_t n = recv(in->e->link, &o, sizeof(o), 0);

	/* End of file: S died. */
	if (n <= 0)
		_exit(1);
	if (n != (ssize_t)sizeof(o) || o.kind != ORDER_GO)
		return err_set(err, -EPROTO, "the supervisor gave no order to start.");
	return 0;
}

static int hide_cgroup(struct inside *in, struct err *err)
{
	if (unshare(CLONE_NEWCGROUP) < 0 && errno != EINVAL)
		return err_set(err, -errno, "make the cgroup namespace");
	return 0;
}

static int limit_pids(struct inside *in, struct err *err)
{
	/* With a cgroup this would only hide that the limit was reached: nobody counts it here. */
	return in->e->pids_by_rlimit ? rlim_set_pids(in->e->plan->limits.pids, err) : 0;
}

static int open_namespace(struct inside *in, int which, struct err *err)
{
	static const char *const names[ATTACH_NS] = {
		[ATTACH_USER] = "self/ns/user", [ATTACH_CGROUP] = "self/ns/cgroup",
		[ATTACH_IPC] = "self/ns/ipc",   [ATTACH_UTS] = "self/ns/uts",
		[ATTACH_NET] = "self/ns/net",   [ATTACH_PID] = "self/ns/pid",
		[ATTACH_MNT] = "self/ns/mnt",   [ATTACH_INNER] = "self/ns/user",
	};

	in->ns[which] = openat(in->proc, names[which], O_RDONLY | O_CLOEXEC);
	return in->ns[which] < 0 ? err_set(err, -errno, "open the sandbox's /proc/%s", names[which])
				 : 0;
}

static int outer_namespaces(struct inside *in, struct err *err)
{
	int r = 0;

	for (int i = 0; i < ATTACH_INNER && r == 0; i++)
		r = open_namespace(in, i, err);
	return r;
}

/* For S, which cannot open them itself: we are not dumpable. */
static int lend_namespaces(struct inside *in, struct err *err)
{
	int r = open_namespace(in, ATTACH_INNER, err);

	if (r == 0)
		r = report_send(in->e->link, REPORT_SPACES, 0, in->ns, ATTACH_NS);
	for (int i = 0; i < ATTACH_NS; i++)
		cleanup_close(&in->ns[i]);
	return r < 0 ? err_set(err, r, "pass the namespaces to the supervisor") : 0;
}

static int second_level(struct inside *in, struct err *err)
{
	return userns_second_level(in->e->plan->uid, err);
}

static int undumpable(struct inside *in, struct err *err)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, -errno, "make pid 1 undumpable");
	return 0;
}

/* The order, and why a step cannot be elsewhere. */
static int (*const steps[])(struct inside *, struct err *) = {
	wait_mapped,       /* before the maps are written there is no id to be */
	become_inner_root, /* tmpfs and files made from here on belong to the payload's id */
	build_root,        /* sources are cloned while the host's mounts are in view */
	build_devices,     /* a new /proc is only given while the host's is in view */
	limit_nested,      /* while /proc/sys can be written */
	limit_shm,         /* as the line before */
	mark_expendable,   /* while /proc/self is ours to write */
	cover_host,        /* before the root is read-only */
	mask_proc,         /* before the root is read-only; after what needed /proc/sys */
	pivot,             /* the host's mounts are gone from here on */
	network,           /* needs the rights of the first level, as the next two */
	host_name,
	keyring,          /* before the filters, which refuse keyctl */
	terminal,         /* from the private devpts: the host's terminal is never inside */
	wait_go,          /* S has put us under all limits meanwhile */
	hide_cgroup,      /* not before we are where we stay: that place becomes "/" */
	limit_pids,       /* the second level takes it over as a limit of the namespace */
	outer_namespaces, /* the last moment at which the first level is ours */
	second_level,     /* takes all rights over mounts, network and names */
	lend_namespaces,
	undumpable, /* after the last write to /proc/self */
};

/* Wait for W's report pipe to close (execve) or to say what failed; leave when S dies meanwhile. */
static void await_exec(const struct inside *in, int pipe, pid_t worker)
{
	struct pollfd p[] = { { .fd = pipe, .events = POLLIN }, { .fd = in->e->link } };
	struct report rep;
	ssize_t n;

	do {
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			_exit(1);
		if (p[1].revents & (POLLHUP | POLLERR))
			_exit(1);
	} while (!p[0].revents);
	n = fd_read_full(pipe, &rep, sizeof(rep));
	if (n == 0)
		return;
	if (n == (ssize_t)sizeof(rep))
		fd_send(in->e->link, &rep, sizeof(rep), NULL, 0);
	_exit(1);
}

static void tell_running(const struct inside *in)
{
	if (in->pty >= 0)
		report_send(in->e->link, REPORT_RUNNING, 1, &in->pty, 1);
	else
		report_send(in->e->link, REPORT_RUNNING, 0, NULL, 0);
}

/* S measures these where nothing else counts memory; sent before W can run and make them grow. */
static int lend_tmpfs(const struct inside *in, struct err *err)
{
	int fds[ROOTFS_NTMPFS];
	size_t n = 0;
	int r;

	for (size_t i = 0; i < ROOTFS_NTMPFS; i++) {
		if (in->tmpfs[i] >= 0)
			fds[n++] = in->tmpfs[i];
	}
	if (!in->e->measured || n == 0)
		return 0;
	r = report_send(in->e->link, REPORT_TMPFS, 0, fds, n);
	return r < 0 ? err_set(err, r, "pass the memory filesystems to the supervisor") : 0;
}

static int start_worker(const struct inside *in, pid_t *ret_pid, struct err *err)
{
	int pipe[2];
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "start the first process");
	if (pid == 0) {
		close(pipe[0]);
		work(in->e, in->tty, pipe[1]);
	}
	close(pipe[1]);
	await_exec(in, pipe[0], pid);
	close(pipe[0]);
	*ret_pid = pid;
	return 0;
}

void enter(const struct enter *e)
{
	struct inside in = { .e = e,
			     .root = -1,
			     .proc = -1,
			     .pty = -1,
			     .tty = -1,
			     .ns = { [0 ... ATTACH_NS - 1] = -1 } };
	struct err err = { 0 };
	pid_t worker = -1;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
		r = steps[i](&in, &err);
	if (r == 0)
		r = lend_tmpfs(&in, &err);
	if (r == 0)
		r = start_worker(&in, &worker, &err);
	if (r < 0) {
		report_send_error(e->link, r, &err);
		_exit(1);
	}
	tell_running(&in);
	init_run(e->link, worker, e->plan->kernel);
}
