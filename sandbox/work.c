#include "sandbox/work.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/caps.h"
#include "sandbox/desk.h"
#include "sandbox/fds.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"
#include "sandbox/lookup.h"
#include "sandbox/report.h"
#include "sandbox/rlim.h"

/* A session of its own: with the inner terminal, or with none. */
static int take_session(const struct enter *e, int tty, struct err *err)
{
	if (setsid() < 0)
		return err_set(err, -errno, "start a session");
	if (tty < 0)
		return fds_set_stdio(e->plan->stdio, err);
	if (ioctl(tty, TIOCSCTTY, 0) < 0)
		return err_set(err, -errno, "take the terminal");
	return fds_set_stdio((int[]){ tty, tty, tty }, err);
}

/* Pid 1 dies: the kernel kills us. This is for the instant before that, and costs nothing. A parent
 * outside has no number here. */
static int tie_to_parent(const struct enter *e, struct err *err)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(err, -errno, "tie the process to pid 1");
	return getppid() == (e->attached ? 0 : 1) ? 0 : err_set(err, -ESRCH, "pid 1 is gone.");
}

static int default_signals(struct err *err)
{
	sigset_t none;

	/* What the supervisor, or whoever started it, ignores would stay ignored across execve: a
	 * program that writes to a closed pipe would go on for ever. The C library's own signals
	 * are refused, rightly. */
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return err_set(err, -errno, "unblock signals");
	return 0;
}

static int load_filters(struct err *err)
{
	int r = filter_load(&filter_allow, err);

	return r < 0 ? r : filter_load(&filter_deny, err);
}

/* The listener goes out, and no copy stays: who holds it answers for all of us. */
static int load_explained(const struct enter *e, struct err *err)
{
	autoclose int fd = filter_load_listener(&filter_explain, err);
	int r = fd < 0 ? fd : report_send(e->link, REPORT_LISTENER, 0, &fd, 1);

	return r < 0 && fd >= 0 ? err_set(err, r, "pass the listener of the filter out") : r;
}

static int work_steps(const struct enter *e, int tty, int report_pipe, struct err *err)
{
	/* The link only until the listener went out by it. */
	const int keep[] = { report_pipe, e->link };
	int r = take_session(e, tty, err);

	/* What S was started with, too: a thousand of those would leave no room below --nofile for
	 * the steps to come. */
	if (r == 0)
		r = fds_close_except(keep, e->plan->explain ? 2 : 1, err);
	if (r == 0)
		r = rlim_set(&e->plan->limits, err);
	/* With the rights of the payload's id, and before Landlock, whose rules name places. */
	if (r == 0 && chdir(e->plan->cwd) < 0)
		r = err_set(err, -errno, "go to the working directory '%s' in the sandbox",
			    e->plan->cwd);
	if (r == 0 && e->plan->kernel)
		r = desk_lay(e->plan->kernel, err);
	/* Landlock and the filters need no_new_privs, which comes with this. */
	if (r == 0)
		r = caps_drop_all(err);
	/* After the last change of credentials, which would clear it. */
	if (r == 0)
		r = tie_to_parent(e, err);
	if (r == 0)
		r = landlock_restrict(err);
	if (r == 0)
		r = default_signals(err);
	if (r == 0)
		r = fds_cloexec_all(err);
	/* Last: they would refuse some of the above. */
	if (r == 0)
		r = e->plan->explain ? load_explained(e, err) : load_filters(err);
	return r;
}

void work(const struct enter *e, int tty, int report_pipe)
{
	struct report rep = { .kind = REPORT_ERROR };
	int r = work_steps(e, tty, report_pipe, &rep.err);

	if (r == 0) {
		umask(022);
		rep.kind = REPORT_EXEC;
		rep.value = lookup_exec(e->plan, &rep.err);
	} else {
		rep.value = r;
	}
	fd_write_full(report_pipe, &rep, sizeof(rep));
	_exit(127);
}
