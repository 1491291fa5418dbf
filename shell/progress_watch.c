/* The process that asks the daemon what the outputs hold. */
#include "shell/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "fs/client.h"
#include "sandbox/fds.h"

static int ask(struct fsc *c, uint64_t *ret_used)
{
	autojson json_t *status = NULL;
	int r = fsc_call(c, json_pack("{s:s}", "op", "status"), NULL, 0, &status, NULL, NULL, NULL);

	return r < 0 ? r : json_get_u64(status, "quota.bytes", ret_used, NULL);
}

static _Noreturn void watch(struct progress_seen *seen, const char *ws, pid_t supervisor)
{
	const struct fsc_options o = { .ws = ws };
	int null[3];
	struct fsc *c = NULL;
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	prctl(PR_SET_NAME, "sbx-progress", 0, 0, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	null[0] = null[1] = null[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* The ends of pipes above all: who holds one keeps the others waiting for its end. */
	if (getppid() != supervisor || null[0] < 0 || fds_set_stdio(null, NULL) < 0 ||
	    fds_close_except(NULL, 0, NULL) < 0 || fsc_open(&o, &c, NULL) < 0)
		_exit(1);
	for (;; sleep(1)) {
		uint64_t used;

		if (ask(c, &used) < 0)
			_exit(1);
		seen->used = used;
		seen->known = 1;
	}
}

int progress_watch(struct progress *p, struct fsc *c, const char *ws, struct err *err)
{
	pid_t supervisor = getpid();
	uint64_t first;
	int r = ask(c, &first);

	if (r < 0)
		return err_set(err, r, "watch the run");

	p->seen = mmap(NULL, sizeof(*p->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (p->seen == MAP_FAILED) {
		p->seen = NULL;
		return err_set(err, -ENOMEM, "watch the run");
	}
	p->seen->first = first;
	p->watcher = fork();
	if (p->watcher == 0)
		watch(p->seen, ws, supervisor);
	return p->watcher < 0 ? err_set(err, -errno, "watch the run") : 0;
}
