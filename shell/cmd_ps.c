/* sbxctl ps, kill: the runs that are going on, of this user, in any workspace. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"

#define KILL_WAIT_MS 15000 /* the grace of a run is 2 s unless asked otherwise */

struct ps_opts {
	struct ctl_common common;
	bool all;
};

struct kill_opts {
	struct ctl_common common;
	bool now, all;
};

static const struct opt ps_table[] = {
	{ "all", 'a', OPT_FLAG, offsetof(struct ps_opts, all), NULL, NULL,
	  .help = "With WS: also the runs that have ended, from their records." },
	CTL_OPT_JSON,
	CTL_OPT_END,
};

static const struct opt kill_table[] = {
	{ "now", 0, OPT_FLAG, offsetof(struct kill_opts, now), NULL, NULL,
	  .help = "Do not give the run its grace: end it at once." },
	{ "all", 'a', OPT_FLAG, offsetof(struct kill_opts, all), NULL, NULL,
	  .help = "All runs of yours that are going on, or those of one workspace." },
	CTL_OPT_JSON,
	CTL_OPT_END,
};

/* The supervisor's command line, blanks between the words; "" when it cannot be read. */
static void command_of(uint64_t pid, char *out, size_t size)
{
	char path[64];
	autofree char *text = NULL;
	size_t n = 0;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%llu/cmdline", (unsigned long long)pid);
	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return;
	for (; n + 1 < size && (text[n] || text[n + 1]); n++)
		out[n] = text[n] ? text[n] : ' ';
	out[n] = '\0';
}

/* Every session of every daemon: {"run","pid","since","workspace","command"}. */
static json_t *all_runs(void)
{
	autojson json_t *served = ctl_served();
	json_t *runs = json_array(), *s, *v;
	size_t i, k;

	json_array_foreach (served, i, s)
		json_array_foreach (json_object_get(s, "sessions"), k, v) {
			char raw[1024], command[4096];

			command_of(ctl_u64(v, "pid"), raw, sizeof(raw));
			str_printable(raw, command, sizeof(command));
			json_object_set(v, "workspace", json_object_get(s, "path"));
			json_object_set_new(v, "command", json_string(command));
			json_array_append(runs, v);
		}
	return runs;
}

/* How long ago "2026-11-20T10:15:00Z" was. */
static void age_text(const char *since, char *out, size_t size)
{
	struct tm tm = { 0 };
	time_t now = time(NULL), then;
	unsigned long long s;

	if (!strptime(since, "%Y-%m-%dT%H:%M:%SZ", &tm)) {
		snprintf(out, size, "-");
		return;
	}
	then = timegm(&tm);
	s = now > then ? (unsigned long long)(now - then) : 0;
	if (s < 120)
		snprintf(out, size, "%llus", s);
	else if (s < 7200)
		snprintf(out, size, "%llum", s / 60);
	else
		snprintf(out, size, "%lluh", s / 3600);
}

/* Keep the runs of the workspace at 'path'. */
static void keep_workspace(json_t *runs, const char *path)
{
	for (size_t i = json_array_size(runs); i-- > 0;)
		if (strcmp(ctl_str(json_array_get(runs, i), "workspace"), path) != 0)
			json_array_remove(runs, i);
}

static void print_running(const json_t *runs)
{
	static const char *const heads[] = { "RUN", "PID", "AGE", "WORKSPACE", "COMMAND", NULL };
	struct out_table *t;
	json_t *v;
	size_t i;

	if (json_array_size(runs) == 0) {
		puts("No runs.");
		return;
	}
	t = out_table_new(heads);
	json_array_foreach (runs, i, v) {
		char age[24];

		age_text(ctl_str(v, "since"), age, sizeof(age));
		out_cell(t, "%s", ctl_str(v, "run"));
		out_cell(t, "%llu", (unsigned long long)ctl_u64(v, "pid"));
		out_cell(t, "%s", age);
		out_cell(t, "%s", ctl_str(v, "workspace"));
		out_cell(t, "%.60s", ctl_str(v, "command"));
	}
	out_table_print(t);
	out_table_free(t);
}

static void print_ended(const json_t *records)
{
	static const char *const heads[] = { "RUN", "VERDICT", "EXIT", "TOOK", "COMMAND", NULL };
	struct out_table *t = out_table_new(heads);
	json_t *v;
	size_t i;

	json_array_foreach (records, i, v) {
		json_t *code = json_object_get(v, "exit_code");
		char took[24];

		format_duration(ctl_u64(v, "wall_ms"), took);
		out_cell(t, "%s", ctl_str(v, "run"));
		out_cell(t, "%s", ctl_str(v, "verdict"));
		if (json_is_integer(code))
			out_cell(t, "%lld", (long long)json_integer_value(code));
		else
			out_cell(t, "-");
		out_cell(t, "%s", took);
		out_cell(t, "%.60s",
			 json_is_true(json_object_get(v, "interactive")) ? "(a shell)"
									 : ctl_str(v, "command"));
	}
	out_table_print(t);
	out_table_free(t);
}

static int ps_run(void *opts, int argc, char **argv)
{
	const struct ps_opts *o = opts;
	autojson json_t *runs = NULL, *records = NULL, *both = NULL;
	autofree char *path = NULL;
	struct err err = { 0 };
	int r = 0;

	if (o->all && argc == 0)
		return ctl_usage(
			"--all needs a workspace: the records of its runs are kept there.");
	if (argc == 1) {
		r = ctl_check_workspace(argv[0], &err);
		path = r == 0 ? realpath(argv[0], NULL) : NULL;
	}
	if (r == 0 && o->all)
		r = ctl_run_records(argv[0], SIZE_MAX, &records, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	runs = all_runs();
	if (path)
		keep_workspace(runs, path);
	if (o->common.json) {
		both = records ? json_pack("{s:O, s:O}", "running", runs, "ended", records)
			       : json_incref(runs);
		out_json(both);
		return CTL_OK;
	}
	if (!records || json_array_size(runs) > 0)
		print_running(runs);
	if (records)
		print_ended(records);
	return CTL_OK;
}

/* The one run whose id is, or begins or ends with, 'name'; borrowed from 'runs'. */
static int find_run(const json_t *runs, const char *name, json_t **ret, struct err *err)
{
	size_t len = strlen(name), i, found = 0;
	json_t *v;

	json_array_foreach (runs, i, v) {
		const char *id = ctl_str(v, "run");
		size_t n = strlen(id);

		if (n < len || (strncmp(id, name, len) != 0 && strcmp(id + n - len, name) != 0))
			continue;
		*ret = v;
		if (n == len)
			return 0;
		found++;
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return err_set(err, -EINVAL, "'%s' may be any of %zu runs: give more of its id.",
			       name, found);
	return err_set(err, -ESRCH, "there is no run '%s' going on; 'sbxctl ps' lists them.", name);
}

/* A number alone may have come to belong to somebody else. */
static bool is_supervisor(uint64_t pid)
{
	char path[64];
	autofree char *comm = NULL;

	snprintf(path, sizeof(path), "/proc/%llu/comm", (unsigned long long)pid);
	return fd_read_attr(AT_FDCWD, path, &comm) == 0 && !strcmp(comm, "sbx-shell\n");
}

/* The supervisor ends everything inside when it is told to end, and also when it is killed. */
static int end_run(const char *name, int sig, struct err *err)
{
	autojson json_t *runs = all_runs(), *again = NULL;
	autoclose int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	json_t *run, *same;
	int r = find_run(runs, name, &run, err);

	if (r < 0)
		return r;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)ctl_u64(run, "pid"), 0);
	if (pidfd < 0 && errno == ESRCH)
		return 0;
	if (pidfd < 0)
		return err_set(err, -errno, "find process %llu of run '%s'",
			       (unsigned long long)ctl_u64(run, "pid"), name);
	/* Asked again with the descriptor in hand: does the number still belong to the run? */
	again = all_runs();
	if (find_run(again, ctl_str(run, "run"), &same, NULL) < 0 ||
	    ctl_u64(same, "pid") != ctl_u64(run, "pid") || !is_supervisor(ctl_u64(run, "pid")))
		return 0;
	if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0)
		return errno == ESRCH ? 0 : err_set(err, -errno, "end run '%s'", name);
	p.fd = pidfd;
	do
		r = poll(&p, 1, KILL_WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(err, -ETIMEDOUT,
			       "run '%s' has not ended yet; 'sbxctl kill --now %s' does not wait.",
			       name, name);
	return 0;
}

/* Those that ended meanwhile count, too. */
static int end_all(const char *ws, int sig, json_t *ended, struct err *err)
{
	autojson json_t *runs = all_runs();
	autofree char *path = NULL;
	int first = ws ? ctl_check_workspace(ws, err) : 0;
	json_t *v;
	size_t i;

	if (first < 0)
		return first;
	path = ws ? realpath(ws, NULL) : NULL;
	if (path)
		keep_workspace(runs, path);

	json_array_foreach (runs, i, v) {
		struct err one = { 0 };
		int r = end_run(ctl_str(v, "run"), sig, &one);

		if (r == 0 || r == -ESRCH) {
			json_array_append(ended, json_object_get(v, "run"));
		} else if (first == 0) {
			first = r;
			*err = one;
		}
	}
	return first;
}

static int kill_run(void *opts, int argc, char **argv)
{
	const struct kill_opts *o = opts;
	autojson json_t *ended = json_array(), *reply = NULL;
	int r, sig = o->now ? SIGKILL : SIGTERM;
	struct err err = { 0 };
	json_t *v;
	size_t i;

	if (!o->all && argc == 0)
		return ctl_usage("name a run, or --all; 'sbxctl ps' lists the runs.");
	if (argc == 1 && !*argv[0])
		return ctl_usage("the run's id is empty; 'sbxctl ps' lists the runs.");
	r = o->all ? end_all(argc == 1 ? argv[0] : NULL, sig, ended, &err)
		   : end_run(argv[0], sig, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (!o->all)
		json_array_append_new(ended, json_string(argv[0]));
	if (o->common.json) {
		reply = o->all ? json_pack("{s:O}", "ended", ended)
			       : json_pack("{s:s}", "ended", argv[0]);
		out_json(reply);
		return CTL_OK;
	}
	json_array_foreach (ended, i, v)
		printf("Ended run %s\n", json_string_value(v));
	if (json_array_size(ended) == 0)
		puts("No runs.");
	return CTL_OK;
}

static const struct opt_example ps_examples[] = {
	{ "sbxctl ps", "All runs of yours that are going on." },
	{ "sbxctl ps --all ws", "How the runs of a workspace ended." },
	{ NULL, NULL },
};

const struct opt_command cmd_ps = {
	.name = "ps",
	.args = "[WS]",
	.summary = "list the runs that are going on, or those of one workspace",
	.opts = ps_table,
	.examples = ps_examples,
	.min_args = 0,
	.max_args = 1,
	.run = ps_run,
	.opts_size = sizeof(struct ps_opts),
};

const struct opt_command cmd_kill = {
	.name = "kill",
	.args = "RUN\n--all [WS]",
	.summary = "end a run: TERM, its grace, then everything inside is gone",
	.description = "RUN is the id that 'sbxctl ps' prints, or enough of its beginning or end.",
	.opts = kill_table,
	.min_args = 0,
	.max_args = 1,
	.run = kill_run,
	.opts_size = sizeof(struct kill_opts),
};
