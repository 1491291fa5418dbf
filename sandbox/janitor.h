/* A small process that outlives the supervisor for one purpose: when S is killed by SIGKILL, pid 1
 * inside ends everything, but nobody would remove the cgroups. */
#pragma once

#include <sys/types.h>

struct cgroup;
struct err;

struct janitor {
	pid_t pid; /* 0: none */
	int fd;    /* S's end of the pipe: closing it without janitor_dismiss() is the alarm */
};

/* Fork it; 'cg' is what it looks after. To be called before J is started. */
int janitor_start(const struct cgroup *cg, struct janitor *ret, struct err *err);
/* All is removed: let it go.  Does nothing when there is none. */
void janitor_dismiss(struct janitor *j);
/* Wait for the end of one that was let go. */
void janitor_reap(struct janitor *j);
