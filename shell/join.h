/* "sbx-shell --join RUN": a second terminal, or one more command, in a sandbox that runs. */
#pragma once

#include <stdbool.h>

struct err;
struct sbx_shell_opts;
struct screen;

struct join_request {
	const struct sbx_shell_opts *opts;
	const char *run; /* its id, or enough of its beginning or end */
	const char *ws;  /* NULL = not given; then it must be the run's */
	char **command;  /* NULL = a shell */
	bool interactive, tty;
	struct screen *screen;
};

/* Until the command, or the sandbox, has ended. Prints what went wrong; returns the exit code. */
int join_run(const struct join_request *rq, struct err *err);

/* Refuse what belongs to a run and cannot be chosen by who joins it. */
int join_check(const struct sbx_shell_opts *o, struct err *err);
