/* What S prepares for J, I and W: plain data, inherited by fork. */
#pragma once

#include <stdbool.h>

#include "sandbox/plan.h"

/* One thing of the outside that is shown inside. */
struct enter_source {
	const char *path; /* on the host; NULL for the mounts of U1 */
	const char *dest;
	int fd; /* a detached mount, or an O_PATH descriptor to compare with */
	bool detached;
	bool writable;
};

#define ENTER_SOURCES_MAX (PLAN_BINDS_MAX + 2)

struct enter {
	const struct sandbox_plan *plan;
	struct enter_source sources[ENTER_SOURCES_MAX]; /* [0] datasets, [1] workspace */
	size_t nsources;
	int link;            /* I's end */
	int mapped;          /* I reads one byte here when its id maps are written */
	bool pids_by_rlimit; /* no cgroup counts processes */
	bool measured;       /* memory is polled: pass the tmpfs out */
	bool attached;       /* W is not pid 1's child but S's (sandbox/attach.h) */
};

enum { ENTER_DATASETS, ENTER_WORKSPACE, ENTER_BINDS };

/* The life of I, from the first instruction in its namespaces. */
_Noreturn void enter(const struct enter *e);
