/* Names: every length and byte, links, renames of everything over everything, listings. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static nlink_t links_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_nlink;
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? 0 : st.st_ino;
}

static bool listed(const char *dir, const char *name)
{
	struct dirent *e;
	unsigned times = 0;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d)))
		times += strcmp(e->d_name, name) == 0;
	if (d)
		closedir(d);
	return times == 1;
}

static void name_works(const char *name, const char *what, int n)
{
	char other[8] = "other";

	put(name, "x");
	ok(listed(".", name), "%s %d is listed", what, n);
	GIVES(rename(name, other), 0, "%s %d renamed", what, n);
	GIVES(link(other, name), 0, "%s %d linked", what, n);
	ok(ino_of(name) == ino_of(other), "%s %d is the same inode", what, n);
	GIVES(unlink(other) | unlink(name), 0, "%s %d removed", what, n);
	GIVES(mkdir(name, 0755), 0, "%s %d as a directory", what, n);
	GIVES(rmdir(name), 0, "%s %d removed as a directory", what, n);
}

static void check_all_names(void)
{
	char name[256];

	make("n", S_IFDIR);
	GIVES(chdir("n"), 0, "chdir");
	for (int len = 1; len <= 255; len++) {
		memset(name, 'a' + len % 26, (size_t)len);
		name[len] = '\0';
		name_works(name, "a name of length", len);
	}
	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof(name), "%c", c);
		if (c != '.')
			name_works(name, "byte", c);
		snprintf(name, sizeof(name), "a%cb", c);
		name_works(name, "in the middle byte", c);
	}
	put("case", "x");
	GIVES(access("CASE", F_OK), ENOENT, "case counts");
	GIVES(chdir(".."), 0, "chdir");
}

static void check_links(void)
{
	for (size_t t = 0; t < 5; t++) {
		char name[16];

		if (types[t] == S_IFDIR)
			continue;
		make("l0", types[t]);
		for (unsigned i = 1; i <= 20; i++) {
			snprintf(name, sizeof(name), "l%u", i);
			GIVES(link("l0", name), 0, "link %u of %s", i, type_name(types[t]));
			ok(links_of("l0") == i + 1 && links_of(name) == i + 1, "%s has %u links",
			   type_name(types[t]), i + 1);
			ok(ino_of("l0") == ino_of(name), "%s is one inode", type_name(types[t]));
		}
		for (unsigned i = 0; i < 20; i++) {
			snprintf(name, sizeof(name), "l%u", i);
			GIVES(unlink(name), 0, "unlink");
			ok(links_of("l20") == 20 - i, "%s has %u links left", type_name(types[t]),
			   20 - i);
		}
		wipe("l20");
	}
	make("d", S_IFDIR);
	for (unsigned i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d/%u", i);
		ok(links_of("d") == 2 + i, "a directory with %u in it", i);
		GIVES(mkdir(name, 0755), 0, "mkdir");
		ok(links_of(name) == 2, "a new directory");
	}
	for (unsigned i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d/%u", i);
		GIVES(rmdir("d"), ENOTEMPTY, "rmdir of a directory with %u in it", 10 - i);
		GIVES(rmdir(name), 0, "rmdir");
		ok(links_of("d") == 2 + 9 - i, "a directory with %u left", 9 - i);
	}
	wipe("d");
}

/* -- rename --------------------------------------------------------------- */

enum {
	FULL = 5,
	NONE = 6,
	KINDS = 7
}; /* beyond types[]: a directory with something in it, nothing */

static const char *kind_name(int kind)
{
	return kind < FULL ? type_name(types[kind]) : kind == FULL ? "a full directory" : "nothing";
}

static bool kind_is_dir(int kind)
{
	return kind == FULL || (kind < FULL && types[kind] == S_IFDIR);
}

static void make_kind(const char *path, int kind)
{
	char in[64];

	if (kind == NONE)
		return;
	make(path, kind == FULL ? S_IFDIR : types[kind]);
	snprintf(in, sizeof(in), "%s/in", path);
	if (kind == FULL)
		put(in, "x");
}

static int rename_want(int from, int to, unsigned flags)
{
	if (from == NONE)
		return ENOENT;
	if (flags == RENAME_NOREPLACE)
		return to == NONE ? 0 : EEXIST;
	if (flags == RENAME_EXCHANGE)
		return to == NONE ? ENOENT : 0;
	if (to == NONE)
		return 0;
	if (kind_is_dir(from) && !kind_is_dir(to))
		return ENOTDIR;
	if (!kind_is_dir(from) && kind_is_dir(to))
		return EISDIR;
	return to == FULL ? ENOTEMPTY : 0;
}

static void rename_one(int from, int to, unsigned flags, const char *b)
{
	int want = rename_want(from, to, flags);
	ino_t x, y;

	make_kind("d1/a", from);
	make_kind(b, to);
	x = ino_of("d1/a");
	y = ino_of(b);
	GIVES(renameat2(AT_FDCWD, "d1/a", AT_FDCWD, b, flags), want, "rename flags %u of %s to %s",
	      flags, kind_name(from), kind_name(to));
	if (want)
		ok(ino_of("d1/a") == x && ino_of(b) == y, "and nothing moved");
	else if (flags == RENAME_EXCHANGE)
		ok(ino_of("d1/a") == y && ino_of(b) == x, "and they are exchanged");
	else
		ok(ino_of("d1/a") == 0 && ino_of(b) == x, "and it moved");
	ok(listed("d1", "a") == (ino_of("d1/a") != 0), "and the listing says so");
	wipe("d1/a");
	wipe(b);
	ok(links_of("d1") == 2 && links_of("d2") == 2, "and links of directories are right");
}

static void check_renames(void)
{
	static const unsigned flags[] = { 0, RENAME_NOREPLACE, RENAME_EXCHANGE };

	make("d1", S_IFDIR);
	make("d2", S_IFDIR);
	for (int from = 0; from < KINDS; from++)
		for (int to = 0; to < KINDS; to++)
			for (int f = 0; f < 3; f++) {
				rename_one(from, to, flags[f], "d2/b");
				rename_one(from, to, flags[f], "d1/b");
			}
	make("d1/x", S_IFDIR);
	make("d1/x/y", S_IFDIR);
	GIVES(rename("d1", "d1/x/z"), EINVAL, "a directory into itself");
	GIVES(rename("d1", "d1/x/y"), EINVAL, "a directory over one below it");
	GIVES(rename("d1/x/y", "d1"), ENOTEMPTY, "a directory over one above it");
	GIVES(renameat2(AT_FDCWD, "d1", AT_FDCWD, "d1/x/y", RENAME_EXCHANGE), EINVAL,
	      "exchange with one below");
	GIVES(rename("d1/x", "d1/x"), 0, "a directory to itself");
	GIVES(renameat2(AT_FDCWD, "d1", AT_FDCWD, "e", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL,
	      "flags that exclude each other");
	put("h1", "x");
	GIVES(link("h1", "h2"), 0, "link");
	GIVES(rename("h1", "h2"), 0, "one name of a file over the other");
	ok(links_of("h1") == 2 && links_of("h2") == 2, "leaves both");
	put("dots", "x");
	GIVES(rename("d1/x", "d2/x"), 0, "a directory moves");
	ok(ino_of("d2/x/..") == ino_of("d2"), "and its '..' follows");
	ok(links_of("d1") == 2 && links_of("d2") == 3, "and the links of both parents");
}

/* -- listings and symlinks ------------------------------------------------ */

static void check_listing(void)
{
	char name[300];
	struct dirent *e;
	unsigned seen = 0, left = 0;
	DIR *d;

	make("big", S_IFDIR);
	for (int i = 0; i < 1500; i++) {
		snprintf(name, sizeof(name), "big/%d", i);
		GIVES(mknod(name, S_IFREG | 0644, 0), 0, "mknod");
	}
	d = opendir("big");
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "big/%s", e->d_name);
		if (e->d_name[0] != '.')
			GIVES(unlink(name), 0, "unlink while listing");
		seen += e->d_name[0] != '.';
	}
	ok(seen == 1500, "%u names were listed while they were removed", seen);
	if (d)
		rewinddir(d);
	while (d && (e = readdir(d)))
		left += e->d_name[0] != '.';
	ok(left == 0, "%u names are left", left);
	if (d)
		closedir(d);
	GIVES(rmdir("big"), 0, "rmdir");
}

static void check_symlinks(void)
{
	char target[4096], got[4200];
	struct stat st;

	for (size_t len = 1; len <= 4095; len += len < 80 || len > 3980 ? 1 : 37) {
		memset(target, 'a' + (int)(len % 26), len);
		target[len] = '\0';
		GIVES(symlink(target, "s"), 0, "symlink of %zu bytes", len);
		ok(readlink("s", got, sizeof(got)) == (ssize_t)len && memcmp(got, target, len) == 0,
		   "readlink of %zu bytes", len);
		ok(lstat("s", &st) == 0 && (size_t)st.st_size == len, "size of a symlink of %zu",
		   len);
		ok(readlink("s", got, 1) == 1, "readlink into one byte");
		GIVES(unlink("s"), 0, "unlink");
	}
	GIVES(readlink("s", got, 10), ENOENT, "readlink of nothing");
}

void check_names(void)
{
	check_all_names();
	check_links();
	check_renames();
	check_listing();
	check_symlinks();
}
