#include "sandbox/join.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/mnt.h"
#include "sandbox/report.h"
#include "sandbox/userns.h"

/* G, which shares J's descriptors: clone the two mounts from where they are.  J itself must not go
 * there, since it could not come back to the host's mounts. */
static int clone_workspace(const struct plan_workspace *w, int ret_fds[2])
{
	static const char *const places[2] = { "/datasets", "/workspace" };

	if (setns(w->userns_fd, CLONE_NEWUSER) < 0 || setns(w->mntns_fd, CLONE_NEWNS) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		ret_fds[i] = mnt_clone_plain(AT_FDCWD, places[i]);
		if (ret_fds[i] < 0)
			return ret_fds[i];
	}
	return 0;
}

static int fetch_workspace(const struct join *j, struct err *err)
{
	struct enter *e = j->enter;
	struct {
		int code, fds[2];
	} got = { .code = -EIO };
	int pipe[2];
	ssize_t n;
	pid_t g;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	g = (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_FILES | SIGCHLD), 0, 0, 0, 0);
	if (g < 0)
		return err_set(err, -errno, "start the process that fetches the mounts");
	if (g == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		got.code = clone_workspace(&e->plan->workspace, got.fds);
		fd_write_full(pipe[1], &got, sizeof(got));
		_exit(0);
	}
	/* Shared descriptors: the write end is open here too, so wait for the end and not for EOF.
	 */
	waitpid(g, NULL, 0);
	fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	n = read(pipe[0], &got, sizeof(got));
	close(pipe[0]);
	close(pipe[1]);
	if (n != (ssize_t)sizeof(got))
		got.code = -EIO;
	if (got.code < 0)
		return err_set(err, got.code,
			       "take over the workspace's mounts (did its daemon end?)");
	e->sources[ENTER_DATASETS].fd = got.fds[0];
	e->sources[ENTER_WORKSPACE].fd = got.fds[1];
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

static int join_userns(const struct join *j, struct err *err)
{
	const struct plan_workspace *w = &j->enter->plan->workspace;
	int r;

	if (w->host_dir)
		return 0;
	r = fetch_workspace(j, err);
	if (r < 0)
		return r;
	if (setns(w->userns_fd, CLONE_NEWUSER) < 0)
		return err_set(err, -errno, "join the user namespace of the workspace");
	return 0;
}

/* I is born inside its namespaces and its cgroup, with S as its parent. */
static pid_t start_inside(const struct join *j, struct err *err)
{
	struct clone_args args = {
		.flags = CLONE_PARENT | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_CLEAR_SIGHAND,
	};
	long pid;

	if (j->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)j->cgroup_fd;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	/* What only the cgroup can have been the cause of. */
	if (pid < 0 && j->cgroup_fd >= 0 &&
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
	r = join_userns(j, err);
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
