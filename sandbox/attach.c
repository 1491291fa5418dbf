#include "sandbox/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/devices.h"
#include "sandbox/enter.h"
#include "sandbox/fds.h"
#include "sandbox/report.h"
#include "sandbox/rlim.h"
#include "sandbox/work.h"

/* Nothing of S's is to be found in this process later. */
static int shed(const struct attach *a, int report, struct err *err)
{
	int keep[ATTACH_NS + 4] = { report }, null[3];
	size_t n = 1;
	sigset_t all;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(err, -errno, "tie the process to the supervisor");
	if (setsid() < 0)
		return err_set(err, -errno, "start a session");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < ATTACH_NS; i++)
		keep[n++] = a->ns[i];
	for (int i = 0; i < 3; i++)
		keep[n++] = a->plan->tty ? -1 : a->plan->stdio[i];
	null[0] = null[1] = null[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null[0] < 0)
		return err_set(err, -errno, "open /dev/null");
	if (fds_set_stdio(null, err) < 0)
		return -EIO;
	return fds_close_except(keep, n, err);
}

/* While the host's /proc is in view: as the first process of the sandbox. */
static int mark_expendable(struct err *err)
{
	int r = fd_write_attr(AT_FDCWD, "/proc/self/oom_score_adj", "500");

	if (r == 0)
		r = fd_write_attr(AT_FDCWD, "/proc/self/coredump_filter", "0");
	return r < 0 && r != -ENOENT ? err_set(err, r, "mark the process as expendable") : 0;
}

static int enter_namespaces(const struct attach *a, struct err *err)
{
	for (int i = 0; i < ATTACH_INNER; i++)
		if (setns(a->ns[i], 0) < 0)
			return err_set(err, -errno, "enter the sandbox");
	/* The id of the payload; undumpable before anybody inside can see us. */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_set(err, -errno, "become the sandbox's own user");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, -errno, "close the process to others");
	return 0;
}

static int settle(const struct attach *a, int report, int *ret_tty, struct err *err)
{
	autoclose int master = -1;
	int r = 0;

	/* Not the keyring of the user outside. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS &&
	    errno != EPERM)
		return err_set(err, -errno, "start an empty keyring");
	if (a->plan->tty)
		r = devices_open_pty(a->plan, &master, ret_tty, err);
	if (r == 0)
		r = report_send(report, REPORT_RUNNING, 0, &master, a->plan->tty ? 1 : 0);
	if (r == 0 && a->pids_by_rlimit)
		r = rlim_set_pids(a->plan->limits.pids, err);
	if (r == 0 && setns(a->ns[ATTACH_INNER], CLONE_NEWUSER) < 0)
		r = err_set(err, -errno, "enter the sandbox");
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_set(err, -errno, "close the process to others");
	return r;
}

/* In all namespaces; S is the parent. */
static _Noreturn void inside(const struct attach *a, int report)
{
	const struct enter e = { .plan = a->plan, .link = -1, .mapped = -1, .attached = true };
	struct err err = { 0 };
	int tty = -1, r = settle(a, report, &tty, &err);

	if (r == 0)
		work(&e, tty, report);
	report_send_error(report, r, &err);
	_exit(1);
}

static int attach_steps(const struct attach *a, int report, struct err *err)
{
	struct clone_args args = { .flags = CLONE_PARENT };
	long pid;
	int r = 0;

	/* Only root may, and only root must: it would carry root's groups inside. */
	if (geteuid() == 0 && setgroups(0, NULL) < 0 && errno != EPERM)
		return err_set(err, -errno, "drop supplementary groups");
	/* First: from here on everything counts as the sandbox's. */
	r = cgroup_enter(a->cg, err);
	if (r == 0)
		r = shed(a, report, err);
	if (r == 0)
		r = mark_expendable(err);
	if (r == 0)
		r = enter_namespaces(a, err);
	if (r < 0)
		return r;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		inside(a, report);
	if (pid < 0)
		return err_set(err, -errno, "start one more process in the sandbox");
	return report_send(report, REPORT_JOINED, (int)pid, NULL, 0);
}

pid_t attach_start(const struct attach *a, int *ret_report, struct err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	int link[2], birth = cgroup_birth_fd(a->cg);
	struct err e = { 0 };
	long pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return err_set(err, -errno, "make a socket pair");
	if (birth >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)birth;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		int r = attach_steps(a, link[1], &e);

		if (r < 0)
			report_send_error(link[1], r, &e);
		_exit(r < 0);
	}
	close(link[1]);
	if (pid < 0) {
		int r = -errno;

		close(link[0]);
		return err_set(err, r, "start a process in the sandbox's limits");
	}
	*ret_report = link[0];
	return (pid_t)pid;
}
