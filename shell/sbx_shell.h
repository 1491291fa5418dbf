/* The options of sbx-shell: what its table fills and shell/plan_build.c reads. */
#pragma once

#include <stdbool.h>

#include "shell/opt.h"

/* The limits that a command line, a profile and a workspace may each set.  Keys of workspace.json
 * are the option names with "_" for "-". */
struct limit_opts {
	struct opt_u64 time, grace, cpu_time, memory, cpus, pids;
	struct opt_u64 tmp, shm, home_size, output, fsize, nofile;
};

struct sbx_shell_opts {
	struct limit_opts limits;
	const char *home; /* "private", "persist" or NULL */
	const char *net;  /* "none" or NULL */
	struct opt_list ro, env;
	const char *cwd;
	struct opt_u64 uid;
	const char *profile; /* NULL = default */
	bool allow_degraded, explain;
	const char *result;
	bool quiet;
	const char *join;   /* a run */
	const char *escape; /* NULL = ~ */
	bool raw_terminal;
	bool progress;
	const char *passphrase_file, *recovery_file;
	const char *jupyter;           /* a connection file: the command is a kernel */
	const char *jupyter_transport; /* "lo", "ipc" or NULL */
	const char *notebook_dir;      /* a directory, "none" or NULL = the current one */
	struct opt_u64 idle;
};

/* One command, NULL-ended. Its rows also parse the values of limits in workspace.json. */
extern const struct opt_command *const sbx_shell_commands[];
