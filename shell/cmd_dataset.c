/* sbxctl dataset add, list, remove. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

static const struct opt dataset_table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

static int print_datasets(const struct ctl_common *o, json_t *reply)
{
	static const char *const heads[] = { "NAME", "KIND", "SOURCE", "STATE", NULL };
	json_t *list = json_object_get(reply, "datasets"), *d;
	struct out_table *t;
	size_t i;

	if (o->json) {
		out_json(list);
		return CTL_OK;
	}
	if (json_array_size(list) == 0) {
		puts("No datasets.");
		return CTL_OK;
	}
	t = out_table_new(heads);
	json_array_foreach (list, i, d) {
		bool reachable = true;

		(void)json_get_bool(d, "reachable", &reachable, NULL);
		out_cell(t, "%s", ctl_str(d, "name"));
		out_cell(t, "%s", ctl_str(d, "kind"));
		out_cell(t, "%s", ctl_str(d, "source"));
		out_cell(t, "%s", reachable ? "ok" : "not reachable");
	}
	out_table_print(t);
	out_table_free(t);
	return CTL_OK;
}

/* The daemon has another working directory, so it gets the absolute path, links resolved: what is
 * shown later is what the list says today. */
static int resolve_source(const char *source, char **ret, struct err *err)
{
	autofree char *path = realpath(source, NULL);
	struct stat st;

	if (!path)
		return err_set(err, -errno, "dataset source '%s'", source);
	if (stat(path, &st) < 0)
		return err_set(err, -errno, "dataset source '%s'", source);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "dataset source '%s' is neither a directory nor a regular file.",
			       source);
	if (access(path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return err_set(err, -errno, "read dataset source '%s'", source);
	*ret = take_ptr(path);
	return 0;
}

static int add_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autofree char *source = NULL;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r;

	(void)argc;
	if (!name_is_plain(argv[1]))
		return ctl_usage(
			"'%s' is not a dataset name: letters, digits, '.', '_' and '-', the "
			"first a letter or digit, at most 64.",
			argv[1]);
	r = resolve_source(argv[2], &source, &err);
	if (r == 0)
		r = ctl_ask(argv[0], o,
			    json_pack("{s:s, s:s, s:s}", "op", "dataset-add", "name", argv[1],
				      "source", source),
			    &reply, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->json)
		return print_datasets(o, reply);
	printf("Added dataset %s%s%s: /datasets/%s shows %s, read-only\n", out_on(OUT_BOLD),
	       argv[1], out_off(), argv[1], source);
	return CTL_OK;
}

static int list_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r = ctl_ask(argv[0], o, json_pack("{s:s}", "op", "dataset-list"), &reply, &err);

	(void)argc;
	return r < 0 ? ctl_fail(r, &err) : print_datasets(o, reply);
}

static int remove_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *reply = NULL;
	struct err err = { 0 };
	int r = ctl_ask(argv[0], o,
			json_pack("{s:s, s:s}", "op", "dataset-remove", "name", argv[1]), &reply,
			&err);

	(void)argc;
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->json)
		return print_datasets(o, reply);
	printf("Removed dataset %s from the workspace; its source was not touched\n", argv[1]);
	return CTL_OK;
}

static const struct opt_example add_examples[] = {
	{ "sbxctl dataset add ws words /usr/share/dict", "A directory as /datasets/words." },
	{ NULL, NULL },
};

const struct opt_command cmd_dataset_add = {
	.name = "dataset add",
	.args = "WS NAME SOURCE",
	.summary = "show a directory or file read-only as /datasets/NAME",
	.description = "SOURCE is a directory or a single file of the host. Code inside sees a "
		       "directory as "
		       "/datasets/NAME/... and a file as /datasets/NAME/FILE; it can change "
		       "neither. Nothing "
		       "is copied: the source must stay where it is.",
	.opts = dataset_table,
	.examples = add_examples,
	.min_args = 3,
	.max_args = 3,
	.run = add_run,
	.opts_size = sizeof(struct ctl_common),
};

const struct opt_command cmd_dataset_list = {
	.name = "dataset list",
	.args = "WS",
	.summary = "list the datasets and whether their sources can be reached",
	.opts = dataset_table,
	.min_args = 1,
	.max_args = 1,
	.run = list_run,
	.opts_size = sizeof(struct ctl_common),
};

const struct opt_command cmd_dataset_remove = {
	.name = "dataset remove",
	.args = "WS NAME",
	.summary = "take a dataset out of the workspace; its source is not touched",
	.opts = dataset_table,
	.min_args = 2,
	.max_args = 2,
	.run = remove_run,
	.opts_size = sizeof(struct ctl_common),
};
