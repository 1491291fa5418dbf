/* sbx-shell --jupyter: a Jupyter kernel inside, its clients outside, neither knowing.
 *
 * The kernelspec is an ordinary one whose command is sbx-shell; the client needs nothing of ours.
 * Life: open (read the connection file, listen), plan (what the kernel finds inside), start
 * (relay), the supervisor's loop, end (a last word when a limit ended it). */
#pragma once

#include "shell/result.h"
#include "shell/supervise.h"

struct err;
struct jup;
struct sandbox_plan;
struct sbx_shell_opts;

/* Where the command shall name the kernel's connection file. */
#define JUP_PLACEHOLDER "@connection_file@"

/* Watch our parent, read --jupyter FILE and listen.  First of all: clients are waiting. */
int jup_open(const struct sbx_shell_opts *o, struct jup **ret, struct err *err);
/* Add what the kernel needs to the options, before the plan is built from them, and put the name of
 * the connection file into the NULL-terminated 'command'.  What was added lives as long as 'j'. */
int jup_prepare(struct jup *j, struct sbx_shell_opts *o, char **command, struct err *err);
/* Add to the plan that was built. */
void jup_fill(struct jup *j, struct sandbox_plan *plan);
/* W runs: relay from now on, beside 's'. Says on stderr what this kernel is. */
int jup_start(struct jup *j, struct supervise *s, const struct plan_limits *limits, const char *ws,
	      struct err *err);
/* All inside has ended and 'v' says why: tell the clients. */
void jup_end(struct jup *j, const struct run_facts *f, const struct run_verdict *v);
void jup_free(struct jup *j);
