#include "shell/plan_build.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "shell/sbx_shell.h"

#define PAGE     4096u
#define ENV_MAX  192
#define HOME_DIR "/home/sbx"

struct built_plan {
	struct sandbox_plan plan;
	struct plan_bind binds[OPT_LIST_MAX];
	struct plan_direct *directs;
	char *env[ENV_MAX + 1]; /* owned */
	size_t nenv;
	char *argv_own[5]; /* the shell's; argv_own[3] is owned */
	char *rc;
	char *strings[2 * OPT_LIST_MAX + 4]; /* other owned strings */
	size_t nstrings;
};

void built_plan_free(struct built_plan *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->nenv; i++)
		free(b->env[i]);
	for (size_t i = 0; i < b->nstrings; i++)
		free(b->strings[i]);
	free(b->directs);
	free(b->rc);
	free(b);
}

struct sandbox_plan *built_plan_get(struct built_plan *b)
{
	return &b->plan;
}

/* Takes 's'; returns it, owned by the plan now. */
static char *keep(struct built_plan *b, char *s)
{
	assert(b->nstrings < ARRAY_LEN(b->strings));
	if (s)
		b->strings[b->nstrings++] = s;
	return s;
}

/* One row per limit: its option (and key in workspace.json), what it is when nobody says, and where
 * it goes.  Words are worked out afterwards. */
static const struct limit_row {
	const char *option;
	const char *command, *shell; /* built-in, as an option takes it */
	size_t from, to;
	bool command_only; /* the workspace's value is meant for commands */
} limit_rows[] = {
#define ROW(name, field, to_field, command, shell, only)                                           \
	{                                                                                          \
		name, command, shell, offsetof(struct limit_opts, field),                          \
			offsetof(struct plan_limits, to_field), only                               \
	}
	ROW("time", time, time_ms, "1h", "none", true),
	ROW("grace", grace, grace_ms, "2s", "2s", false),
	ROW("cpu-time", cpu_time, cpu_time_ms, "none", "none", false),
	ROW("memory", memory, memory_bytes, "half", "half", false),
	ROW("cpus", cpus, cpu_milli, "all", "all", false),
	ROW("pids", pids, pids, "512", "512", false),
	ROW("tmp", tmp, tmp_bytes, "100M", "100M", false),
	ROW("shm", shm, shm_bytes, "half", "half", false),
	ROW("home-size", home_size, home_bytes, "100M", "100M", false),
	ROW("output", output, output_bytes, "64M", "none", true),
	ROW("fsize", fsize, fsize_bytes, "none", "none", false),
	ROW("nofile", nofile, nofile, "1024", "1024", false),
#undef ROW
};

static const struct {
	const char *name;
	struct {
		const char *option, *value;
	} set[6];
} profiles[] = {
	{ "default", { { NULL, NULL } } },
	{ "strict",
	  { { "memory", "512M" },
	    { "cpus", "1" },
	    { "time", "60s" },
	    { "pids", "64" },
	    { "tmp", "100M" },
	    { NULL, NULL } } },
};

/* One value in words, as the option would take it, into 'ret'. */
static int parse_limit(const struct limit_row *row, const char *what, const char *text,
		       struct opt_u64 *ret, struct err *err)
{
	const struct opt *o =
		opt_find(sbx_shell_commands[0]->opts, row->option, strlen(row->option));
	struct sbx_shell_opts tmp = { 0 };
	int r;

	assert(o && o->offset == offsetof(struct sbx_shell_opts, limits) + row->from);
	r = opt_parse_value(o, what, text, &tmp, err);
	if (r == 0)
		*ret = *(struct opt_u64 *)((char *)&tmp.limits + row->from);
	return r;
}

static int from_profile(const struct limit_row *row, const char *name, struct opt_u64 *ret,
			struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		if (strcmp(profiles[i].name, name ? name : "default") != 0)
			continue;
		for (size_t k = 0; profiles[i].set[k].option; k++)
			if (!strcmp(profiles[i].set[k].option, row->option))
				return parse_limit(row, row->option, profiles[i].set[k].value, ret,
						   err);
	}
	return 0;
}

/* "limits.cpu_time": a string as the option takes it, or a bare number. */
static int from_settings(const struct limit_row *row, const json_t *settings, struct opt_u64 *ret,
			 struct err *err)
{
	char path[64], number[32];
	const char *text;
	json_t *v;

	snprintf(path, sizeof(path), "limits.%s", row->option);
	for (char *p = path; *p; p++)
		if (*p == '-')
			*p = '_';
	v = json_at(settings, path);
	if (!v)
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
		text = number;
	} else if (json_is_real(v) && json_real_value(v) >= 0) {
		snprintf(number, sizeof(number), "%.3f", json_real_value(v));
		text = number;
	} else if (json_is_string(v)) {
		text = json_string_value(v);
	} else {
		return err_set(err, -EINVAL, "workspace.json: %s must be text or a number.", path);
	}
	if (parse_limit(row, path, text, ret, err) < 0)
		return err_wrap(err, -EINVAL, "workspace.json");
	return 0;
}

static int pick_limit(const struct limit_row *row, const struct plan_request *rq,
		      struct opt_u64 *ret, struct err *err)
{
	const bool lasting = rq->interactive || rq->kernel;
	const struct opt_u64 *given =
		(const struct opt_u64 *)((const char *)&rq->opts->limits + row->from);
	int r;

	*ret = *given;
	if (ret->set)
		return 0;
	r = from_profile(row, rq->opts->profile, ret, err);
	if (r < 0 || ret->set)
		return r;
	/* "time": "1h" in a workspace must not throw a person out of a shell after an hour. */
	if (!lasting || !row->command_only)
		r = from_settings(row, rq->settings, ret, err);
	if (r < 0 || ret->set)
		return r;
	return parse_limit(row, row->option, lasting ? row->shell : row->command, ret, err);
}

static uint64_t half_of(uint64_t bytes)
{
	uint64_t half = bytes / 2 / PAGE * PAGE;

	return MAX(half, (uint64_t)PAGE);
}

static int build_limits(const struct plan_request *rq, struct plan_limits *to, struct err *err)
{
	struct limit_opts all = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		const struct limit_row *row = &limit_rows[i];
		struct opt_u64 *v = (struct opt_u64 *)((char *)&all + row->from);
		int r = pick_limit(row, rq, v, err);

		if (r < 0)
			return r;
		*(uint64_t *)((char *)to + row->to) = v->none ? 0 : v->value;
	}
	if (all.memory.word && !all.memory.none)
		to->memory_bytes = half_of(rq->host->memory_bytes);
	if (all.shm.word)
		to->shm_bytes =
			half_of(to->memory_bytes ? to->memory_bytes : rq->host->memory_bytes);
	/* A time of 0 would mean "none" to the sandbox: the options refuse it, except for grace. */
	return 0;
}

static bool name_is_env(const char *s, size_t len)
{
	if (len == 0 || (s[0] >= '0' && s[0] <= '9'))
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_'))
			return false;
	}
	return true;
}

/* Set "NAME=VALUE" (heap, taken), replacing NAME. */
static int env_put(struct built_plan *b, char *entry, struct err *err)
{
	size_t len;

	if (!entry)
		return err_set(err, -ENOMEM, "build the environment");
	len = strcspn(entry, "=") + 1;
	for (size_t i = 0; i < b->nenv; i++)
		if (!strncmp(b->env[i], entry, len)) {
			free(b->env[i]);
			b->env[i] = entry;
			return 0;
		}
	if (b->nenv == ENV_MAX) {
		free(entry);
		return err_set(err, -E2BIG, "more than %d environment variables.", ENV_MAX);
	}
	b->env[b->nenv++] = entry;
	b->env[b->nenv] = NULL;
	return 0;
}

static const char *env_get(const char *const *variables, const char *name, size_t len)
{
	for (; variables && *variables; variables++)
		if (!strncmp(*variables, name, len) && (*variables)[len] == '=')
			return *variables;
	return NULL;
}

/* The few variables of the host that say how to talk to the person, and no more. */
static int env_from_host(struct built_plan *b, const char *const *variables, struct err *err)
{
	static const char *const names[] = { "TERM=", "LANG=", "LC_", "TZ=" };

	for (; variables && *variables; variables++)
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			if (!strncmp(*variables, names[i], strlen(names[i]))) {
				int r = env_put(b, strdup(*variables), err);

				if (r < 0)
					return r;
			}
	return 0;
}

/* Libraries that start a thread per CPU of the machine would only wait for each other. */
static int env_threads(struct built_plan *b, const struct plan_request *rq, struct err *err)
{
	static const char *const names[] = {
		"OMP_NUM_THREADS",     "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
		"NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS",    "LOKY_MAX_CPU_COUNT",
		"BLIS_NUM_THREADS",    "POLARS_MAX_THREADS",   "JULIA_NUM_THREADS",
		"GOMAXPROCS",
	};
	uint64_t milli = b->plan.limits.cpu_milli, n = (milli + 999) / 1000;

	if (!milli || n >= rq->host->cpus)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int r = env_put(b, str_printf("%s=%llu", names[i], (unsigned long long)n), err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int env_from_options(struct built_plan *b, const struct plan_request *rq, struct err *err)
{
	for (size_t i = 0; i < rq->opts->env.n; i++) {
		const char *text = rq->opts->env.v[i];
		size_t len = strcspn(text, "=");
		int r;

		if (!name_is_env(text, len))
			return err_set(err, -EINVAL,
				       "--env: '%s' does not begin with a name of a variable.",
				       text);
		if (text[len] != '=') {
			text = env_get(rq->host->variables, text, len);
			if (!text)
				return err_set(
					err, -EINVAL,
					"--env: '%s' is not set here; write NAME=VALUE to set it.",
					rq->opts->env.v[i]);
		}
		r = env_put(b, strdup(text), err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int build_env(struct built_plan *b, const struct plan_request *rq, struct err *err)
{
	const char *home = b->plan.home_persist ? "/workspace/.home" : HOME_DIR;
	int r = env_from_host(b, rq->host->variables, err);

	if (r == 0)
		r = env_put(b, strdup("PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), err);
	if (r == 0)
		r = env_put(b, str_printf("HOME=%s", home), err);
	if (r == 0)
		r = env_put(b, strdup("USER=sbx"), err);
	if (r == 0)
		r = env_put(b, strdup("LOGNAME=sbx"), err);
	if (r == 0)
		r = env_put(b, strdup(rq->host->has_bash ? "SHELL=/bin/bash" : "SHELL=/bin/sh"),
			    err);
	if (r == 0)
		r = env_put(b, str_printf("PWD=%s", b->plan.cwd), err);
	if (r == 0)
		r = env_threads(b, rq, err);
	if (r == 0)
		r = env_from_options(b, rq, err);
	b->plan.envp = b->env;
	return r;
}

/* The workspace's name as a prompt may show it: a directory can have any name. */
static void prompt_name(const char *name, char out[static 33])
{
	size_t n = 0;

	for (; name && name[n] && n < 32; n++) {
		bool plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-+",
				    name[n]) != NULL;

		out[n] = plain ? name[n] : '_';
	}
	out[n] = '\0';
}

/* The start-up file reaches bash through a pipe that a first bash fills from its own arguments: no
 * file is left, in the workspace or elsewhere, and PS1 stays out of the environment. */
static int build_shell(struct built_plan *b, const struct plan_request *rq, struct err *err)
{
	char name[33];
	int r;

	prompt_name(rq->workspace_name, name);
	if (!rq->interactive) {
		b->argv_own[0] = (char *)(rq->host->has_bash ? "bash" : "sh");
		return 0;
	}
	if (!rq->host->has_bash) {
		r = env_put(b, str_printf("PS1=sbx:%s $ ", name), err);
		b->argv_own[0] = (char *)"sh";
		b->argv_own[1] = (char *)"-i";
		return r;
	}
	b->rc = str_printf("exec 3<&-\n"
			   "if [ \"${TERM:-dumb}\" = dumb ]; then PS1='sbx:%s \\w \\$ '\n"
			   "else PS1='\\[\\e[1;36m\\]sbx:%s\\[\\e[0m\\] \\w \\$ '\n"
			   "alias ls='ls --color=auto' grep='grep --color=auto'; fi\n"
			   "HISTCONTROL=ignoreboth; shopt -s checkwinsize\n"
			   /* Reading it takes longer than starting the shell: at the first Tab. */
			   "_sbx_completion() {\n"
			   "complete -r -D; unset -f _sbx_completion\n"
			   ". /usr/share/bash-completion/bash_completion && return 124; }\n"
			   "[ ! -r /usr/share/bash-completion/bash_completion ] || complete -D -F "
			   "_sbx_completion\n"
			   "[ ! -r ~/.bashrc ] || . ~/.bashrc\n",
			   name, name);
	if (!b->rc)
		return err_set(err, -ENOMEM, "build the shell's start-up file");
	b->argv_own[0] = (char *)"bash";
	b->argv_own[1] = (char *)"-c";
	b->argv_own[2] = (char *)"exec bash --rcfile /dev/fd/3 -i 3<<<\"$0\"";
	b->argv_own[3] = b->rc;
	return 0;
}

/* "PATH" or "PATH:DEST"; the last ":/" divides. */
static int build_bind(struct built_plan *b, const struct plan_request *rq, const char *text,
		      struct plan_bind *ret, struct err *err)
{
	const char *cut = NULL;
	char *path;

	for (const char *p = text; (p = strstr(p, ":/")) != NULL; p++)
		cut = p == text ? cut : p;
	path = keep(b, cut ? strndup(text, (size_t)(cut - text)) : strdup(text));
	if (!path)
		return err_set(err, -ENOMEM, "--ro '%s'", text);
	ret->source = keep(b, rq->host->resolve(path));
	if (!ret->source)
		return err_set(err, -errno, "--ro: '%s'", path);
	/* A relative path is shown where it really is; a link to a folder where it was named. */
	ret->dest = cut ? cut + 1 : path[0] == '/' ? path : ret->source;
	if (!cut)
		for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
			path[n - 1] = '\0';
	if (!path_is_clean_absolute(ret->dest))
		return err_set(err, -EINVAL,
			       "--ro: '%s' must be an absolute path without '.', '..' or '//'.",
			       ret->dest);
	return 0;
}

/* Shown whole, nothing to verify, and nothing of our own in it, which the daemon would hide. */
static bool is_direct(const json_t *row, const char *source, const char *workspace)
{
	const char *kind = json_string_value(json_object_get(row, "kind"));
	const size_t n = strlen(source);

	if (!kind || strcmp(kind, "dir") != 0 || json_object_get(row, "include") ||
	    json_object_get(row, "exclude") || json_object_get(row, "pin"))
		return false;
	return n > 1 &&
	       (strncmp(workspace, source, n) != 0 || (workspace[n] && workspace[n] != '/'));
}

/* Names and sources are the settings', which live as long as the session. */
static int build_directs(struct built_plan *b, const struct plan_request *rq, struct err *err)
{
	const json_t *rows = json_object_get(rq->settings, "datasets"), *row;
	size_t i;

	if (!rq->direct || json_array_size(rows) == 0)
		return 0;
	b->directs = calloc(json_array_size(rows), sizeof(*b->directs));
	if (!b->directs)
		return err_set(err, -ENOMEM, "plan the datasets");
	json_array_foreach (rows, i, row) {
		struct plan_direct d = {
			.name = json_string_value(json_object_get(row, "name")),
			.source = json_string_value(json_object_get(row, "source")),
		};

		if (d.name && d.source && is_direct(row, d.source, rq->direct))
			b->directs[b->plan.ndirects++] = d;
	}
	b->plan.directs = b->directs;
	return 0;
}

int plan_build(const struct plan_request *rq, struct built_plan **ret, struct err *err)
{
	const struct sbx_shell_opts *o = rq->opts;
	struct built_plan *b = calloc(1, sizeof(*b));
	struct sandbox_plan *p = b ? &b->plan : NULL;
	int r;

	if (!b)
		return err_set(err, -ENOMEM, "plan the run");
	p->workspace = (struct plan_workspace){ .userns_fd = -1, .mntns_fd = -1 };
	p->stdio[0] = p->stdio[1] = p->stdio[2] = -1;
	p->home_persist = o->home && !strcmp(o->home, "persist");
	p->uid = o->uid.set ? (uid_t)o->uid.value : 1000;
	p->hostname = "sandbox";
	p->cwd = o->cwd ? o->cwd : "/workspace";
	p->tty = rq->tty;
	p->allow_degraded = o->allow_degraded;
	p->explain = o->explain;
	p->run_id = rq->run_id;
	r = build_limits(rq, &p->limits, err);
	if (r == 0 && !path_is_clean_absolute(p->cwd))
		r = err_set(err, -EINVAL,
			    "--cwd: '%s' must be an absolute path without '.', '..' or '//'.",
			    p->cwd);
	for (size_t i = 0; r == 0 && i < o->ro.n; i++)
		r = build_bind(b, rq, o->ro.v[i], &b->binds[p->nbinds++], err);
	p->binds = b->binds;
	if (r == 0)
		r = build_directs(b, rq, err);
	if (r == 0)
		r = build_env(b, rq, err);
	p->argv = rq->command;
	if (r == 0 && !rq->command) {
		r = build_shell(b, rq, err);
		p->argv = b->argv_own;
	}
	if (r < 0) {
		built_plan_free(b);
		return r;
	}
	*ret = b;
	return 0;
}
