/* sbxctl doctor: what this host offers, each layer tried. */
#include "shell/sbxctl.h"

#include <string.h>

#include "base/cleanup.h"
#include "sandbox/probe.h"
#include "shell/doctor_host.h"

#define ROWS_MAX 64

static const struct opt table[] = { CTL_OPT_JSON, CTL_OPT_END };

static const struct {
	const char *word;
	enum out_color color;
} states[] = {
	[PROBE_OK] = { "ok", OUT_GREEN },
	[PROBE_DEGRADED] = { "degraded", OUT_YELLOW },
	[PROBE_MISSING] = { "missing", OUT_RED },
};

/* One cause may stop several layers: its remedy is printed once. */
static bool same_fix(const struct probe_result *rows, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(rows[k].fix, rows[i].fix))
			return true;
	return false;
}

static void print_row(const struct probe_result *rows, size_t i, int width)
{
	const struct probe_result *r = &rows[i];

	printf("%s%-8s%s  %-*s  %s\n", out_on(states[r->state].color), states[r->state].word,
	       out_off(), width, r->name, r->detail);
	if (r->state != PROBE_OK && r->fix[0] && !same_fix(rows, i))
		printf("%-8s  %-*s  fix: %s\n", "", width, "", r->fix);
}

static void print_rows(const struct probe_result *rows, size_t n, const size_t count[static 3])
{
	int width = 0;

	for (size_t i = 0; i < n; i++)
		width = MAX(width, (int)strlen(rows[i].name));
	for (size_t i = 0; i < n; i++)
		print_row(rows, i, width);
	if (count[PROBE_MISSING])
		printf("\n%zu missing, %zu degraded, %zu ok: what is missing stops runs or "
		       "mounts\n",
		       count[PROBE_MISSING], count[PROBE_DEGRADED], count[PROBE_OK]);
	else if (count[PROBE_DEGRADED])
		printf("\n%zu degraded, %zu ok: what is degraded needs --allow-degraded, or is "
		       "done "
		       "without\n",
		       count[PROBE_DEGRADED], count[PROBE_OK]);
	else
		printf("\nAll there.\n");
}

static void print_rows_json(const struct probe_result *rows, size_t n, bool ok)
{
	autojson json_t *list = json_array(), *all = NULL;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", rows[i].name,
						      "state", states[rows[i].state].word, "detail",
						      rows[i].detail, "fix", rows[i].fix));
	all = json_pack("{s:b, s:O}", "ok", ok, "checks", list);
	out_json(all);
}

static int doctor_run(void *opts, int argc, char **argv)
{
	const struct ctl_common *o = opts;
	struct probe_result rows[ROWS_MAX] = { 0 };
	size_t count[3] = { 0 }, n;

	(void)argc;
	(void)argv;
	n = probe_host(rows, ROWS_MAX / 2);
	n += doctor_host(rows + n, ROWS_MAX - n);
	for (size_t i = 0; i < n; i++)
		count[rows[i].state]++;
	if (o->json)
		print_rows_json(rows, n, count[PROBE_OK] == n);
	else
		print_rows(rows, n, count);
	if (count[PROBE_MISSING])
		return CTL_NO_SUPPORT;
	return count[PROBE_DEGRADED] ? CTL_FAILED : CTL_OK;
}

static const struct opt_example doctor_examples[] = {
	{ "sbxctl doctor", "What is there, what is missing, and what to do about it." },
	{ NULL, NULL },
};

const struct opt_command cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "try each layer that sbx needs of this host, and say what to do",
	.description =
		"Every layer was tried just now, as the user who asks, by something that would get "
		"past it: a write to a read-only mount, a process that takes too much, one that "
		"does not want to end. Nothing is left behind. What does not hold is named with "
		"its cause and the remedy for this distribution. 'missing' stops runs or mounts; "
		"'degraded' works with less, and what weakens a run needs --allow-degraded there. "
		"Exits 0 when all is there, 1 when something is degraded, 6 when something is "
		"missing.",
	.opts = table,
	.examples = doctor_examples,
	.min_args = 0,
	.max_args = 0,
	.run = doctor_run,
	.opts_size = sizeof(struct ctl_common),
};
