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
#include "sandbox/connector.h"
#include "sandbox/fds.h"
#include "sandbox/filter.h"
#include "sandbox/plan.h"
#include "sandbox/report.h"

#define INTERRUPT_MS 500 /* within which an interrupt and S's order for one are the same stroke */

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

/* What pid 1 goes by. */
struct init {
	int link;
	pid_t worker;
	const struct plan_kernel *kernel; /* or NULL */
	bool interrupted;                 /* the worker was, from outside, past S */
};

static void connect_out(const struct init *in, int channel)
{
	autoclose int fd = connector_dial(in->kernel, (unsigned)channel);

	report_send(in->link, REPORT_CONNECTED, MIN(fd, 0), &fd, fd >= 0);
}

static void pass_signal(struct init *in, int sig)
{
	/* A front end that interrupts every process it finds has met the worker already: twice
	 * would be one too many. */
	if (sig == SIGINT && in->interrupted)
		in->interrupted = false;
	else
		kill(-in->worker, sig);
}

static void obey(struct init *in)
{
	int link = in->link;
	struct order o;
	ssize_t n = recv(link, &o, sizeof(o), 0);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		_exit(0);
	if (n != (ssize_t)sizeof(o))
		return;
	if (o.kind == ORDER_SIGNAL)
		pass_signal(in, o.value);
	else if (o.kind == ORDER_CONNECT && in->kernel)
		connect_out(in, o.value);
}

/* Signals that wait for us.  Pid 0 sent it: somebody outside, who cannot be named here. */
static void take_signals(struct init *in, int sigfd)
{
	struct signalfd_siginfo si;

	while (read(sigfd, &si, sizeof(si)) > 0)
		if (si.ssi_signo == SIGINT && si.ssi_pid == 0)
			in->interrupted = true;
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

void init_run(int link, pid_t worker, const struct plan_kernel *kernel)
{
	struct init in = { .link = link, .worker = worker, .kernel = kernel };
	struct pollfd p[2] = { { .fd = link, .events = POLLIN }, { .events = POLLIN } };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (kernel)
		sigaddset(&set, SIGINT);
	p[1].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* Too late to tell anybody: without pid 1 everything ends, and S sees that. */
	if (p[1].fd < 0 || shed(link, p[1].fd, NULL) < 0 ||
	    filter_load(kernel ? &filter_connector : &filter_init, NULL) < 0)
		_exit(1);
	while (!reap(worker, &status)) {
		int r;

		p[0].revents = p[1].revents = 0;
		r = poll(p, 2, in.interrupted ? INTERRUPT_MS : -1);
		if (r < 0 && errno != EINTR)
			_exit(1);
		/* S was not told: that one was not part of the same stroke. */
		if (r == 0)
			in.interrupted = false;
		/* Signals first: an order is to know of them. */
		if (p[1].revents)
			take_signals(&in, p[1].fd);
		if (p[0].revents)
			obey(&in);
	}
	report_send(link, REPORT_END, status, NULL, 0);
	_exit(0);
}
