/* What is there against what the model says. */
#include "tests/diff/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

void check_stat(struct thread *t, struct mnode *n, const char *path)
{
	struct stat st;
	size_t size = n->size;

	expect(t, lstat(path, &st), 0);
	if (st.st_mode != n->mode)
		differs(t, "%s: mode %o, expected %o", path, st.st_mode, n->mode);
	if (n->ino == 0)
		n->ino = st.st_ino;
	if (st.st_ino != n->ino)
		differs(t, "%s: inode %llu, it was %llu", path, (unsigned long long)st.st_ino,
			(unsigned long long)n->ino);
	if ((!S_ISDIR(n->mode) || dir_nlink) && st.st_nlink != n->nlink)
		differs(t, "%s: %u links, expected %u", path, (unsigned)st.st_nlink, n->nlink);
	if (S_ISLNK(n->mode))
		size = strlen(n->target);
	if (!S_ISDIR(n->mode) && (size_t)st.st_size != size)
		differs(t, "%s: size %zu, expected %zu", path, (size_t)st.st_size, size);
	if (n->mtime_set &&
	    (st.st_mtim.tv_sec != n->mtime.tv_sec || st.st_mtim.tv_nsec != n->mtime.tv_nsec))
		differs(t, "%s: mtime %lld.%09ld, expected %lld.%09ld", path,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(long long)n->mtime.tv_sec, n->mtime.tv_nsec);
	if (S_ISLNK(n->mode)) {
		char target[5000];
		ssize_t len = readlink(path, target, sizeof(target));

		if (len != (ssize_t)size || memcmp(target, n->target, size) != 0)
			differs(t, "%s: another target", path);
	}
}

void check_content(struct thread *t, struct mnode *n, int fd)
{
	static _Thread_local uint8_t buf[65536];

	for (size_t at = 0; at < n->size;) {
		ssize_t got = pread(fd, buf, sizeof(buf), (off_t)at);

		if (got <= 0 || at + (size_t)got > n->size)
			differs(t, "reading at %zu of %zu gave %zd: %m", at, n->size, got);
		for (ssize_t i = 0; i < got; i++)
			if (buf[i] != n->data[at + (size_t)i])
				differs(t, "byte %zu is %#x, expected %#x (size %zu)",
					at + (size_t)i, buf[i], n->data[at + (size_t)i], n->size);
		at += (size_t)got;
	}
	if (pread(fd, buf, 1, (off_t)n->size) != 0)
		differs(t, "there is more than %zu bytes", n->size);
}

void check_xattrs(struct thread *t, struct mnode *n, const char *path)
{
	char list[4096];
	uint8_t value[512];
	ssize_t len = llistxattr(path, list, sizeof(list));
	size_t count = 0, want = 0;

	if (!S_ISREG(n->mode) && !S_ISDIR(n->mode))
		return;
	expect(t, len, 0);
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(list + at) + 1)
		count += strncmp(list + at, "user.", 5) == 0;
	for (size_t i = 0; i < MAX_XATTRS; i++) {
		const struct mxattr *x = n->xattrs[i];

		if (!x)
			continue;
		want++;
		len = lgetxattr(path, x->name, value, sizeof(value));
		if (len != (ssize_t)x->len || memcmp(value, x->value, x->len) != 0)
			differs(t, "%s: attribute %s has %zd bytes, expected %zu: %m", path,
				x->name, len, x->len);
	}
	if (count != want)
		differs(t, "%s: %zu attributes, expected %zu", path, count, want);
}

void check_listing(struct thread *t, struct mnode *dir)
{
	char path[PATH_SIZE];
	size_t count = 0;
	struct dirent *e;
	DIR *d;

	path_of(t, dir, NULL, path);
	d = opendir(path);
	if (!d)
		differs(t, "list %s: %m", path);
	while ((errno = 0, e = readdir(d))) {
		struct mentry *m;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		m = entry_find(dir, e->d_name);
		if (!m)
			differs(t, "%s lists '%s'", path, e->d_name);
		if (e->d_type != DT_UNKNOWN && DTTOIF(e->d_type) != (int)(m->n->mode & S_IFMT))
			differs(t, "%s lists '%s' with type %d", path, e->d_name, e->d_type);
		count++;
	}
	if (errno)
		differs(t, "list %s: %m", path);
	if (count != dir->nentries)
		differs(t, "%s lists %zu names, expected %zu", path, count, dir->nentries);
	closedir(d);
}

static void check_dir(struct thread *t, struct mnode *dir)
{
	char path[PATH_SIZE];

	check_listing(t, dir);
	for (size_t i = 0; i < dir->nentries; i++) {
		struct mnode *n = dir->entries[i].n;

		path_of(t, dir, dir->entries[i].name, path);
		note(t, "check %s", path);
		check_stat(t, n, path);
		check_xattrs(t, n, path);
		if (S_ISREG(n->mode)) {
			int fd = open(path, O_RDONLY | O_CLOEXEC);

			expect(t, fd, 0);
			check_content(t, n, fd);
			close(fd);
		}
		if (S_ISDIR(n->mode))
			check_dir(t, n);
	}
}

void check_tree(struct thread *t)
{
	check_stat(t, t->root, t->base);
	check_xattrs(t, t->root, t->base);
	check_dir(t, t->root);
}
