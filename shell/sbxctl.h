/* What the verbs of sbxctl share: the connection to the daemon, exit codes, output.
 *
 * A verb is one 'struct opt_command' in shell/cmd_NAME.c and a line in shell/sbxctl.c. Its run()
 * prints what went wrong (once) and returns an exit code of doc/control.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "fs/client.h"
#include "shell/opt.h"

struct err;

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_KEY = 3,
	CTL_IN_USE = 4,
	CTL_DAMAGED = 5,
	CTL_NO_SUPPORT = 6,
};

/* The verbs, NULL-ended: for dispatch, help, man page and completion. */
extern const struct opt_command *const sbxctl_commands[];
extern const char sbxctl_summary[];

extern const struct opt_command cmd_init, cmd_dataset_add, cmd_dataset_list, cmd_dataset_remove,
	cmd_dataset_verify, cmd_mount, cmd_umount, cmd_status, cmd_ps, cmd_kill, cmd_set, cmd_show,
	cmd_key_show, cmd_key_list, cmd_key_add, cmd_key_remove, cmd_key_recovery, cmd_fsck,
	cmd_doctor;
extern const struct opt_command cmd_kernel_install, cmd_kernel_list, cmd_kernel_remove,
	cmd_kernel_test;

/* The options that most verbs have; first member of their option struct. */
struct ctl_common {
	bool json;
	const char *passphrase_file;
	const char *recovery_file;
};

#define CTL_OPT_JSON                                                                               \
	{                                                                                          \
		"json", 'j', OPT_FLAG, offsetof(struct ctl_common, json), NULL, NULL,              \
			.help = "Print the facts as JSON."                                         \
	}
#define CTL_OPT_KEYS                                                                               \
	{ "passphrase-file",                                                                       \
	  0,                                                                                       \
	  OPT_STRING,                                                                              \
	  offsetof(struct ctl_common, passphrase_file),                                            \
	  "FILE",                                                                                  \
	  NULL,                                                                                    \
	  .help = "Read the workspace's passphrase from the first line of FILE.",                  \
	  .complete = COMPLETE_FILE },                                                             \
	{                                                                                          \
		"recovery-file", 0, OPT_STRING, offsetof(struct ctl_common, recovery_file),        \
			"FILE", NULL, .help = "Read a recovery key from FILE.",                    \
				      .complete = COMPLETE_FILE                                    \
	}
#define CTL_OPT_END                                                                                \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* The exit code for a negative errno. */
int ctl_exit_code(int r);
/* Print the sentence of 'err' and return the exit code for 'r'. */
int ctl_fail(int r, const struct err *err);
/* Print a sentence about wrong usage of a verb and return CTL_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void ctl_cleanup_fsc(struct fsc **c)
{
	if (*c)
		fsc_close(*c);
}
#define autofsc __attribute__((cleanup(ctl_cleanup_fsc)))

/* Connect to the daemon of the workspace, starting it when nobody serves it. 'ws' must be a
 * directory with a workspace.json: otherwise a sentence that says so. */
int ctl_open(const char *ws, const struct ctl_common *c, struct fsc **ret, struct err *err);
/* Is it a directory with a workspace.json? */
int ctl_check_workspace(const char *ws, struct err *err);
/* A request without descriptors; 'req' is taken (NULL = out of memory). */
int ctl_call(struct fsc *c, json_t *req, json_t **ret, struct err *err);
/* Open, call, close: for verbs that ask one thing. */
int ctl_ask(const char *ws, const struct ctl_common *c, json_t *req, json_t **ret, struct err *err);

/* The status (doc/control.md) of every daemon of this user, each with its "pid". */
json_t *ctl_served(void);

/* The records (WS/runs) of the newest 'max' runs that have ended, oldest first: as the result JSON
 * of sbx-shell, with "started" and "command". */
int ctl_run_records(const char *ws, size_t max, json_t **ret, struct err *err);

/* Members of replies that came from our own daemon: a missing one reads as "" or 0. */
const char *ctl_str(const json_t *obj, const char *path);
uint64_t ctl_u64(const json_t *obj, const char *path);

/* Progress: nothing without a terminal on stderr. One line, cut to its width, drawn over. */
void ctl_bar(uint64_t done, uint64_t total, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ctl_bar_clear(void);
/* Of a dataset that the daemon reads: 'p' is its answer. */
void ctl_draw_reading(const char *what, const json_t *p);
/* Ctrl-C and its like only set this from now on, and end what waits (or end us, as before); 0: none
 * came. */
void ctl_catch_signals(bool on);
int ctl_interrupted(void);

/* stdout. 'text' from files and people is made printable. */
void out_json(const json_t *j);
/* "  name      value" lines; 'name' is dimmed on a colour terminal. */
void out_pair(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Colour only on a terminal and without NO_COLOR. */
enum out_color { OUT_BOLD, OUT_DIM, OUT_GREEN, OUT_YELLOW, OUT_RED };
/* The escape that begins ("" without colour), and the one that ends. */
const char *out_on(enum out_color c);
const char *out_off(void);

/* Left-aligned columns as wide as their widest cell. */
#define OUT_COLS_MAX 10
struct out_table;
/* 'heads' is NULL-ended and borrowed. NULL when out of memory (accepted by the others). */
struct out_table *out_table_new(const char *const *heads);
/* One cell after the other, row by row; copied. */
void out_cell(struct out_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_table_print(struct out_table *t);
void out_table_free(struct out_table *t);

/* Read a passphrase into a pipe: from 'file' (its first line), or by asking on the terminal twice.
 * Returns the read end, owned by the caller. */
int ctl_passphrase_pipe(const char *file, const char *what, struct err *err);
