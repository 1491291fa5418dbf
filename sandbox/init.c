#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/caps.h"
#include "sandbox/fds.h"
#include "sandbox/filter.h"
#include "sandbox/report.h"

/* Reap whoever ended. True when the worker did; its wait status in *ret. */
static bool reap(pid_t worker, int *ret)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == worker) {
			*ret = status;
			return true;
		}
	}
	return false;
}

static void obey(int link, pid_t worker)
{
	struct order o;
	ssize_t n = recv(link, &o, sizeof(o), 0);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		_exit(0);
	if (n == (ssize_t)sizeof(o) && o.kind == ORDER_SIGNAL)
		kill(-worker, o.value);
}

/* No host descriptor, no working directory elsewhere, no capability, no way to be looked into. */
static int shed(int link, int sigfd, struct err *err)
{
	const int keep[] = { link, sigfd };
	autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	if (null < 0)
		return err_set(err, -errno, "open /dev/null");
	r = fds_set_stdio((int[]){ null, null, null }, err);
	if (r == 0)
		r = fds_close_except(keep, ARRAY_LEN(keep), err);
	null = -1;
	if (r == 0)
		r = caps_drop_all(err);
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_set(err, -errno, "make pid 1 undumpable");
	return r;
}

void init_run(int link, pid_t worker)
{
	struct pollfd p[2] = { { .fd = link, .events = POLLIN }, { .events = POLLIN } };
	struct signalfd_siginfo si;
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	p[1].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* Too late to tell anybody: without pid 1 everything ends, and S sees that. */
	if (p[1].fd < 0 || shed(link, p[1].fd, NULL) < 0 || filter_load(&filter_init, NULL) < 0)
		_exit(1);
	while (!reap(worker, &status)) {
		p[0].revents = p[1].revents = 0;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		if (p[0].revents)
			obey(link, worker);
		if (p[1].revents)
			while (read(p[1].fd, &si, sizeof(si)) > 0)
				;
	}
	report_send(link, REPORT_END, status, NULL, 0);
	_exit(0);
}
