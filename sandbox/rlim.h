/* Resource limits of the payload. */
#pragma once

#include "sandbox/plan.h"

struct err;

/* The count of processes.  Set before the second user namespace is made, it becomes a limit of that
 * namespace which nothing inside can raise; each process inside is counted, pid 1 too.  Used when
 * there is no pids cgroup. */
int rlim_set_pids(uint64_t pids, struct err *err);
/* All others. */
int rlim_set(const struct plan_limits *l, struct err *err);
