/* Which part of a directory dataset is shown: patterns as in .gitignore, in two lists.
 *
 * A pattern is matched against the path below the top of the dataset, component by component, each
 * by fnmatch(3): '*' and '?' do not cross a '/', "**" stands for any number of components.  Without
 * a
 * '/' (but at its end) it matches a name at any depth; with one it begins at the top.  A '/' at the
 * end: directories only.
 *
 *   shown = nothing on its way matches an exclude, and
 *           (there is no include, or something on its way matches one, or it is a directory below
 *            which one might match)
 *
 * "Something on its way" is the path itself or a directory above it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FILTER_PATTERNS_MAX 64u
#define FILTER_PATTERN_MAX  1024u

struct data_filter {
	const char *const *include, *const *exclude; /* NULL-terminated; NULL: none */
};

/* What is wrong with a pattern; NULL: nothing. */
const char *filter_pattern_wrong(const char *pattern);
bool filter_is_empty(const struct data_filter *f);
/* 'path': components joined by '/', none empty, no leading '/'; "" is the top, always shown. */
bool filter_shows(const struct data_filter *f, const char *path, bool is_dir);
