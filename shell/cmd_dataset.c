/* sbxctl dataset add, list, remove. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

static const struct opt dataset_table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

struct add_opts {
	struct ctl_common common;
	const char *as;
	struct opt_list include, exclude;
	bool pin;
};

static const char *const as_words[] = { "auto", "file", "archive", NULL };

static const struct opt add_table[] = {
	{ "as", 'a', OPT_ENUM, offsetof(struct add_opts, as), "KIND", "auto",
	  .help = "What a SOURCE that is a file is shown as: 'archive' what is in it, 'file' "
		  "itself; "
		  "'auto' goes by its content.",
	  .choices = as_words },
	{ "include", 'i', OPT_LIST, offsetof(struct add_opts, include), "GLOB", NULL,
	  .help = "Show of a directory only what matches, or is in a directory that does; may be "
		  "given several times." },
	{ "exclude", 'x', OPT_LIST, offsetof(struct add_opts, exclude), "GLOB", NULL,
	  .help = "Leave out what matches, with all that is in it, even if it is included." },
	{ "pin", 'p', OPT_FLAG, offsetof(struct add_opts, pin), NULL, NULL,
	  .help = "Read all of it now and record its digest: from then on what is read is "
		  "verified, "
		  "and anything else gives an I/O error." },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

static json_t *patterns(const struct opt_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(list, json_string(l->v[i]));
	return list;
}

/* Size and files are known of archives and of what is pinned: nobody has to walk over them. */
static void print_sizes(struct out_table *t, const json_t *d)
{
	char size[24];

	if (!json_object_get(d, "files")) {
		out_cell(t, "-");
		out_cell(t, "-");
		return;
	}
	format_size(ctl_u64(d, "bytes"), size);
	out_cell(t, "%s", size);
	out_cell(t, "%llu", (unsigned long long)ctl_u64(d, "files"));
}

/* The digest's beginning; when it was last compared with the source; what of it is unpacked. */
static void print_states(struct out_table *t, const json_t *d)
{
	const char *verified = ctl_str(d, "pin.verified");
	char done[24], total[24];

	if (!json_object_get(d, "pin")) {
		out_cell(t, "-");
		out_cell(t, "-");
	} else {
		out_cell(t, "%.12s", ctl_str(d, "pin.digest"));
		if (ctl_u64(d, "pin.damaged") > 0)
			out_cell(t, "%s, %llu differ", verified,
				 (unsigned long long)ctl_u64(d, "pin.damaged"));
		else
			out_cell(t, "%s", *verified ? verified : "never");
	}
	if (ctl_u64(d, "unpacked.total") == 0) {
		out_cell(t, "-");
		return;
	}
	format_size(ctl_u64(d, "unpacked.done"), done);
	format_size(ctl_u64(d, "unpacked.total"), total);
	out_cell(t, "%s of %s", done, total);
}

static int print_datasets(const struct ctl_common *o, json_t *reply)
{
	static const char *const heads[] = { "NAME",     "KIND",  "SIZE",   "FILES", "PIN",
					     "VERIFIED", "CACHE", "SOURCE", "STATE", NULL };
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
		print_sizes(t, d);
		print_states(t, d);
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

/* -- waiting for the daemon ---------------------------------------------------- */

#define ASK_FIRST_MS 2
#define ASK_LAST_MS  100

static void draw_indexing(const json_t *p)
{
	uint64_t done = ctl_u64(p, "done"), total = ctl_u64(p, "total");
	char a[24], b[24];

	format_size(done, a);
	format_size(total, b);
	ctl_bar(done, total, "indexing: %s of %s, %llu entries", a, b,
		(unsigned long long)ctl_u64(p, "entries"));
}

static void draw_pinning(const json_t *p)
{
	ctl_draw_reading("pinning", p);
}

/* The request again and again, until the daemon is done. '*ret' is its last
 * answer. */
static int ask_until_done(struct fsc *c, const json_t *request, void (*draw)(const json_t *p),
			  json_t **ret, struct err *err)
{
	long ms = ASK_FIRST_MS;
	int r;

	for (;;) {
		autojson json_t *reply = NULL;

		r = ctl_call(c, json_deep_copy(request), &reply, err);
		if (ctl_interrupted())
			r = err_set(err, -EINTR, "add the dataset");
		if (r < 0 || strcmp(ctl_str(reply, "state"), "running") != 0) {
			if (r == 0)
				*ret = take_ptr(reply);
			break;
		}
		if (ms >= ASK_LAST_MS)
			draw(reply);
		nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
		ms = MIN(ms * 2, ASK_LAST_MS);
	}
	ctl_bar_clear();
	return r;
}

static void note_left_out(const json_t *facts)
{
	static const struct {
		const char *path, *what;
	} rows[] = {
		{ "left_out.names", "with names that cannot be shown ('..', too long)" },
		{ "left_out.kinds", "that are devices, fifos or sockets" },
		{ "left_out.links", "that are hard links to nothing" },
		{ "left_out.replaced", "replaced by later ones of the same name" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ctl_u64(facts, rows[i].path) > 0)
			log_print(LOG_NOTE, "left out: %llu entries %s",
				  (unsigned long long)ctl_u64(facts, rows[i].path), rows[i].what);
}

static void print_added(const char *name, const char *source, const char *kind, const json_t *facts)
{
	char size[24];

	printf("Added dataset %s%s%s: /datasets/%s shows %s%s, read-only\n", out_on(OUT_BOLD), name,
	       out_off(), name, strcmp(kind, "archive") == 0 ? "what is in " : "", source);
	if (strcmp(kind, "archive") != 0)
		return;
	format_size(ctl_u64(facts, "bytes"), size);
	printf("  %s: %llu files, %s\n", ctl_str(facts, "format"),
	       (unsigned long long)ctl_u64(facts, "files"), size);
	note_left_out(facts);
}

/* 'dir', 'file' or 'archive'. */
static int find_kind(struct fsc *c, const struct add_opts *o, const char *name, const char *source,
		     const char **ret, json_t **ret_facts, struct err *err)
{
	autojson json_t *ask = NULL;
	struct stat st;
	int r;

	if (stat(source, &st) < 0)
		return err_set(err, -errno, "dataset source '%s'", source);
	*ret = S_ISDIR(st.st_mode) ? "dir" : "file";
	if (S_ISDIR(st.st_mode) && strcmp(o->as, "auto") != 0)
		return err_set(err, -EISDIR, "'%s' is a directory: it is no %s.", source, o->as);
	if (S_ISDIR(st.st_mode) || strcmp(o->as, "file") == 0)
		return 0;
	ask = json_pack("{s:s, s:s, s:s, s:s}", "op", "dataset-index", "name", name, "source",
			source, "kind", o->as);
	r = ask_until_done(c, ask, draw_indexing, ret_facts, err);
	if (r == 0)
		*ret = ctl_str(*ret_facts, "state");
	return r;
}

/* The pin first: the dataset is added with it, or not at all. */
static int pin_and_add(struct fsc *c, const struct add_opts *o, const char *name,
		       const char *source, const char *kind, json_t **ret_pinned, json_t **ret,
		       struct err *err)
{
	autojson json_t *request =
		json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "op", "dataset-pin", "name", name,
			  "source", source, "kind", kind, "include", patterns(&o->include),
			  "exclude", patterns(&o->exclude));
	int r = 0;

	if (o->pin)
		r = ask_until_done(c, request, draw_pinning, ret_pinned, err);
	if (r == 0 && ctl_interrupted())
		r = err_set(err, -EINTR, "add the dataset");
	if (r < 0)
		return r;
	/* Cut off from here on, nobody could say whether it is there. */
	ctl_catch_signals(false);
	json_object_set_new(request, "op", json_string("dataset-add"));
	json_object_set_new(request, "pin", json_boolean(o->pin));
	return ctl_call(c, take_ptr(request), ret, err);
}

static void print_pinned(const char *name, const json_t *reply)
{
	json_t *d;
	size_t i;
	char size[24];

	json_array_foreach (json_object_get(reply, "datasets"), i, d) {
		if (strcmp(ctl_str(d, "name"), name) != 0)
			continue;
		format_size(ctl_u64(d, "pin.bytes"), size);
		printf("  pinned: %llu files, %s, digest %s\n",
		       (unsigned long long)ctl_u64(d, "pin.files"), size, ctl_str(d, "pin.digest"));
	}
}

static int add_run(void *opts, int argc, char **argv)
{
	struct add_opts *o = opts;
	autofree char *source = NULL;
	autojson json_t *reply = NULL, *facts = NULL, *pinned = NULL;
	autofsc struct fsc *c = NULL;
	const char *kind = NULL;
	struct err err = { 0 };
	int r;

	(void)argc;
	if (!name_is_plain(argv[1]))
		return ctl_usage(
			"'%s' is not a dataset name: letters, digits, '.', '_' and '-', the "
			"first a letter or digit, at most 64.",
			argv[1]);
	if (!o->as)
		o->as = "auto";
	ctl_catch_signals(true);
	r = resolve_source(argv[2], &source, &err);
	if (r == 0)
		r = ctl_open(argv[0], &o->common, &c, &err);
	if (r == 0)
		r = find_kind(c, o, argv[1], source, &kind, &facts, &err);
	if (r == 0)
		r = pin_and_add(c, o, argv[1], source, kind, &pinned, &reply, &err);
	ctl_bar_clear();
	if (ctl_interrupted()) {
		log_print(LOG_NOTE, "interrupted: the dataset was not added, nothing was changed");
		return 128 + ctl_interrupted();
	}
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->common.json)
		return print_datasets(&o->common, reply);
	print_added(argv[1], source, kind, facts);
	if (pinned)
		print_pinned(argv[1], reply);
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

/* After "there is no dataset": the one that was probably meant, or what there is. */
static int no_dataset(const struct ctl_common *o, const char *ws, const char *name, struct err *err)
{
	autojson json_t *reply = NULL;
	const char *names[64], *near;
	json_t *list, *d;
	size_t i, n = 0;

	if (ctl_ask(ws, o, json_pack("{s:s}", "op", "dataset-list"), &reply, NULL) < 0)
		return -ENOENT;
	list = json_object_get(reply, "datasets");
	json_array_foreach (list, i, d)
		if (n < ARRAY_LEN(names))
			names[n++] = ctl_str(d, "name");
	near = opt_nearest(name, names, n);
	if (near)
		return err_set(err, -ENOENT,
			       "there is no dataset '%s'; did you mean '%s'?  Nothing was removed.",
			       name, near);
	return err_set(err, -ENOENT, "there is no dataset '%s'; 'sbxctl dataset list %s' has %zu.",
		       name, ws, n);
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
	if (r == -ENOENT)
		r = no_dataset(o, argv[0], argv[1], &err);
	if (r < 0)
		return ctl_fail(r, &err);
	if (o->json)
		return print_datasets(o, reply);
	printf("Removed dataset %s from the workspace; its source was not touched\n", argv[1]);
	return CTL_OK;
}

static const struct opt_example add_examples[] = {
	{ "sbxctl dataset add ws words /usr/share/dict", "A directory as /datasets/words." },
	{ "sbxctl dataset add ws tables tables.tar.gz",
	  "What is in the archive as /datasets/tables." },
	{ "sbxctl dataset add ws some /usr/share/dict --include '*-english' --exclude private/",
	  "Of a directory only what matches, and nothing in a directory named 'private'." },
	{ "sbxctl dataset add ws pinned /usr/share/dict --pin",
	  "Shown as it is now, or not at all: any later change is an I/O error." },
	{ NULL, NULL },
};

const struct opt_command cmd_dataset_add = {
	.name = "dataset add",
	.args = "WS NAME SOURCE",
	.summary = "show a directory, a file or an archive read-only as /datasets/NAME",
	.description =
		"SOURCE is a directory, a single file or an archive of the host. Code inside sees "
		"a directory and what is in an archive as /datasets/NAME/... and a file as "
		"/datasets/NAME/FILE; it can change none of them. The source must stay where it "
		"is.\n\n"
		"With --pin all of it is read now, with all processors and on a terminal with a "
		"progress bar, and its digest is recorded: from then on what is read is verified "
		"block by block, and what is not as it was pinned gives an I/O error (see "
		"DATASETS).\n\n"
		"Archives are tar (plain or compressed), zip, 7z, iso, cpio and rar, known by "
		"their "
		"content; documents that are kept as a zip (spreadsheets, jars, NumPy's npz) are "
		"files. A single compressed file (data.csv.gz) shows data.csv. An archive is read "
		"through once to index it, on a terminal with a progress bar. Members of a plain "
		"tar "
		"are read where they are; others are unpacked when first read, all at once, into "
		"WS/cache, which is bounded by quota.cache (10G). An archive that is damaged, cut "
		"off or encrypted is refused. Of what is in it, names with '..', devices, fifos "
		"and "
		"sockets are left out, a leading '/' does not count, and of several entries with "
		"one "
		"name the last is shown. When the archive changes, it is indexed again when it is "
		"next used.",
	.opts = add_table,
	.examples = add_examples,
	.min_args = 3,
	.max_args = 3,
	.run = add_run,
	.opts_size = sizeof(struct add_opts),
};

const struct opt_command cmd_dataset_list = {
	.name = "dataset list",
	.args = "WS",
	.summary = "list the datasets: kind, size, pin, last check, cache, source",
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
