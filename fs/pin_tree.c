#include "fs/pin_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch.h"
#include "fs/arch_index.h"

#define PROGRESS_EVERY 1024u
#define PATH_PIECE     3000u

void pin_tree_free(struct pin_tree *t)
{
	free(t->rec);
	free(t->stamp);
	free(t->inode);
	free(t->names);
	*t = (struct pin_tree){ 0 };
}

uint8_t pin_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return 'd';
	case S_IFREG:
		return 'f';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	default:
		return 'b';
	}
}

uint64_t pin_stamp(const struct stat *st)
{
	uint64_t h = (uint64_t)st->st_mtim.tv_sec;

	h = h * 0x9e3779b97f4a7c15u + (uint64_t)st->st_mtim.tv_nsec;
	h = h * 0x9e3779b97f4a7c15u + (uint64_t)st->st_ctim.tv_sec;
	h = h * 0x9e3779b97f4a7c15u + (uint64_t)st->st_ctim.tv_nsec;
	return h * 0x9e3779b97f4a7c15u + st->st_ino;
}

const char *pin_tree_name(const struct pin_tree *t, uint32_t i)
{
	return t->names + t->rec[i].name;
}

/* -- growing --------------------------------------------------------------- */

static int tree_grow(struct pin_tree *t, bool inodes)
{
	uint32_t room = t->room ? t->room + t->room / 2 : 256;
	void *rec, *stamp, *inode;

	if (room > PIN_RECORDS_MAX)
		return -EFBIG;
	rec = reallocarray(t->rec, room, sizeof(*t->rec));
	if (rec)
		t->rec = rec;
	stamp = reallocarray(t->stamp, room, sizeof(*t->stamp));
	if (stamp)
		t->stamp = stamp;
	inode = inodes ? reallocarray(t->inode, room, sizeof(*t->inode)) : NULL;
	if (inode)
		t->inode = inode;
	if (!rec || !stamp || (inodes && !inode))
		return -ENOMEM;
	t->room = room;
	return 0;
}

static int names_add(struct pin_tree *t, const char *name, size_t len, uint32_t *ret)
{
	if (t->names_len + len > t->names_room) {
		uint64_t room = t->names_room * 3 / 2 + 4096;
		char *names = room > UINT32_MAX ? NULL : realloc(t->names, room);

		if (!names)
			return room > UINT32_MAX ? -EFBIG : -ENOMEM;
		t->names = names;
		t->names_room = room;
	}
	*ret = (uint32_t)t->names_len;
	memcpy(t->names + t->names_len, name, len);
	t->names_len += len;
	return 0;
}

static int record_add(struct pin_tree *t, const struct pin_record *rec, uint64_t stamp,
		      const uint32_t *inode)
{
	struct pin_record *r;
	int e = t->n == t->room ? tree_grow(t, inode) : 0;

	if (e < 0)
		return e;
	r = &t->rec[t->n];
	*r = *rec;
	t->stamp[t->n] = stamp;
	if (inode)
		t->inode[t->n] = *inode;
	t->n++;
	if (r->type != 'f')
		return 0;
	r->leaf = t->leaves;
	t->leaves += pin_leaves(r->size);
	t->files++;
	t->bytes += r->size;
	return 0;
}

/* -- ways ------------------------------------------------------------------ */

char *pin_tree_path(const struct pin_tree *t, uint32_t i)
{
	size_t len = 0;
	char *path, *at;

	for (uint32_t k = i; k; k = t->rec[k].parent)
		len += t->rec[k].name_len + 1u;
	path = malloc(len + 1);
	if (!path)
		return NULL;
	at = path + len;
	*at = '\0';
	for (uint32_t k = i; k; k = t->rec[k].parent) {
		if (k != i)
			*--at = '/';
		at -= t->rec[k].name_len;
		memcpy(at, pin_tree_name(t, k), t->rec[k].name_len);
	}
	memmove(path, at, strlen(at) + 1);
	return path;
}

int pin_tree_open(const struct pin_tree *t, int top, uint32_t i, int flags)
{
	autofree char *path = pin_tree_path(t, i);
	autoclose int dir = -1;
	char *rest = path;

	if (!path)
		return -ENOMEM;
	if (i == 0) {
		int fd = openat(top, ".", flags | O_CLOEXEC);

		return fd < 0 ? -errno : fd;
	}
	/* Longer than a path may be: in pieces. */
	while (strlen(rest) > PATH_PIECE) {
		char *cut = memrchr(rest, '/', PATH_PIECE);
		int next;

		*cut = '\0'; /* a name has 255 bytes at most */
		next = fd_open_beneath(dir >= 0 ? dir : top, rest, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return next;
		if (dir >= 0)
			close(dir);
		dir = next;
		rest = cut + 1;
	}
	return fd_open_beneath(dir >= 0 ? dir : top, rest, flags, 0);
}

/* -- a directory of the host ----------------------------------------------- */

struct found {
	struct pin_record rec;
	uint64_t stamp;
};

struct level {
	const struct pin_walk *w;
	struct pin_tree *t;
	uint32_t dir;
	char *path; /* of it, when there is a filter */
	int fd;
	struct found *v;
	size_t n, room;
};

static bool is_shown(const struct level *l, const char *name, bool is_dir)
{
	autofree char *path = NULL;
	size_t len = l->path ? strlen(l->path) : 0;

	if (!l->path)
		return true;
	path = malloc(len + strlen(name) + 2);
	if (!path)
		return true;
	memcpy(path, l->path, len);
	if (len > 0)
		path[len++] = '/';
	strcpy(path + len, name);
	return filter_shows(&l->w->filter, path, is_dir);
}

static int link_digest(int dirfd, const char *name, struct pin_record *rec)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0)
		return -errno;
	rec->size = (uint64_t)n;
	pin_hash(PIN_USE_LINK, target, (size_t)n, rec->digest);
	return 0;
}

static void fill(struct pin_record *rec, const struct stat *st, uint32_t parent)
{
	*rec = (struct pin_record){
		.type = pin_type(st->st_mode),
		.mode = S_ISLNK(st->st_mode) ? 0 : st->st_mode & 0777,
		.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0,
		.parent = parent,
	};
}

/* 0, also when it is not shown. */
static int level_add(struct level *l, const char *name)
{
	struct found f = { 0 };
	struct stat st;
	int r;

	if (fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return errno == ENOENT ? 0 : -errno; /* gone meanwhile: it was not there */
	if ((l->w->own[0] && st.st_dev == l->w->own[0]) ||
	    (l->w->own[1] && st.st_dev == l->w->own[1]) || fd_is_mount(l->fd, name) ||
	    !is_shown(l, name, S_ISDIR(st.st_mode)))
		return 0;
	fill(&f.rec, &st, l->dir);
	f.stamp = pin_stamp(&st);
	f.rec.name_len = (uint16_t)strlen(name);
	r = S_ISLNK(st.st_mode) ? link_digest(l->fd, name, &f.rec) : 0;
	if (r == 0)
		r = names_add(l->t, name, strlen(name), &f.rec.name);
	if (r == 0 && l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 64;
		struct found *v = reallocarray(l->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->room = room;
	}
	if (r == 0)
		l->v[l->n++] = f;
	return r;
}

static int by_name(const void *a, const void *b, void *names)
{
	const struct pin_record *x = &((const struct found *)a)->rec;
	const struct pin_record *y = &((const struct found *)b)->rec;
	int c = memcmp((char *)names + x->name, (char *)names + y->name,
		       MIN(x->name_len, y->name_len));

	return c ? c : (int)x->name_len - (int)y->name_len;
}

static int level_read(struct level *l)
{
	autoclosedir DIR *d = NULL;
	struct dirent *e;
	int r = 0, fd = dup(l->fd);

	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	errno = 0;
	while (r == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = level_add(l, e->d_name);
		if (r == 0 && l->n % PROGRESS_EVERY == PROGRESS_EVERY - 1 && l->w->progress)
			r = l->w->progress(l->w->ctx, l->t);
		errno = 0;
	}
	return r < 0 ? r : -errno;
}

static int walk_dir(const struct pin_walk *w, struct pin_tree *t, uint32_t i)
{
	autofree struct found *list = NULL;
	autofree char *path = NULL;
	autoclose int fd = pin_tree_open(t, w->top, i, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	struct level l = { .w = w, .t = t, .dir = i, .fd = fd };
	int r = fd < 0 ? fd : 0;

	if (r == 0 && !filter_is_empty(&w->filter)) {
		l.path = path = pin_tree_path(t, i);
		r = path ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = level_read(&l);
	list = l.v;
	if (r < 0)
		return r;
	if (l.n > PIN_RECORDS_MAX)
		return -EFBIG;
	if (l.n > 0)
		qsort_r(l.v, l.n, sizeof(*l.v), by_name, t->names);
	t->rec[i].first = t->n;
	t->rec[i].count = (uint32_t)l.n;
	for (size_t k = 0; r == 0 && k < l.n; k++)
		r = record_add(t, &l.v[k].rec, l.v[k].stamp, NULL);
	return r;
}

static int walk_host(struct pin_tree *t, const struct pin_walk *w)
{
	struct pin_record rec;
	struct stat st;
	int r;

	if (fstat(w->top, &st) < 0)
		return -errno;
	fill(&rec, &st, 0);
	r = record_add(t, &rec, 0, NULL);
	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		if (t->rec[i].type != 'd')
			continue;
		t->rec[i].first = t->n; /* none, so far */
		r = walk_dir(w, t, i);
		if (r < 0 && r != -ENOMEM && r != -ECANCELED && r != -EFBIG) {
			t->rec[i].first = t->n;
			t->rec[i].count = 0;
			r = w->failed(w->ctx, t, i, r);
		}
		if (r == 0 && i % PROGRESS_EVERY == 0 && w->progress)
			r = w->progress(w->ctx, t);
	}
	return r;
}

/* A single file in its made-up directory. */
static int walk_file(struct pin_tree *t, const struct pin_walk *w)
{
	struct pin_record top = { .type = 'd', .mode = 0555, .first = 1, .count = 1 }, rec;
	struct stat st;
	int r = fstat(w->top, &st) < 0 ? -errno : record_add(t, &top, 0, NULL);

	if (r < 0)
		return r;
	fill(&rec, &st, 0);
	rec.name_len = (uint16_t)strlen(w->base);
	r = names_add(t, w->base, rec.name_len, &rec.name);
	return r < 0 ? r : record_add(t, &rec, pin_stamp(&st), NULL);
}

/* -- an archive ------------------------------------------------------------ */

static void fill_arch(const struct arch_index *ix, const struct arch_inode *n,
		      struct pin_record *rec)
{
	bool dir = n->flags & ARCH_INODE_DIR, link = n->flags & ARCH_INODE_SYMLINK;

	rec->type = dir ? 'd' : link ? 'l' : 'f';
	rec->mode = dir || n->flags & ARCH_INODE_EXEC ? 0555 : 0444;
	rec->size = dir ? 0 : n->size;
	if (link) {
		rec->mode = 0;
		pin_hash(PIN_USE_LINK, ix->strings + n->at, n->size, rec->digest);
	}
}

static int walk_arch_dir(struct pin_tree *t, const struct arch_index *ix, uint32_t i)
{
	const struct arch_name *name;
	int r = 0;

	t->rec[i].first = t->n;
	for (uint64_t k = 0; r == 0 && (name = arch_index_at(ix, t->inode[i], k)); k++) {
		struct pin_record rec = { .parent = i, .name_len = name->len };

		fill_arch(ix, arch_index_inode(ix, name->inode), &rec);
		r = names_add(t, ix->strings + name->at, name->len, &rec.name);
		if (r == 0)
			r = record_add(t, &rec, 0, &name->inode);
		if (r == 0)
			t->rec[i].count++;
	}
	return r;
}

static int walk_arch(struct pin_tree *t, const struct pin_walk *w)
{
	const struct arch_index *ix = arch_index_of(w->arch);
	struct pin_record top = { .type = 'd', .mode = 0555 };
	uint32_t zero = 0;
	int r = record_add(t, &top, 0, &zero);

	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		if (t->rec[i].type == 'd')
			r = walk_arch_dir(t, ix, i);
		if (r == 0 && i % PROGRESS_EVERY == 0 && w->progress)
			r = w->progress(w->ctx, t);
	}
	return r;
}

int pin_tree_walk(struct pin_tree *t, const struct pin_walk *w)
{
	t->names_room = 4096;
	t->names = malloc(t->names_room);
	if (!t->names)
		return -ENOMEM;
	if (w->arch)
		return walk_arch(t, w);
	return w->base ? walk_file(t, w) : walk_host(t, w);
}

/* -- digests --------------------------------------------------------------- */

static size_t entry_put(const struct pin_tree *t, uint32_t i, uint8_t *ret)
{
	const struct pin_record *r = &t->rec[i];

	return pin_entry_put(&(struct pin_entry){ .type = r->type,
						  .mode = r->mode,
						  .name_len = r->name_len,
						  .size = r->size,
						  .digest = r->digest,
						  .name = pin_tree_name(t, i) },
			     ret);
}

int pin_tree_finish(struct pin_tree *t, uint8_t ret_digest[static PIN_HASH])
{
	uint8_t text[PIN_ENTRY_HEAD + 256];

	/* What is in a directory comes after it. */
	for (uint32_t i = t->n; i-- > 0;) {
		struct pin_record *r = &t->rec[i];
		struct pin_hasher *h;
		uint8_t count[8];

		if (r->type != 'd')
			continue;
		h = pin_hasher_new(PIN_USE_DIR);
		if (!h)
			return -ENOMEM;
		le64_store(count, r->count);
		pin_hasher_add(h, count, sizeof(count));
		for (uint32_t k = 0; k < r->count; k++)
			pin_hasher_add(h, text, entry_put(t, r->first + k, text));
		pin_hasher_end(h, r->digest);
	}
	pin_hash(PIN_USE_TOP, text, entry_put(t, 0, text), ret_digest);
	return 0;
}
