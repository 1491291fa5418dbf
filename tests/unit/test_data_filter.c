/* Which paths a list of patterns shows. */
#include "tests/check.h"

#include <string.h>

#include "fs/data_filter.h"

static const char *none[] = { NULL };
static const char *csv[] = { "*.csv", NULL };
static const char *top[] = { "/a.csv", "train/", NULL };
static const char *deep[] = { "data/**/x?.txt", NULL };
static const char *anchored[] = { "data/*.csv", NULL };
static const char *secret[] = { "secret", ".*", "raw/**", "tmp/", NULL };
static const char *rest[] = { "docs/**", NULL };

static const struct row {
	const char *const *include, *const *exclude;
	const char *path;
	bool is_dir, shown;
} rows[] = {
	{ none, none, "anything", false, true },
	{ NULL, NULL, "any/thing", true, true },
	{ csv, none, "", true, true },
	{ csv, none, "a.csv", false, true },
	{ csv, none, "deep/er/a.csv", false, true },
	{ csv, none, "a.txt", false, false },
	{ csv, none, "deep/er", true, true },        /* something below may match */
	{ csv, none, "dir.csv/a.txt", false, true }, /* a directory that matches is shown whole */
	{ csv, none, "a.csvx", false, false },
	{ top, none, "a.csv", false, true },
	{ top, none, "sub/a.csv", false, false },
	{ top, none, "sub/train/x", false, true },
	{ top, none, "sub", true, true },
	{ top, none, "train", true, true },
	{ top, none, "train", false, false }, /* a file is no directory */
	{ deep, none, "data/x1.txt", false, true },
	{ deep, none, "data/a/b/x2.txt", false, true },
	{ deep, none, "data/a/b/x22.txt", false, false },
	{ deep, none, "data", true, true },
	{ deep, none, "data", false, false },
	{ deep, none, "other", true, false },
	{ anchored, none, "data/a.csv", false, true },
	{ anchored, none, "data/sub/a.csv", false, false }, /* '*' stays within a name */
	{ anchored, none, "data/sub", true, false },
	{ anchored, none, "more/data/a.csv", false, false },
	{ none, secret, "secret", false, false },
	{ none, secret, "a/secret/b", false, false },
	{ none, secret, "secrets", false, true },
	{ none, secret, ".git", true, false },
	{ none, secret, "a/.git/config", false, false },
	{ none, secret, "raw", true, true },
	{ none, secret, "raw/a", false, false },
	{ none, secret, "raw/a/b", true, false },
	{ none, secret, "tmp", true, false },
	{ none, secret, "tmp", false, true },
	{ none, secret, "x/tmp/y", false, false },
	{ csv, secret, "raw/a.csv", false, false }, /* what is excluded wins */
	{ csv, secret, "b/a.csv", false, true },
	{ rest, none, "docs", true, true },
	{ rest, none, "docs/a/b", false, true },
	{ rest, none, "src/docs/a", false, false },
};

int main(void)
{
	char longest[FILTER_PATTERN_MAX + 2];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct data_filter f = { rows[i].include, rows[i].exclude };

		if (filter_shows(&f, rows[i].path, rows[i].is_dir) != rows[i].shown)
			fprintf(stderr, "row %zu: '%s'\n", i, rows[i].path);
		CHECK_EQ(filter_shows(&f, rows[i].path, rows[i].is_dir), rows[i].shown);
	}
	CHECK(filter_is_empty(&(struct data_filter){ none, NULL }));
	CHECK(!filter_is_empty(&(struct data_filter){ NULL, csv }));
	CHECK(!filter_pattern_wrong("*.csv"));
	CHECK(!filter_pattern_wrong("/a/**/b/"));
	CHECK(filter_pattern_wrong(""));
	CHECK(filter_pattern_wrong("/"));
	CHECK(filter_pattern_wrong("a//b"));
	CHECK(filter_pattern_wrong("../a"));
	CHECK(filter_pattern_wrong("a/./b"));
	CHECK(filter_pattern_wrong("**/a/**/b/**/c/**/d/**"));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK(filter_pattern_wrong(longest));
	longest[FILTER_PATTERN_MAX] = '\0';
	CHECK(!filter_pattern_wrong(longest));
	return check_report();
}
