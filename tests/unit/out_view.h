/* All that a user sees of the outputs, as one text: two of them are equal, or differ in a line. */
#pragma once

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/out.h"
#include "fs/quota.h"
#include "tests/check.h"

#define VIEW_NAMES 64
/* Times before this were set on purpose; others are of the moment. */
#define VIEW_SET_TIME 1000000000

struct view {
	bool no_times; /* of files */
	char text[32768];
	size_t used;
};

__attribute__((format(printf, 2, 3))) static inline void view_add(struct view *v, const char *fmt,
								  ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(v->text + v->used, sizeof(v->text) - v->used, fmt, ap);
	va_end(ap);
	v->used += (size_t)n;
	if (v->used >= sizeof(v->text))
		abort();
}

static inline void view_content(struct out *o, uint64_t nodeid, struct view *v)
{
	static char buf[1u << 20];
	unsigned char sum[16];
	struct node *h;
	ssize_t n;
	int r = out_open(o, nodeid, O_RDONLY, &h);

	if (r < 0) {
		view_add(v, " content: %s", strerror(-r));
		return;
	}
	n = out_read(h, buf, sizeof(buf), 0);
	out_release(o, h, O_RDONLY);
	crypto_generichash(sum, sizeof(sum), (void *)buf, n > 0 ? (size_t)n : 0, NULL, 0);
	view_add(v, " read %zd %02x%02x%02x%02x", n, sum[0], sum[1], sum[2], sum[3]);
}

static inline void view_xattrs(struct out *o, uint64_t nodeid, struct view *v)
{
	static const char *const names[] = { "user.a", "user.b", "user.c" };
	char list[1024], value[70000];
	ssize_t n = out_listxattr(o, nodeid, list, sizeof(list));

	if (n != 0)
		view_add(v, " xattrs %zd", n);
	for (size_t i = 0; n != 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t len = out_getxattr(o, nodeid, names[i], value, sizeof(value));

		if (len >= 0)
			view_add(v, " %s=%zd:%.*s", names[i], len, len > 40 ? 40 : (int)len, value);
	}
}

static inline void view_one(struct out *o, const struct out_entry *e, const char *path,
			    struct view *v)
{
	const struct stat *st = &e->st;
	char target[5000];
	int r;

	view_add(v, "%.60s: %o %u:%u links %u", path, st->st_mode, st->st_uid, st->st_gid,
		 (unsigned)st->st_nlink);
	if (!S_ISDIR(st->st_mode)) {
		view_add(v, " size %lld", (long long)st->st_size);
		if (!v->no_times && st->st_mtim.tv_sec < VIEW_SET_TIME)
			view_add(v, " time %lld.%09ld", (long long)st->st_mtim.tv_sec,
				 st->st_mtim.tv_nsec);
	}
	if (S_ISREG(st->st_mode))
		view_content(o, e->nodeid, v);
	if (S_ISLNK(st->st_mode)) {
		r = out_readlink(o, e->nodeid, target, sizeof(target));
		view_add(v, " -> %.40s (%d, %zu)", r == 0 ? target : "?", r,
			 r == 0 ? strlen(target) : 0);
	}
	if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
		view_xattrs(o, e->nodeid, v);
	view_add(v, "\n");
}

static inline int view_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory, sorted; to be freed. */
static inline int view_list(struct out *o, uint64_t nodeid, char *names[VIEW_NAMES])
{
	struct out_dirent d;
	struct out_dirit it;
	int n = 0, r = out_dir_begin(o, nodeid, 0, &it);

	if (r < 0)
		return r;
	while (out_dir_next(&it, &d))
		if (!d.is_dot && n < VIEW_NAMES)
			names[n++] = strdup(d.name);
	out_dir_end(&it);
	qsort(names, (size_t)n, sizeof(names[0]), view_cmp);
	return n;
}

static inline void view_dir(struct out *o, uint64_t nodeid, const char *path, struct view *v)
{
	char *names[VIEW_NAMES], sub[700];
	struct out_entry e;
	int n = view_list(o, nodeid, names);

	if (n < 0)
		view_add(v, "%s: %s\n", path, strerror(-n));
	for (int i = 0; i < n; i++) {
		int r = out_lookup(o, nodeid, names[i], &e);

		snprintf(sub, sizeof(sub), "%.300s/%s", path, names[i]);
		if (r < 0) {
			view_add(v, "%.60s: %s\n", sub, strerror(-r));
		} else {
			view_one(o, &e, sub, v);
			if (S_ISDIR(e.st.st_mode))
				view_dir(o, e.nodeid, sub, v);
			out_forget(o, e.nodeid, 1);
		}
		free(names[i]);
	}
}

static inline void view_take(struct out *o, struct quota *q, struct view *v)
{
	struct quota_usage u;

	v->used = 0;
	view_dir(o, 1, "", v);
	quota_get(q, &u);
	view_add(v, "quota %llu bytes, %llu files\n", (unsigned long long)u.bytes,
		 (unsigned long long)u.files);
}

/* The lines that only one of them has, to stderr. */
static inline void view_diff(const struct view *want, const struct view *have)
{
	const struct view *v[2] = { want, have };

	for (int i = 0; i < 2; i++) {
		for (const char *at = v[i]->text; *at;) {
			size_t len = strcspn(at, "\n") + 1;
			char line[1000];

			snprintf(line, sizeof(line), "%.*s", (int)len, at);
			if (!strstr(v[!i]->text, line))
				fprintf(stderr, "    %s %s", i ? "is    " : "wanted", line);
			at += len;
		}
	}
}

/* Remove all that a directory holds. */
static inline int view_clear(struct out *o, uint64_t nodeid)
{
	char *names[VIEW_NAMES];
	struct out_entry e;
	int n = view_list(o, nodeid, names), failed = n < 0 ? n : 0;

	for (int i = 0; i < n; i++) {
		int late = -1, r = out_lookup(o, nodeid, names[i], &e);

		if (r == 0 && S_ISDIR(e.st.st_mode)) {
			r = view_clear(o, e.nodeid);
			if (r == 0)
				r = out_rmdir(o, nodeid, names[i]);
		} else if (r == 0) {
			r = out_unlink(o, nodeid, names[i], &late);
		}
		if (late >= 0)
			close(late);
		if (r < 0)
			failed = r;
		else
			out_forget(o, e.nodeid, 1);
		free(names[i]);
	}
	return failed;
}
