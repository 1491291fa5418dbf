#include "sandbox/confine.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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
