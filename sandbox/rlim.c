#include "sandbox/rlim.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Lower soft and hard to 'value', or to the hard limit in force when that is less. */
static int lower(int what, const char *name, uint64_t value, struct err *err)
{
	struct rlimit now, want;

	if (getrlimit(what, &now) < 0)
		return err_set(err, -errno, "read the limit %s", name);
	want.rlim_cur = want.rlim_max = MIN((rlim_t)value, now.rlim_max);
	if (setrlimit(what, &want) < 0)
		return err_set(err, -errno, "set the limit %s to %llu", name,
			       (unsigned long long)want.rlim_max);
	return 0;
}

int rlim_set_pids(uint64_t pids, struct err *err)
{
	return pids ? lower(RLIMIT_NPROC, "of processes", pids + 1, err) : 0;
}

int rlim_set(const struct plan_limits *l, struct err *err)
{
	/* Seconds, and one more than ours: a backstop for a supervisor that is stopped. */
	uint64_t cpu = l->cpu_time_ms ? l->cpu_time_ms / 1000 + 2 : 0;
	const struct {
		int what;
		const char *name;
		uint64_t value; /* 0: leave alone */
	} rows[] = {
		/* 1 and not 0: a core_pattern that is a pipe ignores 0, but the kernel treats 1 as
		 * "no core, and start no handler" (fs/coredump.c). */
		{ RLIMIT_CORE, "of core dumps", 1 },
		{ RLIMIT_NOFILE, "of open files", l->nofile },
		{ RLIMIT_FSIZE, "of file sizes", l->fsize_bytes },
		{ RLIMIT_MEMLOCK, "of locked memory", 8 << 20 },
		{ RLIMIT_MSGQUEUE, "of message queues", 819200 },
		{ RLIMIT_SIGPENDING, "of pending signals", 4096 },
		{ RLIMIT_CPU, "of CPU time", cpu },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = rows[i].value ? lower(rows[i].what, rows[i].name, rows[i].value, err) : 0;

		if (r < 0)
			return r;
	}
	/* No real-time scheduling and no higher priority than the supervisor's, whatever an
	 * administrator allows to users. */
	lower(RLIMIT_RTPRIO, "of real-time priority", 0, NULL);
	lower(RLIMIT_NICE, "of priority", 0, NULL);
	return 0;
}
