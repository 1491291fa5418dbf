/* The option table of sbx-shell: parsing, --help, man page and completions come from it. */
#include "shell/sbx_shell.h"

#include <stddef.h>

#define AT(field)    offsetof(struct sbx_shell_opts, field)
#define LIMIT(field) offsetof(struct sbx_shell_opts, limits.field)

static const char *const home_modes[] = { "private", "persist", NULL };
static const char *const net_modes[] = { "none", NULL };
static const char *const transports[] = { "lo", "ipc", NULL };
static const char *const profile_names[] = { "default", "strict", NULL };

/* The lower bounds keep out values with which nothing can start. */
static const struct opt sbx_shell_rows[] = {
	{ "time", 0, OPT_TIME, LIMIT(time), "T", "1h for a command, none for a shell",
	  .help = "Wall clock; at the limit TERM to the command's group, after the grace "
		  "everything is gone.",
	  .words = opt_words_none, .min = 1 },
	{ "grace", 0, OPT_TIME, LIMIT(grace), "T", "2s",
	  .help = "How long after TERM; 0 kills at once." },
	{ "cpu-time", 0, OPT_TIME, LIMIT(cpu_time), "T", "none",
	  .help = "CPU time of all processes together.", .words = opt_words_none, .min = 1 },
	{ "memory", 0, OPT_SIZE, LIMIT(memory), "SIZE", "half of the machine",
	  .help = "Memory and swap of all processes together, tmpfs included.",
	  .words = opt_words_half, .min = 8 << 20 },
	{ "cpus", 0, OPT_MILLI, LIMIT(cpus), "N", "all", .help = "CPU rate, fractions allowed.",
	  .words = opt_words_all, .min = 10 },
	{ "pids", 0, OPT_COUNT, LIMIT(pids), "N", "512", .help = "Processes and threads.",
	  .words = opt_words_none, .min = 2, .max = 4194304 },
	{ "tmp", 0, OPT_SIZE, LIMIT(tmp), "SIZE", "100M", .help = "Size of /tmp.", .min = 4096 },
	{ "shm", 0, OPT_SIZE, LIMIT(shm), "SIZE", "half of the memory limit",
	  .help = "Size of /dev/shm.", .min = 4096, .words = opt_words_half },
	{ "home-size", 0, OPT_SIZE, LIMIT(home_size), "SIZE", "100M",
	  .help = "Size of a private home directory.", .min = 4096 },
	{ "home", 0, OPT_ENUM, AT(home), "MODE", "private",
	  .help = "Where $HOME is: private is gone with the session, persist is kept in the "
		  "workspace as .home.",
	  .choices = home_modes },
	{ "output", 0, OPT_SIZE, LIMIT(output), "SIZE", "64M",
	  .help = "Bytes of stdout and stderr together, for a command.", .words = opt_words_none },
	{ "fsize", 0, OPT_SIZE, LIMIT(fsize), "SIZE", "none", .help = "Size of one file.",
	  .words = opt_words_none, .min = 1 },
	{ "nofile", 0, OPT_COUNT, LIMIT(nofile), "N", "1024",
	  .help = "Open descriptors of one process.", .min = 8, .max = 1048576 },
	{ "net", 0, OPT_ENUM, AT(net), "MODE", "none",
	  .help = "The network; none is nothing but a loopback of its own.", .choices = net_modes },
	{ "ro", 0, OPT_LIST, AT(ro), "PATH[:DEST]",
	  .help = "Also show this host path, read-only (a conda prefix, a virtual environment, a "
		  "model folder); may be given again.",
	  .complete = COMPLETE_FILE },
	{ "env", 0, OPT_LIST, AT(env), "NAME[=VALUE]",
	  .help = "Pass or set one variable; may be given again." },
	{ "cwd", 0, OPT_STRING, AT(cwd), "DIR", "/workspace",
	  .help = "The working directory, inside." },
	{ "uid", 0, OPT_COUNT, AT(uid), "N", "1000", .help = "The user and group id, inside.",
	  .min = 1, .max = 4294967294 },
	{ "profile", 0, OPT_ENUM, AT(profile), "NAME", "default",
	  .help = "A named set of limits; strict is 512M, 1 CPU, 60 s, 64 processes, 100M of /tmp.",
	  .choices = profile_names },
	{ "allow-degraded", 0, OPT_FLAG, AT(allow_degraded),
	  .help = "Run even though a layer of isolation or a limit cannot be applied here, and say "
		  "which in the result." },
	{ "explain", 0, OPT_FLAG, AT(explain),
	  .help = "Name the system calls that the sandbox refused, with the error each met: at the "
		  "end "
		  "on stderr and in the result." },
	{ "result", 0, OPT_STRING, AT(result), "FILE",
	  .help = "Write the result there as JSON, also when setup fails.",
	  .complete = COMPLETE_FILE },
	{ "join", 0, OPT_STRING, AT(join), "RUN",
	  .help = "A second terminal, or one more command, in the sandbox of a run that goes on "
		  "('sbxctl ps'); its limits are those of the run, and it ends with it." },
	{ "escape", 0, OPT_STRING, AT(escape), "CHAR", "~",
	  .help = "The character that begins a line for sbx-shell and not for the program inside: "
		  "~. ends everything, ~? lists the others; none turns it off." },
	{ "raw-terminal", 0, OPT_FLAG, AT(raw_terminal),
	  .help = "Let every escape sequence through to the terminal, also those that write the "
		  "clipboard, make it answer, or rename the window." },
	{ "progress", 0, OPT_FLAG, AT(progress),
	  .help = "While a command runs, a line at the foot of the terminal: time left, memory, "
		  "CPU "
		  "time, bytes put out and written; none where stderr is no terminal." },
	{ "quiet", 'q', OPT_FLAG, AT(quiet), .help = "No word of its own on stderr." },
	{ "passphrase-file", 0, OPT_STRING, AT(passphrase_file), "FILE",
	  .help = "Open the workspace with the passphrase on the first line of this file.",
	  .complete = COMPLETE_FILE },
	{ "recovery-file", 0, OPT_STRING, AT(recovery_file), "FILE",
	  .help = "Open the workspace with the recovery key in this file.",
	  .complete = COMPLETE_FILE },
	{ "jupyter", 0, OPT_STRING, AT(jupyter), "FILE",
	  .help = "The command is a Jupyter kernel, whose clients read this connection file; the "
		  "command names its own as @connection_file@. 'sbxctl kernel install' writes "
		  "such a command line.",
	  .complete = COMPLETE_FILE },
	{ "jupyter-transport", 0, OPT_ENUM, AT(jupyter_transport), "KIND", "lo",
	  .help = "How the kernel listens inside: lo is its private loopback, ipc are socket "
		  "files.",
	  .choices = transports },
	{ "notebook-dir", 0, OPT_STRING, AT(notebook_dir), "DIR", "the directory it is started in",
	  .help = "With --jupyter: show this directory read-only as /notebook, and link what is "
		  "in it into /workspace; none shows no directory.",
	  .complete = COMPLETE_DIR },
	{ "idle", 0, OPT_TIME, AT(idle), "T", "none",
	  .help = "With --jupyter: end the kernel when nobody has used it for so long.",
	  .words = opt_words_none, .min = 1000 },
	{ .name = NULL },
};

static const struct opt_example sbx_shell_examples[] = {
	{ "sbx-shell ws", "an interactive shell in /workspace; leaving it ends everything inside" },
	{ "sbx-shell ws -- python3 analysis.py", "one command, for at most an hour" },
	{ "sbx-shell --time 5m --memory 2G --result r.json ws -- python3 fit.py",
	  "with limits; r.json says how it ended and what it used" },
	{ "sbx-shell --ro ~/env ws -- ~/env/bin/python3 fit.py",
	  "with a virtual environment that lives on the host" },
	{ NULL, NULL },
};

static const struct opt_command sbx_shell_command = {
	.name = "sbx-shell",
	.args = "WS\nWS -- CMD [ARG..]\n--join RUN [WS] [-- CMD [ARG..]]",
	.summary = "Go into a sandbox mounted onto a workspace: a shell, or one command.",
	.opts = sbx_shell_rows,
	.examples = sbx_shell_examples,
	.min_args = 0, /* --join needs none */
	.max_args = 1,
	.rest_after_dashes = true,
	.opts_size = sizeof(struct sbx_shell_opts),
};

const struct opt_command *const sbx_shell_commands[] = { &sbx_shell_command, NULL };
