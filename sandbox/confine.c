#include "sandbox/confine.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/caps.h"
#include "sandbox/filter.h"

static int keep_private(struct err *err)
{
	/* 1 and not 0: see rlim.c */
	const struct rlimit core = { 1, 1 };
	struct rlimit now;

	if (getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max >= 1 &&
	    setrlimit(RLIMIT_CORE, &core) < 0)
		return err_set(err, -errno, "forbid core dumps");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(err, -errno, "forbid tracing of this process");
	return 0;
}

int confine_self(enum confine_profile profile, struct err *err)
{
	int r = keep_private(err);

	if (r == 0 && profile == CONFINE_DAEMON)
		r = caps_no_new_privs(err);
	if (r < 0)
		return r;
	r = filter_load(&filter_daemon, err);
	/* An ordinary user may not load a filter that a setuid program would inherit. */
	return r == -EACCES && profile == CONFINE_LAUNCHER ? 0 : r;
}

int confine_parser(unsigned keep, uint64_t memory, uint64_t cpu_s, struct err *err)
{
	const struct {
		int what;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_AS, memory },   { RLIMIT_CPU, cpu_s }, { RLIMIT_FSIZE, 0 },
		{ RLIMIT_NOFILE, keep }, { RLIMIT_MEMLOCK, 0 }, { RLIMIT_STACK, 8 << 20 },
	};
	int r = 0;

	if (syscall(SYS_close_range, keep, ~0u, 0) < 0)
		return err_set(err, -errno, "close what is not needed");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit l;

		if (getrlimit(limits[i].what, &l) < 0)
			return err_set(err, -errno, "read a limit");
		l.rlim_cur = l.rlim_max = MIN(l.rlim_max, limits[i].value);
		if (setrlimit(limits[i].what, &l) < 0)
			return err_set(err, -errno, "set a limit");
	}
	r = keep_private(err);
	if (r == 0 && geteuid() == 0)
		r = caps_drop_all(err);
	if (r == 0)
		r = caps_no_new_privs(err);
	return r < 0 ? r : filter_load(&filter_parser, err);
}
