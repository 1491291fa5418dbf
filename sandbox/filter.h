/* System call filters, ready to load.  They are compiled when the program is built (filter_gen.c,
 * from the tables in seccomp_table.c): building them at each launch took 9 ms of a launch of 15. */
#pragma once

#include <linux/filter.h>

struct err;

struct filter_program {
	unsigned short len; /* instructions */
	const struct sock_filter *insns;
};

/* For W.  'allow' is the list of calls it may make: anything else gets EPERM, numbers beyond the
 * last one the list knows ENOSYS (so that a newer libc falls back), a foreign ABI is killed. 'deny'
 * refuses argument values (TIOCSTI, TCP_ULP, ...): "all but these" cannot be said in a list that
 * allows.  The kernel takes the strictest answer of all filters; of two errors, that of the one
 * loaded last: load 'deny' after 'allow'. */
extern const struct filter_program filter_allow, filter_deny;
/* For pid 1 inside: waiting, passing signals on, nothing else; anything else kills it. */
extern const struct filter_program filter_init;
/* The same for the pid 1 of a kernel, which also makes connections inside. */
extern const struct filter_program filter_connector;
/* For our own daemons, see confine.h. */
extern const struct filter_program filter_daemon;
/* For a process that only parses foreign bytes, see confine.h; anything else kills it. */
extern const struct filter_program filter_parser;

/* Load one into the calling thread, for good.  Needs no_new_privs, or CAP_SYS_ADMIN in the caller's
 * user namespace. */
int filter_load(const struct filter_program *p, struct err *err);
