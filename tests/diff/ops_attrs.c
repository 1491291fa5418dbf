/* Operations on what belongs to an inode, and looking at directories. */
#include "tests/diff/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A random name that exists, or the directory itself. */
static struct mnode *pick_node(struct thread *t, char path[static PATH_SIZE])
{
	struct mnode *dir = pick_dir(t);
	struct mentry *e;

	if (dir->nentries == 0 || below(t, 10) == 0) {
		path_of(t, dir, NULL, path);
		return dir;
	}
	e = &dir->entries[below(t, dir->nentries)];
	path_of(t, dir, e->name, path);
	return e->n;
}

static void change_mode(struct thread *t)
{
	mode_t mode = 0600 | (mode_t)below(t, 01000) | (below(t, 4) ? 0 : S_ISVTX);
	char path[PATH_SIZE];
	struct mnode *n = pick_node(t, path);

	if (S_ISLNK(n->mode))
		return;
	/* Somebody who is not root must get through, and only root may set it on files of some
	 * filesystems. */
	mode |= S_ISDIR(n->mode) ? 0700 : 0;
	mode &= S_ISDIR(n->mode) || is_root ? 01777 : 0777;
	note(t, "chmod %s %o", path, mode);
	expect(t, chmod(path, mode), 0);
	n->mode = (n->mode & S_IFMT) | mode;
}

static void change_times(struct thread *t)
{
	char path[PATH_SIZE];
	struct mnode *n = pick_node(t, path);
	struct timespec ts[2] = {
		{ .tv_sec = (time_t)below(t, 2000000000), .tv_nsec = (long)below(t, 1000000000) },
		{ .tv_sec = (time_t)below(t, 2000000000), .tv_nsec = (long)below(t, 1000000000) },
	};
	bool omit = below(t, 6) == 0;

	note(t, "utimensat %s mtime %lld.%09ld%s", path, (long long)ts[1].tv_sec, ts[1].tv_nsec,
	     omit ? ", omitted" : "");
	if (omit)
		ts[1].tv_nsec = UTIME_OMIT;
	expect(t, utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW), 0);
	if (!omit) {
		n->mtime = ts[1];
		n->mtime_set = true;
	}
}

static struct mxattr **xattr_slot(struct mnode *n, const char *name)
{
	struct mxattr **free_one = NULL;

	for (size_t i = 0; i < MAX_XATTRS; i++) {
		if (n->xattrs[i] && strcmp(n->xattrs[i]->name, name) == 0)
			return &n->xattrs[i];
		if (!n->xattrs[i])
			free_one = &n->xattrs[i];
	}
	return free_one;
}

static void xattr_name(struct thread *t, char name[static 64])
{
	size_t len = below(t, 5) ? 2 : 1 + below(t, 40);

	strcpy(name, "user.");
	for (size_t i = 0; i < len; i++)
		name[5 + i] = (char)('a' + below(t, len == 2 ? 3 : 26));
	name[5 + len] = '\0';
}

static void set_xattr(struct thread *t)
{
	static const int kinds[] = { 0, 0, 0, XATTR_CREATE, XATTR_REPLACE };
	char path[PATH_SIZE], name[64];
	struct mnode *n = pick_node(t, path);
	int flags = kinds[below(t, 5)], want = 0;
	struct mxattr **slot, x = { 0 };

	xattr_name(t, name);
	slot = xattr_slot(n, name);
	x.len = below(t, below(t, 4) ? 40 : 301);
	for (size_t i = 0; i < x.len; i++)
		x.value[i] = (uint8_t)rnd(t);
	strcpy(x.name, name);
	if (!S_ISREG(n->mode) && !S_ISDIR(n->mode))
		want = EPERM;
	else if (!slot)
		return;
	else if (*slot && flags == XATTR_CREATE)
		want = EEXIST;
	else if (!*slot && flags == XATTR_REPLACE)
		want = ENODATA;
	note(t, "setxattr %s %s, %zu bytes, flags %d", path, name, x.len, flags);
	expect(t, lsetxattr(path, name, x.value, x.len, flags), want);
	if (want)
		return;
	if (!*slot)
		*slot = malloc(sizeof(x));
	**slot = x;
}

static void remove_xattr(struct thread *t)
{
	char path[PATH_SIZE], name[64];
	struct mnode *n = pick_node(t, path);
	struct mxattr **slot;

	xattr_name(t, name);
	slot = xattr_slot(n, name);
	if (!S_ISREG(n->mode) && !S_ISDIR(n->mode))
		return;
	note(t, "removexattr %s %s", path, name);
	expect(t, lremovexattr(path, name), slot && *slot ? 0 : ENODATA);
	if (slot) {
		free(*slot);
		*slot = NULL;
	}
}

static void look(struct thread *t)
{
	char path[PATH_SIZE];
	struct mnode *n = pick_node(t, path);

	note(t, "look at %s", path);
	check_stat(t, n, path);
	if (below(t, 3) == 0)
		check_xattrs(t, n, path);
	if (S_ISDIR(n->mode) && below(t, 2))
		check_listing(t, n);
}

static void change_size(struct thread *t)
{
	char path[PATH_SIZE];
	struct mnode *n = pick_node(t, path);
	size_t size = below(t, 2) ? below(t, n->size + 1) : below(t, SIZE_USUAL);
	int want = S_ISDIR(n->mode) ? EISDIR : 0;

	if ((!S_ISREG(n->mode) && !S_ISDIR(n->mode)) || (t->bytes > SIZE_TOTAL && size > n->size))
		return;
	note(t, "truncate %s to %zu, size %zu", path, size, n->size);
	expect(t, truncate(path, (off_t)size), want);
	if (want == 0) {
		data_resize(t, n, size);
		data_touched(n);
	}
}

void op_attrs(struct thread *t)
{
	static void (*const ops[])(struct thread * t) = {
		change_mode, change_mode, change_times, change_times, set_xattr,
		set_xattr,   set_xattr,   remove_xattr, change_size,  look,
		look,        look,        look,
	};

	ops[below(t, sizeof(ops) / sizeof(ops[0]))](t);
}

/* -- reading a directory while it changes ---------------------------------- */

struct seen {
	char name[NAME_SIZE];
	bool during; /* there at all times */
	unsigned count;
};

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

static struct seen *seen_find(struct seen *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

/* Make and remove some names of 'dir', by the model's rules. */
static void disturb(struct thread *t, struct mnode *dir, struct seen *list, size_t n)
{
	char name[NAME_SIZE], path[PATH_SIZE];

	for (uint64_t i = below(t, 4); i > 0; i--) {
		struct mentry *e;
		struct seen *s;

		pick_name(t, dir, name);
		e = entry_find(dir, name);
		path_of(t, dir, name, path);
		s = seen_find(list, n, name);
		if (e && !S_ISDIR(e->n->mode)) {
			note(t, "while listing: unlink %s", path);
			expect(t, unlink(path), 0);
			entry_remove(t, dir, e);
			if (s)
				s->during = false;
		} else if (!e && dir->nentries < MAX_ENTRIES && t->nodes < MAX_NODES) {
			struct mnode *made = node_new(t, S_IFREG | 0600);

			note(t, "while listing: create %s", path);
			expect(t, mknod(path, S_IFREG | 0600, 0), 0);
			entry_add(dir, name, made);
			node_unref(t, made);
		}
	}
}

/* What was there all the time is seen once; what was not there before or after may be seen or not.
 */
void op_scan(struct thread *t)
{
	static const size_t sizes[] = { 300, 600, 1200, 5000 };
	struct seen list[MAX_ENTRIES];
	struct mnode *dir = pick_dir(t);
	size_t n = dir->nentries, size = sizes[below(t, 4)];
	_Alignas(8) char buf[5000];
	char path[PATH_SIZE];
	int fd;

	path_of(t, dir, NULL, path);
	note(t, "list %s, %zu names, %zu bytes a time", path, n, size);
	for (size_t i = 0; i < n; i++) {
		strcpy(list[i].name, dir->entries[i].name);
		list[i].during = true;
		list[i].count = 0;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	expect(t, fd, 0);
	for (;;) {
		long got = syscall(SYS_getdents64, fd, buf, size);

		expect(t, got, 0);
		if (got <= 0)
			break;
		for (long at = 0; at < got;) {
			const struct linux_dirent64 *e = (const void *)(buf + at);
			struct seen *s = seen_find(list, n, e->d_name);

			if (s)
				s->count++;
			at += e->d_reclen;
		}
		disturb(t, dir, list, n);
	}
	close(fd);
	for (size_t i = 0; i < n; i++)
		if (list[i].during && list[i].count != 1)
			differs(t, "'%s' was listed %u times", list[i].name, list[i].count);
}
