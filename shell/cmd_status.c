/* sbxctl status: one workspace in detail, or all that this user serves. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "shell/ctl_mounts.h"

static const struct opt table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

/* "12.3M of 2G (1%)" or "12.3M, no limit" */
static void used_text(uint64_t used, uint64_t limit, char *out, size_t size)
{
	char a[24], b[24];

	format_size(used, a);
	format_size(limit, b);
	if (limit)
		snprintf(out, size, "%s of %s (%llu%%)", a, b,
			 (unsigned long long)((__uint128_t)used * 100 / limit));
	else
		snprintf(out, size, "%s, no limit", a);
}

static void print_quota(const json_t *s)
{
	uint64_t files = ctl_u64(s, "quota.files"), limit = ctl_u64(s, "quota.limit_files");
	char text[80];

	used_text(ctl_u64(s, "quota.bytes"), ctl_u64(s, "quota.limit_bytes"), text, sizeof(text));
	out_pair("outputs", "%s", text);
	if (!strcmp(ctl_str(s, "quota.writes"), "through"))
		out_pair("writes", "not cached now: the limit or the end of the disk is close");
	else if (!strcmp(ctl_str(s, "quota.writes"), "strict"))
		out_pair("writes", "never cached (quota.strict)");
	if (limit)
		out_pair("files", "%llu of %llu", (unsigned long long)files,
			 (unsigned long long)limit);
	else
		out_pair("files", "%llu", (unsigned long long)files);
}

static void print_datasets(const json_t *s)
{
	json_t *list = json_object_get(s, "datasets"), *d;
	const char *title = "datasets";
	size_t i;

	json_array_foreach (list, i, d) {
		bool reachable = true;

		(void)json_get_bool(d, "reachable", &reachable, NULL);
		out_pair(title, "%s: %s%s", ctl_str(d, "name"), ctl_str(d, "source"),
			 reachable ? "" : " (not reachable)");
		title = "";
	}
	if (i == 0)
		out_pair(title, "none");
}

static void print_strings(const char *title, const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach (list, i, v) {
		out_pair(title, "%s", json_is_string(v) ? json_string_value(v) : "");
		title = "";
	}
}

static void print_sessions(const json_t *s)
{
	json_t *list = json_object_get(s, "sessions"), *v;
	const char *title = "runs";
	size_t i;

	json_array_foreach (list, i, v) {
		out_pair(title, "%s (process %llu)", ctl_str(v, "run"),
			 (unsigned long long)ctl_u64(v, "pid"));
		title = "";
	}
	if (i == 0)
		out_pair(title, "none now");
}

/* How the newest run ended, if any did. */
static void print_last(const char *ws)
{
	autojson json_t *last = NULL;
	const json_t *v;

	if (ctl_run_records(ws, 1, &last, NULL) < 0 || json_array_size(last) == 0)
		return;
	v = json_array_get(last, 0);
	out_pair("last run", "%s: %s%s%s", ctl_str(v, "run"), ctl_str(v, "verdict"),
		 *ctl_str(v, "reason") ? ", " : "", ctl_str(v, "reason"));
}

static void print_one(const json_t *s, bool was_served)
{
	bool read_only = json_is_true(json_object_get(s, "read_only"));

	printf("%s%s%s\n", out_on(OUT_BOLD), ctl_str(s, "path"), out_off());
	out_pair("id", "%s", ctl_str(s, "id"));
	out_pair("cipher", "%s%s", ctl_str(s, "cipher"), read_only ? ", opened read-only" : "");
	if (was_served)
		out_pair("served", "%syes%s, by process %llu", "", "",
			 (unsigned long long)ctl_u64(s, "pid"));
	else
		out_pair("served", "no");
	if (json_is_false(json_object_get(s, "keys_locked")))
		out_pair("keys", "in memory that may be swapped ('sbxctl doctor' says why)");
	print_quota(s);
	print_datasets(s);
	print_sessions(s);
	print_last(ctl_str(s, "path"));
	print_strings("mounted on", json_object_get(s, "mounts"));
	if (ctl_u64(s, "open_files"))
		out_pair("open files", "%llu", (unsigned long long)ctl_u64(s, "open_files"));
	print_strings("log", json_object_get(s, "messages"));
}

static int status_one(const struct ctl_common *o, const char *ws)
{
	struct fsc_options quiet = { .ws = ws };
	autojson json_t *reply = NULL;
	autofsc struct fsc *c = NULL;
	struct err err = { 0 };
	bool was_served;
	int r = ctl_check_workspace(ws, &err);

	if (r < 0)
		return ctl_fail(r, &err);
	r = fsc_open(&quiet, &c, &err);
	was_served = r == 0;
	if (r == -ENOTCONN)
		r = ctl_open(ws, o, &c, &err);
	if (r == 0)
		r = ctl_call(c, json_pack("{s:s}", "op", "status"), &reply, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	json_object_del(reply, "ok");
	json_object_set_new(reply, "served", json_boolean(was_served));
	json_object_set_new(reply, "pid",
			    was_served ? json_integer((json_int_t)fsc_pid(c)) : json_null());
	if (o->json)
		out_json(reply);
	else
		print_one(reply, was_served);
	return CTL_OK;
}

/* Mounts whose daemon was killed belong to nobody who could list them. */
static int add_dead(const char *point, const char *options, void *arg)
{
	if (mounts_is_dead(point))
		json_array_append_new(arg, json_string(point));
	return 0;
}

static void print_all(const json_t *served, const json_t *dead)
{
	static const char *const heads[] = { "WORKSPACE", "USED",       "LIMIT",
					     "RUNS",      "MOUNTED ON", NULL };
	struct out_table *t = out_table_new(heads);
	char used[24], limit[24];
	json_t *s, *m;
	size_t i;

	json_array_foreach (served, i, s) {
		json_t *mounts = json_object_get(s, "mounts");
		uint64_t most = ctl_u64(s, "quota.limit_bytes");

		format_size(ctl_u64(s, "quota.bytes"), used);
		format_size(most, limit);
		m = json_array_get(mounts, 0);
		out_cell(t, "%s", ctl_str(s, "path"));
		out_cell(t, "%s", used);
		out_cell(t, "%s", most ? limit : "none");
		out_cell(t, "%zu", json_array_size(json_object_get(s, "sessions")));
		out_cell(t, "%s", json_is_string(m) ? json_string_value(m) : "-");
	}
	if (json_array_size(served) > 0)
		out_table_print(t);
	else
		puts("No workspace is in use now.");
	out_table_free(t);
	json_array_foreach (dead, i, m)
		printf("%sThe daemon of the mount %s was killed%s: clear it with 'sbxctl umount "
		       "%s'\n",
		       out_on(OUT_YELLOW), json_string_value(m), out_off(), json_string_value(m));
}

static int status_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *served = NULL, *dead = NULL, *both = NULL;

	if (argc == 1)
		return status_one(o, argv[0]);
	served = ctl_served();
	dead = json_array();
	(void)mounts_each(add_dead, dead);
	if (!o->json) {
		print_all(served, dead);
		return CTL_OK;
	}
	both = json_pack("{s:O, s:O}", "served", served, "dead_mounts", dead);
	out_json(both);
	return CTL_OK;
}

static const struct opt_example status_examples[] = {
	{ "sbxctl status", "What is in use now, by you." },
	{ "sbxctl status ws", "One workspace: quota used, datasets, runs, mounts." },
	{ NULL, NULL },
};

const struct opt_command cmd_status = {
	.name = "status",
	.args = "[WS]",
	.summary = "quota used, runs and mounts of one workspace, or what is in use now",
	.opts = table,
	.examples = status_examples,
	.min_args = 0,
	.max_args = 1,
	.run = status_run,
	.opts_size = sizeof(struct ctl_common),
};
