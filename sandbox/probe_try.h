/* The trials behind the rows of probe.h, one attack each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sandbox/probe.h"

struct err;

/* 0, or -errno with a sentence. Changes the process that it runs in: for a child. */
typedef int (*probe_trial)(struct err *err);

/* Run 'fn' in a child that is thrown away.  With 'inside' it is first put into new user, mount and
 * network namespaces with its ids mapped. */
int probe_in_child(probe_trial fn, bool inside, struct err *err);

/* Namespaces, probe_ns.c. */
int probe_try_kinds(struct err *err);
int probe_try_second_level(struct err *err);
int probe_try_mounts(struct err *err);
int probe_try_proc(struct err *err);
int probe_try_network(struct err *err);
int probe_try_end(struct err *err);
int probe_try_fuse(struct err *err);

/* One row. 'detail' and 'fix' are cut to fit; 'fix' may be NULL. */
void probe_fill(struct probe_result *p, const char *name, enum probe_state state,
		const char *detail, const char *fix);

/* Rows of the control groups, each limit met by something that breaks it; probe_limits.c. */
size_t probe_cgroups(struct probe_result *ret, size_t max);
