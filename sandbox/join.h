/* J: the short-lived process between S and the sandbox.  It enters the workspace's user namespace
 * U1, so that what it starts is a descendant of U1 (FUSE admits nobody else), and starts I there as
 * S's own child. */
#pragma once

#include <sys/types.h>

#include "sandbox/enter.h"

struct cgroup;

struct join {
	struct enter *enter;   /* J fills in the mounts of U1 */
	int supervisor_fds[2]; /* S's ends, which must not live on in J and I */
	int mapped_write;      /* J writes a byte when I's id maps are there */
	const struct cgroup *cgroup;
};

/* Fork J. It reports REPORT_JOINED with I's pid, or REPORT_ERROR, over enter->link and exits.
 * Returns J's pid or -errno. */
pid_t join_start(const struct join *j, struct err *err);
