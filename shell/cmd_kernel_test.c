/* sbxctl kernel test: start it, use it, end it, and say what was seen. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/jup_client.h"
#include "shell/kspec.h"

#define INTERRUPT_AFTER_MS 700

struct test {
	struct kspec spec;
	struct jup_client *client;
	json_t *seen; /* owned: name -> what was seen */
	bool quiet;   /* JSON at the end */
	char dir[PATH_MAX];
};

/* A language's way to sleep for a minute; others are not interrupted. */
static const char *sleep_code(const char *language)
{
	static const struct {
		const char *language, *code;
	} rows[] = {
		{ "python", "import time\ntime.sleep(60)" },
		{ "R", "Sys.sleep(60)" },
		{ "julia", "sleep(60)" },
		{ "bash", "sleep 60" },
		{ "octave", "pause(60)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcasecmp(rows[i].language, language))
			return rows[i].code;
	return NULL;
}

static void saw(struct test *t, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void saw(struct test *t, const char *what, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_set_new(t->seen, what, json_string(text));
	if (!t->quiet)
		out_pair(what, "%s", text);
	fflush(stdout);
}

static int start(struct test *t, const char *what, struct err *err)
{
	struct jup_answer a;
	int r = jup_client_start(t->client, err);

	if (r == 0)
		r = jup_client_ready(t->client, &a, err);
	if (r == 0)
		saw(t, what, "%s after %llu ms", a.about, (unsigned long long)a.ms);
	return r;
}

static int compute(struct test *t, struct err *err)
{
	bool bash = !strcmp(ctl_str(t->spec.json, "language"), "bash");
	struct jup_answer a;
	int r = jup_client_execute(t->client, bash ? "echo $((1+1))" : "1+1", 0, &a, err);

	if (r < 0)
		return r;
	if (!a.ok || (!bash && !strchr(a.text, '2')))
		return err_set(err, -EIO, "1+1 gave '%s'.", a.text);
	saw(t, "computed", "1+1 = %s in %llu ms", bash ? "2" : a.text, (unsigned long long)a.ms);
	return 0;
}

static int interrupt(struct test *t, struct err *err)
{
	const char *language = ctl_str(t->spec.json, "language"), *code = sleep_code(language);
	struct jup_answer a;
	int r;

	if (!code) {
		saw(t, "interrupted", "not tried: no way to sleep is known in %s", language);
		return 0;
	}
	r = jup_client_execute(t->client, code, INTERRUPT_AFTER_MS, &a, err);
	if (r < 0)
		return r;
	saw(t, "interrupted", "%s after %llu ms", a.text[0] ? a.text : "the cell ended",
	    (unsigned long long)a.ms);
	return 0;
}

static int end(struct test *t, const char *what, bool restart, struct err *err)
{
	uint64_t ms;
	int r = jup_client_shutdown(t->client, restart, &ms, err);

	if (r == 0)
		saw(t, what, "in %llu ms", (unsigned long long)ms);
	return r;
}

static int test_steps(struct test *t, const char *name, struct err *err)
{
	int r = kspec_find(name, &t->spec, err);

	if (r < 0)
		return r;
	snprintf(t->dir, sizeof(t->dir), "%s/sbx-kernel-test-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(t->dir)) {
		t->dir[0] = '\0';
		return err_set(err, -errno, "make a temporary directory");
	}
	r = jup_client_new(&t->spec, t->dir, &t->client, err);
	if (r == 0)
		r = start(t, "started", err);
	if (r == 0)
		r = compute(t, err);
	if (r == 0)
		r = interrupt(t, err);
	if (r == 0)
		r = end(t, "ended", true, err);
	/* On the same ports, as front ends restart. */
	if (r == 0)
		r = start(t, "restarted", err);
	if (r == 0)
		r = compute(t, err);
	return r == 0 ? end(t, "shut down", false, err) : r;
}

static int test_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	struct test t = { .seen = json_object(), .quiet = o->json };
	struct err err = { 0 };
	int r = test_steps(&t, argv[0], &err);

	if (r < 0)
		err_wrap(&err, r, "the kernel '%s'", argv[0]);
	jup_client_free(t.client);
	if (t.dir[0])
		rmdir(t.dir);
	if (t.quiet) {
		json_object_set_new(t.seen, "ok", json_boolean(r == 0));
		out_json(t.seen);
	}
	kspec_free(&t.spec);
	json_decref(t.seen);
	return r < 0 ? ctl_fail(r, &err) : CTL_OK;
}

static const struct opt test_table[] = { CTL_OPT_JSON, CTL_OPT_END };

const struct opt_command cmd_kernel_test = {
	.name = "kernel test",
	.args = "NAME",
	.summary = "start a kernel, compute, interrupt, restart, shut down; say what was seen",
	.description =
		"Works for every installed kernel, also one that is in no sandbox: to compare.",
	.opts = test_table,
	.min_args = 1,
	.max_args = 1,
	.run = test_run,
	.opts_size = sizeof(struct ctl_common),
};
