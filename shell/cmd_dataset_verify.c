/* sbxctl dataset verify: compares datasets with their pins; the daemon reads them. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

/* As of fsck (doc/control.md). */
#define VERIFY_FOUND  1
#define VERIFY_FAILED 8

#define ASK_FIRST_MS 2
#define ASK_LAST_MS  100

static const struct opt verify_table[] = { CTL_OPT_JSON, CTL_OPT_KEYS, CTL_OPT_END };

struct verify {
	struct fsc *c;
	bool json;
	uint64_t found;
	json_t *rows; /* what --json prints */
};

void ctl_draw_reading(const char *what, const json_t *p)
{
	uint64_t done = ctl_u64(p, "done"), total = ctl_u64(p, "total");
	uint64_t files = ctl_u64(p, "files"), all = ctl_u64(p, "total_files");
	char a[24], b[24];

	if (all == 0) {
		ctl_bar(0, 1, "%s: %llu names", what, (unsigned long long)files);
		return;
	}
	format_size(done, a);
	format_size(total, b);
	/* A file costs some time, however small. */
	ctl_bar(done + files * 65536, total + all * 65536, "%s: %s of %s, %llu of %llu files", what,
		a, b, (unsigned long long)files, (unsigned long long)all);
}

static void print_finding(const char *name, const json_t *f)
{
	printf("%s%s%s: %s/%s: %s\n", out_on(OUT_YELLOW), ctl_str(f, "kind"), out_off(), name,
	       ctl_str(f, "path"), ctl_str(f, "what"));
	fflush(stdout);
}

static void take_findings(struct verify *v, const char *name, const json_t *reply, json_t *all)
{
	json_t *f;
	size_t i;

	json_array_foreach (json_object_get(reply, "findings"), i, f) {
		ctl_bar_clear();
		json_array_append(all, f);
		if (!v->json)
			print_finding(name, f);
	}
}

static void print_done(const char *name, const json_t *reply, uint64_t ms)
{
	uint64_t found = ctl_u64(reply, "found");
	char bytes[24], took[24];
	bool recorded = false;

	format_size(ctl_u64(reply, "total"), bytes);
	format_duration((ms + 999) / 1000 * 1000, took);
	printf("%s%s%s: %llu files (%s) verified in %s: ", out_on(OUT_BOLD), name, out_off(),
	       (unsigned long long)ctl_u64(reply, "total_files"), bytes, took);
	if (found == 0)
		printf("%sas pinned%s\n", out_on(OUT_GREEN), out_off());
	else
		printf("%s%llu not as pinned%s\n", out_on(OUT_RED), (unsigned long long)found,
		       out_off());
	(void)json_get_bool(reply, "recorded", &recorded, NULL);
	if (!recorded)
		log_print(LOG_NOTE,
			  "the time of this check could not be recorded in the workspace");
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int verify_one(struct verify *v, const char *name, struct err *err)
{
	autojson json_t *all = json_array();
	uint64_t started = now_ms();
	long ms = ASK_FIRST_MS;

	for (;;) {
		autojson json_t *reply = NULL;
		int r = ctl_call(v->c,
				 json_pack("{s:s, s:s}", "op", "dataset-verify", "name", name),
				 &reply, err);

		if (r < 0 || ctl_interrupted())
			return ctl_interrupted() ? err_set(err, -EINTR, "verify '%s'", name) : r;
		take_findings(v, name, reply, all);
		if (strcmp(ctl_str(reply, "state"), "running") != 0) {
			ctl_bar_clear();
			if (!v->json)
				print_done(name, reply, now_ms() - started);
			v->found += ctl_u64(reply, "found");
			json_array_append_new(
				v->rows,
				json_pack("{s:s, s:b, s:b, s:I, s:I, s:I, s:O*, s:O*, s:O}", "name",
					  name, "pinned", 1, "ok", ctl_u64(reply, "found") == 0,
					  "found", (json_int_t)ctl_u64(reply, "found"), "files",
					  (json_int_t)ctl_u64(reply, "total_files"), "bytes",
					  (json_int_t)ctl_u64(reply, "total"), "verified",
					  json_object_get(reply, "verified"), "recorded",
					  json_object_get(reply, "recorded"), "findings", all));
			return 0;
		}
		if (ms >= ASK_LAST_MS)
			ctl_draw_reading(name, reply);
		/* More findings wait: no pause. */
		if (json_array_size(json_object_get(reply, "findings")) == 0)
			nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
		ms = MIN(ms * 2, ASK_LAST_MS);
	}
}

/* All of the workspace. */
static int verify_all(struct verify *v, struct err *err)
{
	autojson json_t *reply = NULL;
	json_t *d;
	size_t i, pinned = 0;
	int r = ctl_call(v->c, json_pack("{s:s}", "op", "dataset-list"), &reply, err);

	json_array_foreach (json_object_get(reply, "datasets"), i, d) {
		if (r < 0)
			return r;
		if (json_object_get(d, "pin")) {
			pinned++;
			r = verify_one(v, ctl_str(d, "name"), err);
			continue;
		}
		if (!v->json)
			printf("%s: not pinned, nothing to compare it with\n", ctl_str(d, "name"));
		json_array_append_new(
			v->rows, json_pack("{s:s, s:b}", "name", ctl_str(d, "name"), "pinned", 0));
	}
	if (r == 0 && pinned == 0 && !v->json)
		puts("No dataset is pinned: 'sbxctl dataset add --pin' records what one holds.");
	return r;
}

static int verify_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	autojson json_t *rows = json_array();
	autofsc struct fsc *c = NULL;
	struct verify v = { .json = o->json, .rows = rows };
	struct err err = { 0 };
	int r, code;

	ctl_catch_signals(true);
	r = ctl_open(argv[0], o, &c, &err);
	v.c = c;
	if (r == 0 && argc == 1)
		r = verify_all(&v, &err);
	for (int i = 1; r == 0 && i < argc; i++)
		r = verify_one(&v, argv[i], &err);
	ctl_bar_clear();
	if (ctl_interrupted()) {
		log_print(LOG_NOTE, "interrupted: the datasets are not verified");
		return 128 + ctl_interrupted();
	}
	if (r < 0) {
		code = ctl_fail(r, &err);
		return code == CTL_FAILED ? VERIFY_FAILED : code;
	}
	if (o->json)
		out_json(rows);
	return v.found > 0 ? VERIFY_FOUND : CTL_OK;
}

static const struct opt_example verify_examples[] = {
	{ "sbxctl dataset verify ws", "Compares every pinned dataset with its pin." },
	{ NULL, NULL },
};

const struct opt_command cmd_dataset_verify = {
	.name = "dataset verify",
	.args = "WS [NAME..]",
	.summary = "compare datasets with what was pinned of them",
	.description =
		"Reads all of the datasets that were added with --pin, or of those named, with all "
		"processors, and compares names, types, modes, sizes, targets of symlinks and "
		"every byte with what was pinned. Each difference is one line: its kind (missing, "
		"added, type, mode, size, target, content, unreadable), the path, what it is. The "
		"workspace may be in use. On a terminal a bar shows how far it is; Ctrl-C ends it "
		"at any moment. The time and the result are recorded and shown by 'dataset "
		"list'.\n\n"
		"After a change that is meant, remove the dataset and add it again with --pin.\n\n"
		"Exit code: 0 all is as pinned; 1 something is not; 8 it could not be found out "
		"(a dataset that is not pinned, or none of that name); 3, 4, 5 and 6 as of every "
		"command, 5 also when the pin itself was damaged.",
	.opts = verify_table,
	.examples = verify_examples,
	.min_args = 1,
	.max_args = -1,
	.run = verify_run,
	.opts_size = sizeof(struct ctl_common),
};
