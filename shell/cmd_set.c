/* sbxctl set, show: the settings of a workspace. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

static const char *const words_all[] = { "all", NULL };
static const char *const on_off[] = { "on", "off", NULL };
static const char *const words_half_none[] = { "half", "none", NULL };

/* Every setting that may be changed, checked here as the option of sbx-shell would be, so that a
 * mistake shows now and not at the next run.  The daemon checks once more. */
static const struct opt keys[] = {
	{ "quota.bytes", .kind = OPT_SIZE, .words = opt_words_none, .min = 65536 },
	{ "quota.cache", .kind = OPT_SIZE, .words = opt_words_none },
	{ "quota.strict", .kind = OPT_ENUM, .choices = on_off },
	{ "quota.files", .kind = OPT_COUNT, .words = opt_words_none, .min = 1 },
	{ "limits.time", .kind = OPT_TIME, .words = opt_words_none, .min = 1 },
	{ "limits.grace", .kind = OPT_TIME },
	{ "limits.cpu_time", .kind = OPT_TIME, .words = opt_words_none, .min = 1 },
	{ "limits.memory", .kind = OPT_SIZE, .words = words_half_none, .min = 1 << 20 },
	{ "limits.cpus", .kind = OPT_MILLI, .words = words_all, .min = 10 },
	{ "limits.pids", .kind = OPT_COUNT, .min = 1 },
	{ "limits.tmp", .kind = OPT_SIZE, .min = 4096 },
	{ "limits.shm", .kind = OPT_SIZE, .words = words_half_none, .min = 4096 },
	{ "limits.home_size", .kind = OPT_SIZE, .min = 4096 },
	{ "limits.output", .kind = OPT_SIZE, .words = opt_words_none },
	{ "limits.fsize", .kind = OPT_SIZE, .words = opt_words_none, .min = 1 },
	{ "limits.nofile", .kind = OPT_COUNT, .min = 8 },
	{ .name = NULL },
};

static int unknown_key(const char *key)
{
	const char *names[ARRAY_LEN(keys)], *near;
	char list[400] = "";
	size_t n = 0, len = 0;

	for (; keys[n].name; n++) {
		names[n] = keys[n].name;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", n ? ", " : "",
					keys[n].name);
	}
	near = opt_nearest(key, names, n);
	for (size_t i = 0; i < n; i++) /* its last part alone */
		if (!strcmp(strchr(names[i], '.') ? strchr(names[i], '.') + 1 : "", key))
			near = names[i];
	if (near)
		return ctl_usage("there is no setting '%s'; did you mean '%s'?", key, near);
	return ctl_usage("there is no setting '%s'; there are: %s.", key, list);
}

/* "quota" is short for quota.bytes. */
static const struct opt *find_key(const char *arg, size_t len)
{
	if (len == strlen("quota") && !memcmp(arg, "quota", len))
		return opt_find(keys, "quota.bytes", strlen("quota.bytes"));
	return opt_find(keys, arg, len);
}

/* One KEY=VALUE into 'changes'. 0 or an exit code, after saying why. */
static int add_change(json_t *changes, const char *arg)
{
	size_t len = strcspn(arg, "=");
	autofree char *key = strndup(arg, len);
	const struct opt *o;
	struct opt_u64 v = { 0 };
	struct err err = { 0 };
	bool number;
	int r;

	if (!key)
		return ctl_fail(-ENOMEM, NULL);
	if (arg[len] != '=' || len == 0)
		return ctl_usage("'%s' is not KEY=VALUE, such as limits.memory=2G.", arg);
	o = find_key(arg, len);
	if (!o)
		return unknown_key(key);
	r = opt_parse_value(o, o->name, arg + len + 1, &v, &err);
	if (r < 0) {
		log_err(r, &err);
		return CTL_USAGE;
	}
	/* Limits are kept as the person wrote them, the quota and counts as numbers. */
	number = !v.word && o->kind == OPT_COUNT;
	if (o->kind != OPT_ENUM && (!strncmp(o->name, "quota.", 6) || number))
		r = json_object_set_new(changes, o->name, json_integer((json_int_t)v.value));
	else
		r = json_object_set_new(changes, o->name, json_string(arg + len + 1));
	return r < 0 ? ctl_fail(-ENOMEM, NULL) : CTL_OK;
}

static void print_section(const char *title, const json_t *obj)
{
	const char *key;
	json_t *v;

	printf("%s%s%s\n", out_on(OUT_BOLD), title, out_off());
	json_object_foreach ((json_t *)obj, key, v) {
		if (json_is_string(v))
			out_pair(key, "%s", json_string_value(v));
		else if (json_is_integer(v))
			out_pair(key, "%lld", (long long)json_integer_value(v));
	}
}

static void print_settings(const char *ws, const json_t *s)
{
	uint64_t bytes = ctl_u64(s, "quota.bytes"), files = ctl_u64(s, "quota.files");
	json_t *list = json_object_get(s, "datasets"), *d;
	char size[24];
	size_t i;

	printf("%sworkspace%s\n", out_on(OUT_BOLD), out_off());
	out_pair("path", "%s", ws);
	out_pair("id", "%s", ctl_str(s, "id"));
	out_pair("created", "%s", ctl_str(s, "created"));
	out_pair("cipher", "%s%s", ctl_str(s, "cipher"),
		 json_is_true(json_object_get(s, "pad")) ? ", sizes padded" : "");
	format_size(bytes, size);
	printf("%squota%s\n", out_on(OUT_BOLD), out_off());
	out_pair("bytes", "%s", bytes ? size : "none");
	if (json_is_true(json_object_get(json_object_get(s, "quota"), "strict")))
		out_pair("strict", "on: every write is a request of its own");
	if (files)
		out_pair("files", "%llu", (unsigned long long)files);
	else
		out_pair("files", "none");
	print_section("limits", json_object_get(s, "limits"));
	printf("%sdatasets%s\n", out_on(OUT_BOLD), out_off());
	json_array_foreach (list, i, d)
		out_pair(ctl_str(d, "name"), "%s", ctl_str(d, "source"));
	if (json_array_size(list) == 0)
		out_pair("none", "%s", "");
	list = json_object_get(s, "recipients");
	if (json_array_size(list) == 0)
		return;
	printf("%srecipients%s\n", out_on(OUT_BOLD), out_off());
	json_array_foreach (list, i, d)
		out_pair(ctl_str(d, "slot"), "%s", ctl_str(d, "public"));
}

static int set_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *changes = json_object(), *reply = NULL;
	struct err err = { 0 };
	int r;

	for (int i = 1; i < argc; i++) {
		r = add_change(changes, argv[i]);
		if (r != CTL_OK)
			return r;
	}
	r = ctl_ask(argv[0], o, json_pack("{s:s, s:O}", "op", "set", "changes", changes), &reply,
		    &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->json)
		out_json(json_object_get(reply, "settings"));
	else
		printf("Changed %d setting%s; runs that are going on keep theirs\n", argc - 1,
		       argc > 2 ? "s" : "");
	return CTL_OK;
}

static int show_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r = ctl_ask(argv[0], o, json_pack("{s:s}", "op", "show"), &reply, &err);

	(void)argc;
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->json)
		out_json(json_object_get(reply, "settings"));
	else
		print_settings(argv[0], json_object_get(reply, "settings"));
	return CTL_OK;
}

static const struct opt table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

static const struct opt_example set_examples[] = {
	{ "sbxctl set ws limits.memory=2G limits.pids=256 quota=10G",
	  "Defaults of the runs to come, and the quota." },
	{ NULL, NULL },
};

const struct opt_command cmd_set = {
	.name = "set",
	.args = "WS KEY=VALUE..",
	.summary = "change the quota or the default limits of runs",
	.description =
		"KEY is quota (short for quota.bytes), quota.files, quota.strict (on: programs "
		"never write into a cache, slower and exact in every case; from the next mount or "
		"first run on), or one of limits.time, grace, "
		"cpu_time, memory, cpus, pids, tmp, shm, home_size, output, fsize and nofile, "
		"which "
		"are the defaults of the options of sbx-shell and take the same values. 'sbxctl "
		"show "
		"WS' lists them all. Either all changes are made or none.",
	.opts = table,
	.examples = set_examples,
	.min_args = 2,
	.max_args = -1,
	.run = set_run,
	.opts_size = sizeof(struct ctl_common),
};

const struct opt_command cmd_show = {
	.name = "show",
	.args = "WS",
	.summary = "print the settings of a workspace",
	.opts = table,
	.min_args = 1,
	.max_args = 1,
	.run = show_run,
	.opts_size = sizeof(struct ctl_common),
};
