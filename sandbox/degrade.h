/* What the plan asks for against what this host can give: refused, or said in the result. */
#pragma once

#include "sandbox/cgroup.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"

struct err;

/* Fill 'ret'. -EOPNOTSUPP with a sentence and its remedies when something cannot be given and the
 * plan does not allow that. */
int degrade_decide(const struct sandbox_plan *p, const struct cgroup_powers *powers,
		   struct sandbox_isolation *ret, struct err *err);

/* How to get what 'powers' lacks on this host: the middle of a sentence. */
const char *degrade_cgroup_remedy(const struct cgroup_powers *powers);

bool degrade_host_has_swap(void);
