/* What a run came to: the verdict, the exit code, the sentence, and the JSON of interface.md. */
#pragma once

#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/launch.h"

/* Why the supervisor ended the run; recorded before anything is killed, because the kill itself
 * looks like any other signal. */
enum run_cause {
	CAUSE_NONE,  /* it ended by itself */
	CAUSE_SETUP, /* it never began */
	CAUSE_EXEC,  /* the sandbox stood, but the command could not be executed */
	CAUSE_TIME,
	CAUSE_CPU_TIME,
	CAUSE_MEMORY,
	CAUSE_OUTPUT,
	CAUSE_FS_LOST, /* the filesystem daemon died */
	CAUSE_SIGNAL,  /* sbx-shell was told to end by 'cause_signal' and the command did not */
	CAUSE_ESCAPE,  /* the escape character and "." */
	CAUSE_IDLE,    /* a kernel that nobody used for 'idle_ms' */
	CAUSE_CLIENT,  /* the front end of a kernel is gone */
};

/* The exit codes that are ours (doc: EXIT STATUS). */
#define EXIT_TIME   124
#define EXIT_SETUP  125
#define EXIT_NOEXEC 126
#define EXIT_NOENT  127
#define EXIT_MEMORY 137

struct run_facts {
	char run_id[40];
	char started[24]; /* "2026-11-20T10:15:00Z" */
	enum run_cause cause;
	int cause_signal;               /* CAUSE_SIGNAL */
	int exec_errno;                 /* CAUSE_EXEC */
	char setup_error[ERR_TEXT_MAX]; /* CAUSE_SETUP, CAUSE_EXEC: the sentence */
	bool ended;                     /* 'end' is valid */
	bool explained;                 /* 'denied' is valid */
	struct sandbox_denials denied;
	bool daemon_ended; /* by us: something inside waited for it in vain */
	struct sandbox_end end;
	struct sandbox_usage usage;
	struct sandbox_isolation isolation;
	struct plan_limits limits;
	bool have_limits;
	uint64_t idle_ms;                  /* CAUSE_IDLE */
	uint64_t quota_bytes, quota_files; /* of the workspace, 0 = none */
	bool have_quota;                   /* 'quota_hits' is valid */
	uint64_t quota_hits; /* what did not fit during the run, of this and other sessions */
	uint64_t wall_ms, stdout_bytes, stderr_bytes;
};

struct run_verdict {
	const char *word;          /* "ok", "exit", "signal", "timeout", ... */
	int exit_code;             /* of sbx-shell */
	char reason[ERR_TEXT_MAX]; /* empty: nothing to say */
	const char *option;        /* that raises the limit, NULL if none does */
};

/* Pure. Order: our own cause, then the counters, then how the command ended. */
void result_judge(const struct run_facts *f, struct run_verdict *ret);
/* Limits that were felt but did not decide how it ended: a sentence each, which names the limit,
 * its value and what raises it.  Returns how many. Pure. */
#define RESULT_NOTES 3
size_t result_notes(const struct run_facts *f, const struct run_verdict *v,
		    char ret[RESULT_NOTES][ERR_TEXT_MAX]);
/* All keys, always. NULL when out of memory. */
json_t *result_json(const struct run_facts *f, const struct run_verdict *v);

/* Refuse a --result FILE that could not be written at the end: an existing thing that is not a
 * regular file, a directory that is missing or not ours to write. */
int result_check_path(const char *path, struct err *err);
/* Replace 'path' with the JSON, whole or not at all. */
int result_write(const char *path, const json_t *result, struct err *err);

/* WS/runs/RUN.json: the result with "started", "command" (its name and the number of arguments;
 * arguments can hold secrets), "version". Does nothing when WS has no runs/ of its own. */
int record_write(const char *ws, const struct run_facts *f, const json_t *result,
		 const char *command, int nargs, struct err *err);
