/* System call filters.  Three programs are made, by S and before any of them is loaded:
 *
 *   allow   the list of calls that W may make; anything else EPERM, numbers beyond the last one
 *           this table knows ENOSYS (so that new libc features fall back), foreign ABIs are killed
 *   deny    argument values that are never allowed (TIOCSTI, TCP_ULP, ...): libseccomp cannot say
 *           "all but these values" in a list that allows, so they are a filter of their own
 *   init    what pid 1 needs to wait and to pass signals on, nothing else
 *
 * The kernel takes the strictest answer of all loaded filters; of two errors, that of the filter
 * loaded last, which is 'deny'. */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

struct err;

#define FILTER_INSNS_MAX 1400

struct filter_program {
	uint32_t len; /* instructions */
	struct sock_filter insns[FILTER_INSNS_MAX];
};

struct filter_set {
	struct filter_program allow, deny, init;
};

/* Build all three for this machine. Pure: nothing is loaded. */
int filter_build(struct filter_set *ret, struct err *err);
/* A filter for a daemon: everything is allowed but the named calls (space separated), which get
 * EPERM; names this machine does not know are skipped. */
int filter_build_deny(const char *names, struct filter_program *ret, struct err *err);
/* Load one into the calling thread; needs no_new_privs. */
int filter_load(const struct filter_program *p, struct err *err);

/* One row of the tables in seccomp_table.c. */
struct filter_row {
	const char *names;  /* system calls, separated by blanks */
	const char *reason; /* why it is allowed, or why it must not be */
};
extern const struct filter_row filter_allowed[]; /* ended by names == NULL */
extern const struct filter_row filter_refused[]; /* knowingly left out; documentation and tests */
extern const struct filter_row filter_init_allowed[];
