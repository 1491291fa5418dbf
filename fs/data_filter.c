#include "fs/data_filter.h"

#include <fnmatch.h>
#include <string.h>

enum match {
	MATCH_NO,
	MATCH_BELOW, /* not the path, but perhaps something below it */
	MATCH_YES,
};

/* A stretch of components; empty when 'at' is at the end. */
struct words {
	const char *at, *end;
};

static struct words words_of(const char *s, size_t len)
{
	while (len > 0 && s[len - 1] == '/')
		len--;
	return (struct words){ s, s + len };
}

/* The first component into 'part'; what comes after it. */
static struct words split(struct words w, char part[static FILTER_PATTERN_MAX + 1])
{
	const char *slash = memchr(w.at, '/', (size_t)(w.end - w.at));
	const char *until = slash ? slash : w.end;
	size_t len = (size_t)(until - w.at);

	if (len > FILTER_PATTERN_MAX)
		len = FILTER_PATTERN_MAX;
	memcpy(part, w.at, len);
	part[len] = '\0';
	return (struct words){ slash ? slash + 1 : w.end, w.end };
}

static enum match match(struct words pattern, struct words path)
{
	char want[FILTER_PATTERN_MAX + 1], have[FILTER_PATTERN_MAX + 1];
	const struct words whole = path;
	struct words rest;
	enum match m;

	if (pattern.at == pattern.end)
		return path.at == path.end ? MATCH_YES : MATCH_NO;
	if (path.at == path.end)
		return MATCH_BELOW;
	rest = split(pattern, want);
	path = split(path, have);
	if (strcmp(want, "**") != 0)
		return fnmatch(want, have, 0) == 0 ? match(rest, path) : MATCH_NO;
	if (rest.at == rest.end)
		return MATCH_YES;
	/* It stands for nothing, or for this component and perhaps more. */
	m = match(rest, whole);
	return m == MATCH_YES ? m : match(pattern, path);
}

static enum match match_pattern(const char *pattern, struct words path, bool is_dir)
{
	char anywhere[FILTER_PATTERN_MAX + 4] = "**/";
	size_t len = strlen(pattern);
	struct words w = words_of(pattern, len);
	enum match m;

	if (*pattern == '/') {
		w.at++;
	} else if (!memchr(pattern, '/', (size_t)(w.end - w.at))) {
		memcpy(anywhere + 3, pattern, len);
		w = words_of(anywhere, len + 3);
	}
	m = match(w, path);
	return m == MATCH_YES && pattern[len - 1] == '/' && !is_dir ? MATCH_NO : m;
}

/* The best match of a list for the path, or MATCH_YES for a directory above it. */
static enum match match_list(const char *const *list, const char *path, bool is_dir)
{
	enum match best = MATCH_NO, m;

	for (; list && *list && best != MATCH_YES; list++) {
		m = match_pattern(*list, words_of(path, strlen(path)), is_dir);
		if (m > best)
			best = m;
		for (const char *s = strchr(path, '/'); s && best != MATCH_YES;
		     s = strchr(s + 1, '/')) {
			if (match_pattern(*list, words_of(path, (size_t)(s - path)), true) ==
			    MATCH_YES)
				best = MATCH_YES;
		}
	}
	return best;
}

const char *filter_pattern_wrong(const char *pattern)
{
	char part[FILTER_PATTERN_MAX + 1];
	size_t len = strlen(pattern);
	unsigned stars = 0; /* each multiplies the ways to look for */

	if (len == 0 || len > FILTER_PATTERN_MAX)
		return "must have 1 to 1024 bytes";
	if (strcmp(pattern, "/") == 0 || strstr(pattern, "//"))
		return "has an empty name in it";
	for (struct words w = words_of(pattern + (*pattern == '/'), len - (*pattern == '/'));
	     w.at != w.end;) {
		w = split(w, part);
		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
			return "must not have '.' or '..' in it: paths begin at the top of the "
			       "dataset";
		stars += strcmp(part, "**") == 0;
	}
	return stars > 4 ? "must not have more than four '**'" : NULL;
}

bool filter_is_empty(const struct data_filter *f)
{
	return (!f->include || !*f->include) && (!f->exclude || !*f->exclude);
}

bool filter_shows(const struct data_filter *f, const char *path, bool is_dir)
{
	enum match m;

	if (!*path)
		return true;
	if (match_list(f->exclude, path, is_dir) == MATCH_YES)
		return false;
	if (!f->include || !*f->include)
		return true;
	m = match_list(f->include, path, is_dir);
	return m == MATCH_YES || (m == MATCH_BELOW && is_dir);
}
