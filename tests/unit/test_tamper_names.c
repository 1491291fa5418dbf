/* As test_tamper.c, for what is not in files: names, directory ids, symlinks, attributes. */
#include "tests/unit/tamper_judge.h"

#include <dirent.h>

/* -- names ---------------------------------------------------------------- */

static void sidecar_of(const char *path, char out[static 1800])
{
	snprintf(out, 1800, "%.1700s.n", path);
}

/* The entry (with its sidecar, if 'both') stands under another stored name. */
static void renamed(struct item *it, const char *kind, unsigned allowed, const char *to, bool both)
{
	char from[1600], path[1700], side[1800], toside[1800];
	bool has_side;

	full_path(it->place, from);
	strcpy(path, from);
	strcpy(strrchr(path, '/') + 1, to);
	sidecar_of(from, side);
	snprintf(toside, sizeof(toside), "%s.n", path);
	has_side = both && access(side, F_OK) == 0;
	has_side = both && faccessat(AT_FDCWD, side, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	CHECK_EQ(rename(from, path), 0);
	if (has_side)
		CHECK_EQ(rename(side, toside), 0);
	judge(kind, allowed, it, NULL, to);
	CHECK_EQ(rename(path, from), 0);
	if (has_side)
		CHECK_EQ(rename(toside, side), 0);
	restore(NULL);
}

static void names(struct item *it)
{
	static const char abc[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *name = strrchr(it->place, '/') + 1;
	char to[600];
	size_t n = strlen(name);

	for (size_t i = 0; i<n; i += n> 60 ? 7 : 1) {
		strcpy(to, name);
		do
			to[i] = abc[pick(64)];
		while (to[i] == name[i]);
		renamed(it, "name: a character changed", 0, to, true);
	}
	if (n < 240) {
		snprintf(to, sizeof(to), "%sA", name);
		renamed(it, "name: another form", 0, to, true);
		snprintf(to, sizeof(to), "%s==", name);
		renamed(it, "name: another form", 0, to, true);
		snprintf(to, sizeof(to), "%.*s", (int)n - 1, name);
		renamed(it, "name: another form", 0, to, true);
		snprintf(to, sizeof(to), "~%.*s", 43, name);
		renamed(it, "name: another form", 0, to, true);
	}
	renamed(it, "name: plain text", 0, "plain", true);
}

static void exchanged_names(struct item *a, struct item *b, const char *kind, unsigned allowed)
{
	char x[1600], y[1600];

	full_path(a->place, x);
	full_path(b->place, y);
	CHECK_EQ(renameat2(AT_FDCWD, x, AT_FDCWD, y, 2 /* RENAME_EXCHANGE */), 0);
	judge(kind, allowed, a, b, a->path);
	CHECK_EQ(renameat2(AT_FDCWD, x, AT_FDCWD, y, 2), 0);
	restore(NULL);
}

/* Out of its directory, under its stored name. */
static void moved(struct item *it, struct item *dir)
{
	char from[1600], to[1700], todir[1600];

	full_path(it->place, from);
	full_path(dir->place, todir);
	snprintf(to, sizeof(to), "%s/%s", todir, strrchr(from, '/') + 1);
	CHECK_EQ(rename(from, to), 0);
	judge("name: moved to another directory", MAY(REMOVED), it, dir, dir->path);
	CHECK(CHECK_SANITIZED || strstr(k.lines, dir->place) != NULL);
	CHECK_EQ(rename(to, from), 0);
	restore(NULL);
}

/* A symlink of the store points elsewhere. */
static void try_target(const char *kind, unsigned allowed, struct item *it, struct item *or_it,
		       const char *path, const char *target)
{
	char was[4200];
	ssize_t n = readlink(path, was, sizeof(was) - 1);

	if (n < 0)
		abort();
	was[n] = 0;
	CHECK_EQ(unlink(path), 0);
	if (target)
		CHECK_EQ(symlink(target, path), 0);
	judge(kind, allowed, it, or_it, target ? target : "removed");
	if (target)
		CHECK_EQ(unlink(path), 0);
	CHECK_EQ(symlink(was, path), 0);
	restore(NULL);
}

/* Every form of damage to a base64 text in a symlink. */
static void targets(const char *kind, struct item *it, const char *path, const char *other)
{
	char was[4200], t[4300];
	ssize_t n = readlink(path, was, sizeof(was) - 1);

	was[n] = 0;
	for (ssize_t i = 0; i<n; i += n> 200 ? n / 97 : 1) {
		strcpy(t, was);
		t[i] = t[i] == 'Q' ? 'g' : 'Q';
		try_target(kind, 0, it, NULL, path, t);
	}
	snprintf(t, sizeof(t), "%.*s", (int)n - 1, was);
	try_target(kind, 0, it, NULL, path, t);
	snprintf(t, sizeof(t), "%.*s", (int)n / 2, was);
	try_target(kind, 0, it, NULL, path, t);
	if (n < 4090) {
		snprintf(t, sizeof(t), "%sA", was);
		try_target(kind, 0, it, NULL, path, t);
		snprintf(t, sizeof(t), "%s=", was);
		try_target(kind, 0, it, NULL, path, t);
	}
	try_target(kind, 0, it, NULL, path, "/etc/passwd");
	try_target(kind, 0, it, NULL, path, "x");
	if (other)
		try_target(kind, 0, it, NULL, path, other);
}

static void symlinks(void)
{
	char path[1600], other[1600], t[4200], tail[2][2000], text[2][4200];
	struct item *link = by_path("link"), *link2 = by_path("link2");
	size_t found = 0;
	struct dirent *e;
	DIR *d;

	full_path(link->place, path);
	targets("symlink: changed", link, path, NULL);
	full_path(by_path("longlink")->place, other);
	targets("symlink: changed", by_path("longlink"), other, NULL);
	full_path(link2->place, other);
	t[readlink(other, t, sizeof(t) - 1)] = 0;
	try_target("symlink: the target of another", MAY(EXCHANGED), link, NULL, path, t);
	exchanged_names(by_path("longlink"), by_path("longlink2"), "names: exchanged",
			MAY(EXCHANGED));
	/* The tails: which belongs to which is in no name of ours. */
	full_path("l", path);
	d = opendir(path);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && found++ < 2)
			snprintf(tail[found - 1], 2000, "%s/%s", path, e->d_name);
	closedir(d);
	CHECK_EQ(found, 2);
	for (int i = 0; i < 2; i++)
		text[i][readlink(tail[i], text[i], sizeof(text[i]) - 1)] = 0;
	for (int i = 0; i < 2; i++) {
		try_target("symlink: a tail gone", 0, by_path("longlink"), by_path("longlink2"),
			   tail[i], NULL);
		try_target("symlink: a tail of another", 0, by_path("longlink"),
			   by_path("longlink2"), tail[i], text[1 - i]);
	}
}

static void sidecars(struct item *it, struct item *other)
{
	char path[1700], side[1800], t[1000];
	ssize_t n;

	full_path(other->place, path);
	sidecar_of(path, side);
	n = readlink(side, t, sizeof(t) - 1);
	t[n > 0 ? n : 0] = 0;
	full_path(it->place, path);
	sidecar_of(path, side);
	targets("long name: its sidecar changed", it, side, t);
	try_target("long name: its sidecar gone", 0, it, NULL, side, NULL);
}

static void directory_ids(void)
{
	struct item *dirs[] = { by_path("dir"), by_path("dir2"), by_path("dir/deep") };
	uint8_t id[3][32], bad[32];
	char path[1600];

	for (int i = 0; i < 3; i++) {
		full_path(dirs[i]->place, path);
		CHECK_EQ(getxattr(path, "user.wfs.d", id[i], 32), 32);
	}
	for (int i = 0; i < 3; i++) {
		full_path(dirs[i]->place, path);
		for (int at = 0; at < 32; at++) {
			memcpy(bad, id[i], 32);
			bad[at] ^= (uint8_t)(1u << pick(8));
			CHECK_EQ(setxattr(path, "user.wfs.d", bad, 32, 0), 0);
			judge("directory id: a bit flipped", 0, dirs[i], NULL, "");
			restore(NULL);
		}
		CHECK_EQ(setxattr(path, "user.wfs.d", bad, 16, 0), 0);
		judge("directory id: cut", 0, dirs[i], NULL, "");
		memset(bad, 0, 32);
		CHECK_EQ(setxattr(path, "user.wfs.d", bad, 32, 0), 0);
		judge("directory id: zeros", 0, dirs[i], NULL, "");
		CHECK_EQ(removexattr(path, "user.wfs.d"), 0);
		judge("directory id: gone", 0, dirs[i], NULL, "");
		CHECK_EQ(setxattr(path, "user.wfs.d", id[(i + 1) % 3], 32, 0), 0);
		/* Attributes are sealed for the id: those of the other's are not there. */
		judge("directory id: that of another", MAY(REMOVED), dirs[i], NULL, "");
		CHECK_EQ(setxattr(path, "user.wfs.d", id[i], 32, 0), 0);
		restore(NULL);
	}
	exchanged_names(dirs[0], dirs[1], "names: exchanged", MAY(EXCHANGED) | MAY(REMOVED));
}

/* The stored names and values of the two attributes of a file or directory. */
struct attrs {
	char path[1600], name[2][256];
	uint8_t value[2][256];
	ssize_t len[2];
};

static void attrs_read(const struct item *it, struct attrs *a)
{
	char list[2000];
	ssize_t n;
	int c = 0;

	full_path(it->place, a->path);
	n = listxattr(a->path, list, sizeof(list));
	for (char *s = list; s < list + n && c < 2; s += strlen(s) + 1) {
		if (strncmp(s, "user.x.", 7) != 0)
			continue;
		strcpy(a->name[c], s);
		a->len[c] = getxattr(a->path, s, a->value[c], sizeof(a->value[c]));
		c++;
	}
	CHECK_EQ(c, 2);
}

static void try_value(const char *kind, unsigned allowed, struct item *it, const struct attrs *a,
		      int i, const void *value, size_t len)
{
	CHECK_EQ(setxattr(a->path, a->name[i], value, len, 0), 0);
	judge(kind, allowed, it, NULL, a->name[i]);
	CHECK_EQ(setxattr(a->path, a->name[i], a->value[i], (size_t)a->len[i], 0), 0);
	restore(NULL);
}

static void attributes(struct item *it, struct item *other)
{
	uint8_t bad[256];
	struct attrs a, b;

	attrs_read(it, &a);
	attrs_read(other, &b);
	for (int i = 0; i < 2; i++) {
		for (ssize_t at = 0; at < a.len[i]; at++) {
			memcpy(bad, a.value[i], sizeof(bad));
			bad[at] ^= (uint8_t)(1u << pick(8));
			try_value("attribute: a bit flipped", 0, it, &a, i, bad, (size_t)a.len[i]);
		}
		try_value("attribute: cut", 0, it, &a, i, a.value[i], (size_t)a.len[i] - 1);
		try_value("attribute: cut", 0, it, &a, i, a.value[i], 0);
		try_value("attribute: plain text", 0, it, &a, i, "plain", 5);
		try_value("attribute: the value of its neighbour", 0, it, &a, i, a.value[1 - i],
			  (size_t)a.len[1 - i]);
		try_value("attribute: the value of another file's", 0, it, &a, i, b.value[i],
			  (size_t)b.len[i]);
		CHECK_EQ(removexattr(a.path, a.name[i]), 0);
		judge("attribute: removed", MAY(REMOVED), it, NULL, "");
		CHECK_EQ(setxattr(a.path, b.name[i], b.value[i], (size_t)b.len[i], 0), 0);
		judge("attribute: name and value of another file's", MAY(REMOVED), it, NULL, "");
		CHECK_EQ(removexattr(a.path, b.name[i]), 0);
		CHECK_EQ(setxattr(a.path, a.name[i], a.value[i], (size_t)a.len[i], 0), 0);
		restore(NULL);
	}
}

static void try_all(void)
{
	names(by_path("small"));
	names(by_path("dir"));
	names(by_path("dir/deep/file"));
	names(by_path("link"));
	names(by_path(NAME160));
	names(by_path(NAME200));
	exchanged_names(by_path("small"), by_path("small2"), "names: exchanged", MAY(EXCHANGED));
	exchanged_names(by_path("small"), by_path("groups"), "names: exchanged",
			MAY(EXCHANGED) | MAY(REMOVED)); /* the other has no attributes */
	exchanged_names(by_path("link"), by_path("link2"), "names: exchanged", MAY(EXCHANGED));
	exchanged_names(by_path("dir/in"), by_path("dir2/in"), "names: exchanged", MAY(EXCHANGED));
	moved(by_path("small"), by_path("dir"));
	moved(by_path("dir/in"), by_path("dir2"));
	moved(by_path("dir/deep"), by_path("dir2"));
	moved(by_path("link"), by_path("dir/deep"));
	moved(by_path(NAME200), by_path("dir"));
	sidecars(by_path(NAME200), by_path(NAME200 "2"));
	exchanged_names(by_path(NAME200), by_path(NAME200 "2"), "names: exchanged", MAY(EXCHANGED));
	symlinks();
	directory_ids();
	attributes(by_path("small"), by_path("small2"));
	attributes(by_path("dir"), by_path("dir2"));
	attributes(by_path("dir/deep/file"), by_path("dir"));
}

int main(void)
{
	return campaigns(try_all);
}
