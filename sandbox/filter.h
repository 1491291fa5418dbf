/* System call filters, ready to load.  They are compiled when the program is built (filter_gen.c,
 * from the tables in seccomp_table.c): building them at each launch took 9 ms of a launch of 15. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>

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
/* The same two in one, for --explain: where they answer with an errno it notifies a listener, who
 * answers with that errno.  Nobody else is asked, and nothing more is allowed: without a listener
 * the answer is ENOSYS. */
extern const struct filter_program filter_explain;
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
/* The same for a filter that notifies; returns the listener (CLOEXEC, owned by the caller). */
int filter_load_listener(const struct filter_program *p, struct err *err);

/* Pure: what the kernel would get for 'd' from one program, SECCOMP_RET_... */
uint32_t filter_run(const struct filter_program *p, const struct seccomp_data *d);
/* Pure: from filter_allow and filter_deny together, as in a sandbox that explains nothing. */
uint32_t filter_decide(const struct seccomp_data *d);

/* What people are told of a call. */
struct filter_call {
	int nr;
	const char *name, *reason; /* why not; "" where no table says it */
	int arg;                   /* the argument that decides, -1 = the call itself */
};
/* NULL for a number without a name. */
const struct filter_call *filter_find_call(int nr);
