/* From options, profile, the workspace's settings and facts about this host to a sandbox_plan.
 *
 * Pure: nothing is opened, asked or changed, so that what a run will be can be tested and printed
 * without running it.  Precedence of every limit: command line, then profile, then the workspace's
 * "limits", then the built-in value. */
#pragma once

#include "base/json.h"
#include <stdbool.h>
#include <stdint.h>

#include "sandbox/plan.h"

struct err;
struct sbx_shell_opts;

/* What is known of this host. */
struct plan_host {
	uint64_t memory_bytes;        /* of the machine, or of our own cgroup if that is less */
	unsigned cpus;                /* that we may run on */
	bool has_bash;                /* else the shell is /bin/sh */
	const char *const *variables; /* the caller's variables */
	/* Absolute path of a --ro source, links followed (heap), or NULL with errno. */
	char *(*resolve)(const char *path);
};

struct plan_request {
	const struct sbx_shell_opts *opts;
	const json_t *settings; /* workspace.json, NULL = built-in limits */
	const struct plan_host *host;
	const char *workspace_name; /* last part of its path, for the prompt */
	/* Absolute path of the workspace, when datasets may be read without its daemon: only what
	 * an ordinary user starts.  NULL = no. */
	const char *direct;
	const char *run_id;
	char **command;   /* NULL-terminated; NULL = a shell */
	bool interactive; /* no command, and a terminal to talk to */
	bool tty;         /* make a pty inside */
	bool kernel;      /* the command is a Jupyter kernel: the limits of a shell are its own */
};

struct built_plan;

/* The plan lacks only what is made at run time: plan->workspace and plan->stdio are the caller's to
 * fill.  -EINVAL with a sentence that names the option or the field. */
int plan_build(const struct plan_request *rq, struct built_plan **ret, struct err *err);
struct sandbox_plan *built_plan_get(struct built_plan *b); /* borrowed */
void built_plan_free(struct built_plan *b);
