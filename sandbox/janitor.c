#include "sandbox/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/fds.h"

/* Runs that are shorter leave the sweep to the supervisors, which are not as patient. */
#define SWEEP_DELAY_MS 200

/* Out of sight of terminals and signals; holding only the pipe and the leaf. */
static int settle(const struct cgroup *cg, int pipe)
{
	int keep[16] = { pipe }, null[3] = { -1, -1, -1 };
	size_t n = 1 + cgroup_fds(cg, keep + 1, ARRAY_LEN(keep) - 1);
	sigset_t all;

	if (setsid() < 0 || chdir("/") < 0)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "sbx-janitor", 0, 0, 0);
	null[0] = null[1] = null[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null[0] < 0 || fds_set_stdio(null, NULL) < 0)
		return -EIO;
	return fds_close_except(keep, n, NULL);
}

static _Noreturn void janitor(struct cgroup *cg, int pipe)
{
	struct pollfd p = { .fd = pipe, .events = POLLIN };
	char c;

	if (settle(cg, pipe) < 0)
		_exit(1);
	if (poll(&p, 1, SWEEP_DELAY_MS) == 0)
		cgroup_sweep(cg, true);
	if (fd_read_full(pipe, &c, 1) == 1)
		_exit(0);
	cgroup_find(cg);
	/* The supervisor is dead. Pid 1 inside ends by itself; a hanging daemon may delay others.
	 */
	for (int i = 0; i < 100; i++) {
		cgroup_kill(cg);
		if (cgroup_remove(cg) == 0)
			_exit(0);
	}
	_exit(1);
}

int janitor_start(const struct cgroup *cg, struct janitor *ret, struct err *err)
{
	int pipe[2];
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(pipe[0]);
		close(pipe[1]);
		return err_set(err, r, "start the janitor process");
	}
	if (pid == 0) {
		close(pipe[1]);
		janitor((struct cgroup *)cg, pipe[0]);
	}
	close(pipe[0]);
	ret->pid = pid;
	ret->fd = pipe[1];
	return 0;
}

void janitor_dismiss(struct janitor *j)
{
	if (j->pid <= 0 || j->fd < 0)
		return;
	fd_write_full(j->fd, "d", 1);
	close(j->fd);
	j->fd = -1;
}

void janitor_reap(struct janitor *j)
{
	if (j->pid <= 0 || j->fd >= 0)
		return;
	while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
		;
	j->pid = 0;
}
