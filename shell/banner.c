#include "shell/banner.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"
#include "sandbox/plan.h"

struct text {
	char *out;
	size_t len, size;
};

static void __attribute__((format(printf, 2, 3))) add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->len >= t->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(t->out + t->len, t->size - t->len, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

static void add_quota(struct text *t, const struct banner *b)
{
	char used[24], quota[24];

	if (!b->quota_known)
		return;
	format_size(b->used, used);
	format_size(b->quota, quota);
	if (b->quota)
		add(t, "%s of %s used, ", used, quota);
	else
		add(t, "%s used, ", used);
}

static void add_limits(struct text *t, const struct plan_limits *l)
{
	char text[24];

	format_size(l->memory_bytes, text);
	if (l->memory_bytes)
		add(t, "memory %s, ", text);
	if (l->cpu_milli)
		add(t, "%g CPU%s, ", (double)l->cpu_milli / 1000, l->cpu_milli == 1000 ? "" : "s");
	if (l->pids)
		add(t, "%llu processes, ", (unsigned long long)l->pids);
	if (l->time_ms) {
		format_duration(l->time_ms, text);
		add(t, "time %s, ", text);
	}
	if (l->cpu_time_ms) {
		format_duration(l->cpu_time_ms, text);
		add(t, "CPU time %s, ", text);
	}
}

void banner_text(const struct banner *b, char *out, size_t size)
{
	struct text t = { .out = out, .size = size };

	add(&t, "sbx:%s: ", b->name);
	add_quota(&t, b);
	add_limits(&t, b->limits);
	add(&t, "no network\n");
	add(&t, "/workspace%s kept, encrypted; ", b->home_kept ? " and $HOME are" : " is");
	if (b->datasets)
		add(&t, "/datasets has %u, read-only; ", b->datasets);
	add(&t, "'exit' leaves");
	if (*b->escape)
		add(&t, ", %s. ends it at once, %s? helps", b->escape, b->escape);
	add(&t, "\n");
}
