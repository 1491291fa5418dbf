#include "sandbox/join.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/mnt.h"
#include "sandbox/report.h"
#include "sandbox/userns.h"

struct fetch {
	const struct plan_workspace *w;
	int code, fds[2];
};

/* G, which shares J's memory and descriptors: clone the two mounts from where they are.  J itself
 * must not go there, since it could not come back to the host's mounts. */
static int clone_workspace(void *arg)
{
	static const char *const places[2] = { "/datasets", "/workspace" };
	struct fetch *f = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	f->code = 0;
	if (setns(f->w->userns_fd, CLONE_NEWUSER) < 0 || setns(f->w->mntns_fd, CLONE_NEWNS) < 0)
		f->code = -errno;
	for (int i = 0; i < 2 && f->code == 0; i++) {
		f->fds[i] = mnt_clone_plain(AT_FDCWD, places[i]);
		f->code = MIN(f->fds[i], 0);
	}
	return 0;
}

static int fetch_workspace(const struct join *j, struct err *err)
{
	/* J sleeps meanwhile (CLONE_VFORK): no copy of the memory is made, and nothing runs twice
	 * in it. */
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD;
	struct fetch f = { .w = &j->enter->plan->workspace, .code = -EIO };
	alignas(16) char stack[16384];
	pid_t g = clone(clone_workspace, stack + sizeof(stack), flags, &f);

	if (g < 0)
		return err_set(err, -errno, "start the process that fetches the mounts");
	while (waitpid(g, NULL, 0) < 0 && errno == EINTR)
		;
	if (f.code < 0)
		return err_set(err, f.code,
			       "take over the workspace's mounts (did its daemon end?)");
	j->enter->sources[ENTER_DATASETS].fd = f.fds[0];
	j->enter->sources[ENTER_WORKSPACE].fd = f.fds[1];
	return 0;
}

/* The last look at whom W will be, as root: the answer came from a daemon. */
static int check_payload(const char *parent_map, const struct plan_workspace *w, struct err *err)
{
	autofree char *own = NULL;
	int r = w->host_dir ? 0 : fd_read_attr(AT_FDCWD, "/proc/self/uid_map", &own);

	if (r < 0)
		return err_set(err, r, "read the id map of the workspace");
	return userns_refuse_root(parent_map, own, w->outer_uid, err);
}

/* I is born inside its namespaces and its cgroup, with S as its parent. */
static pid_t start_inside(const struct join *j, struct err *err)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_CLEAR_SIGHAND,
	};
	const int cgroup_fd = cgroup_birth_fd(j->cgroup);
	long pid;

	if (cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	/* What only the cgroup can have been the cause of. */
	if (pid < 0 && cgroup_fd >= 0 &&
	    (errno == EBUSY || errno == EOPNOTSUPP || errno == EACCES || errno == ENODEV))
		return err_set(err, -errno, "start the sandbox in its cgroup");
	if (pid < 0)
		return userns_explain(-errno, err);
	if (pid == 0) {
		close(j->mapped_write);
		enter(j->enter);
	}
	return (pid_t)pid;
}

static int join_steps(const struct join *j, pid_t supervisor, struct err *err)
{
	const struct plan_workspace *w = &j->enter->plan->workspace;
	const bool root = geteuid() == 0;
	autofree char *map = NULL;
	sigset_t all;
	pid_t inside;
	int r;

	/* S dies: so do we, wherever we are. After this I has the link. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != supervisor)
		return err_set(err, -ESRCH, "the supervisor is gone.");
	for (size_t i = 0; i < ARRAY_LEN(j->supervisor_fds); i++) {
		if (j->supervisor_fds[i] >= 0)
			close(j->supervisor_fds[i]);
	}
	/* Away from the terminal: its Ctrl-C is for S, which passes it on. */
	if (setsid() < 0)
		return err_set(err, -errno, "start a session");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	/* Only root may, and only root must: it would carry root's groups inside. */
	if (root && setgroups(0, NULL) < 0 && errno != EPERM)
		return err_set(err, -errno, "drop supplementary groups");
	r = root ? fd_read_attr(AT_FDCWD, "/proc/self/uid_map", &map) : 0;
	if (r < 0)
		return err_set(err, r, "read the id map of this process");
	r = w->host_dir ? 0 : fetch_workspace(j, err);
	/* With the rights of the host's side, which are gone after the next step. */
	if (r == 0)
		r = cgroup_enter(j->cgroup, err);
	if (r == 0 && !w->host_dir && setns(w->userns_fd, CLONE_NEWUSER) < 0)
		r = err_set(err, -errno, "join the user namespace of the workspace");
	if (r == 0 && root)
		r = check_payload(map, w, err);
	if (r < 0)
		return r;
	/* Joining made us undumpable; I's /proc files must be ours to write the maps. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return err_set(err, -errno, "open the sandbox's /proc files");
	inside = start_inside(j, err);
	if (inside < 0)
		return inside;
	/* Before I can say anything itself: S must know whom to end when that is a failure. */
	r = report_send(j->enter->link, REPORT_JOINED, inside, NULL, 0);
	if (r < 0)
		return err_set(err, r, "tell the supervisor about pid 1");
	r = userns_map(inside, 0, w->outer_uid, w->outer_gid, err);
	if (r == 0)
		r = fd_write_full(j->mapped_write, "m", 1);
	return r;
}

pid_t join_start(const struct join *j, struct err *err)
{
	pid_t supervisor = getpid(), pid = fork();
	struct err e = { 0 };
	int r;

	if (pid < 0)
		return err_set(err, -errno, "start a process");
	if (pid > 0)
		return pid;
	r = join_steps(j, supervisor, &e);
	if (r < 0)
		report_send_error(j->enter->link, r, &e);
	_exit(r < 0);
}
