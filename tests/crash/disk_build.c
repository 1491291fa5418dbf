/* Making one of the states that a power cut may leave. */
#include "tests/crash/disk_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The names that are there, and as of when each inode's own attributes are. */
struct view {
	struct disk *d;
	struct name *v;
	size_t n, cap;
	int64_t *as_of; /* by inode */
	char **path;    /* by inode: where it was made */
	uint64_t *rnd;
	const char *dir;
};

static uint64_t pick(struct view *w, uint64_t n)
{
	uint64_t z = (*w->rnd += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (z ^ (z >> 31)) % n;
}

static bool alive(int64_t from, int64_t to, int64_t p)
{
	return from < p && p <= to;
}

static bool same_place(const struct name *a, const struct name *b)
{
	return a->dir == b->dir && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* -- names ---------------------------------------------------------------- */

static void view_at(struct view *w, int64_t p)
{
	for (size_t i = 0; i < w->d->nnames; i++) {
		const struct name *n = &w->d->names[i];

		if (alive(n->from, n->to, p))
			*PUSH(w->v, w->n, w->cap) = *n;
	}
	for (size_t i = 0; i < w->d->ninodes; i++)
		w->as_of[i] = p;
}

static struct name *occupant(struct view *w, const struct name *place)
{
	for (size_t i = 0; i < w->n; i++) {
		if (same_place(&w->v[i], place))
			return &w->v[i];
	}
	return NULL;
}

static void take_out(struct view *w, struct name *n)
{
	*n = w->v[--w->n];
}

static bool has_name_at(const struct view *w, uint32_t inode, int64_t at)
{
	for (size_t i = 0; i < w->d->nnames; i++) {
		const struct name *n = &w->d->names[i];

		if (n->inode == inode && alive(n->from, n->to, at))
			return true;
	}
	return false;
}

static bool is_there(const struct view *w, uint32_t inode)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].inode == inode)
			return true;
	}
	return inode == 0;
}

/* This inode is durable as it was at 'at': its names and attributes. What stands in its way moves
 * to where it was then; directories above it come along when they are new. */
static void bring_inode(struct view *w, uint32_t inode, int64_t at)
{
	if (inode == 0 || w->as_of[inode] >= at || !has_name_at(w, inode, at))
		return;
	w->as_of[inode] = at;
	for (size_t i = 0; i < w->n;) {
		if (w->v[i].inode == inode && !alive(w->v[i].from, w->v[i].to, at))
			take_out(w, &w->v[i]);
		else
			i++;
	}
	for (size_t i = 0; i < w->d->nnames; i++) {
		const struct name *n = &w->d->names[i];
		struct name *o;

		if (n->inode != inode || !alive(n->from, n->to, at))
			continue;
		if (!is_there(w, n->dir))
			bring_inode(w, n->dir, at);
		o = occupant(w, n);
		if (o && o->inode != inode)
			bring_inode(w, o->inode, at);
		o = occupant(w, n);
		if (o && o->inode != inode) {
			take_out(w, o);
			o = NULL;
		}
		if (!o)
			*PUSH(w->v, w->n, w->cap) = *n;
	}
}

static void bring_entries(struct view *w, uint32_t dir, int64_t at)
{
	for (size_t i = 0; i < w->n;) {
		uint32_t inode = w->v[i].inode;

		if (w->v[i].dir != dir || alive(w->v[i].from, w->v[i].to, at)) {
			i++;
			continue;
		}
		take_out(w, &w->v[i]);
		bring_inode(w, inode, at);
		i = 0; /* others may have moved */
	}
	for (size_t i = 0; i < w->d->nnames; i++) {
		const struct name *n = &w->d->names[i];

		if (n->dir == dir && alive(n->from, n->to, at))
			bring_inode(w, n->inode, at);
	}
}

/* Names and attributes as the ordered or the own model may leave them. */
static void choose_names(struct view *w)
{
	struct disk *d = w->d;
	bool own = d->own && pick(w, 2);
	int64_t low = own ? d->all_durable : d->meta_durable, p;

	switch (pick(w, 3)) {
	case 0:
		p = low;
		break;
	case 1:
		p = d->now;
		break;
	default:
		p = low + (int64_t)pick(w, (uint64_t)(d->now - low) + 1);
	}
	view_at(w, p);
	for (size_t i = 0; own && i < d->nsyncs; i++) {
		const struct sync *s = &d->syncs[i];

		if (s->began <= p)
			continue;
		bring_inode(w, s->inode, s->began);
		if (S_ISDIR(d->inodes[s->inode].type))
			bring_entries(w, s->inode, s->began);
	}
}

/* -- data ----------------------------------------------------------------- */

static void apply(const struct change *c, uint64_t from, uint64_t to, uint8_t *content)
{
	uint64_t a = c->off > from ? c->off : from;
	uint64_t b = c->off + c->len < to ? c->off + c->len : to;

	if (a >= b)
		return;
	if (c->data)
		memcpy(content + a, c->data + (a - c->off), b - a);
	else
		memset(content + a, 0, b - a);
}

/* Any version of one page; maybe torn, with bytes of a later one. */
static void build_page(struct view *w, const struct inode *n, uint64_t at, uint8_t *content)
{
	size_t touches[1024], m = 0, k;

	for (size_t i = 0; i < n->nchanges && m < 1024; i++) {
		if (n->changes[i].off < at + DISK_PAGE &&
		    n->changes[i].off + n->changes[i].len > at)
			touches[m++] = i;
	}
	k = pick(w, m + 1);
	for (size_t i = 0; i < k; i++)
		apply(&n->changes[touches[i]], at, at + DISK_PAGE, content);
	if (k < m && pick(w, 3) == 0) {
		size_t upto = pick(w, 2) ? k + 1 : m;
		uint64_t a = at + pick(w, DISK_PAGE), b = a + pick(w, at + DISK_PAGE - a) + 1;

		for (size_t i = k; i < upto; i++)
			apply(&n->changes[touches[i]], a, b, content);
	}
}

static void build_pages(struct view *w, const struct inode *n, uint64_t max, uint8_t *content)
{
	uint64_t pages = max / DISK_PAGE + 1;
	uint8_t *touched = calloc(1, pages);

	for (size_t i = 0; i < n->nchanges; i++) {
		const struct change *c = &n->changes[i];
		uint64_t last = (c->off + c->len - 1) / DISK_PAGE;

		for (uint64_t p = c->off / DISK_PAGE; p <= last && p < pages; p++)
			touched[p] = 1;
	}
	for (uint64_t p = 0; p < pages; p++) {
		if (touched[p])
			build_page(w, n, p * DISK_PAGE, content);
	}
	free(touched);
}

static uint64_t build_content(struct view *w, const struct inode *n, uint8_t *content, uint64_t max)
{
	uint64_t size = n->base_size, how = pick(w, 8);
	size_t some = 0;
	int64_t until;

	memcpy(content, n->base, n->base_size);
	if (how < 2 || (n->nchanges == 0 && n->nsizes == 0))
		return size; /* nothing of it */
	if (how < 4) {
		/* In order, up to somewhere, often all of it. */
		some = n->nchanges && how == 2 ? pick(w, n->nchanges + 1) : n->nchanges;
		until = some < n->nchanges ? n->changes[some].at : FOREVER;
		for (size_t i = 0; i < some; i++)
			apply(&n->changes[i], 0, max, content);
		for (size_t i = 0; i < n->nsizes && n->sizes[i].at < until; i++)
			size = n->sizes[i].size;
		return size;
	}
	build_pages(w, n, max, content);
	if (n->nsizes && pick(w, 4))
		size = n->sizes[pick(w, n->nsizes)].size;
	return size;
}

static void write_content(int fd, const uint8_t *content, uint64_t size)
{
	static const uint8_t zeros[DISK_PAGE];

	if (ftruncate(fd, (off_t)size) < 0)
		disk_die("truncate: %s", strerror(errno));
	for (uint64_t at = 0; at < size; at += DISK_PAGE) {
		size_t len = size - at < DISK_PAGE ? size - at : DISK_PAGE;

		if (memcmp(content + at, zeros, len) != 0 &&
		    pwrite(fd, content + at, len, (off_t)at) != (ssize_t)len)
			disk_die("write: %s", strerror(errno));
	}
}

static void make_file(struct view *w, const struct inode *n, const char *path)
{
	uint64_t max = n->base_size, size;
	uint8_t *content;
	int fd;

	for (size_t i = 0; i < n->nsizes; i++)
		max = n->sizes[i].size > max ? n->sizes[i].size : max;
	for (size_t i = 0; i < n->nchanges; i++) {
		uint64_t end = n->changes[i].off + n->changes[i].len;

		max = end > max ? end : max;
	}
	content = calloc(1, max + 2 * DISK_PAGE);
	size = build_content(w, n, content, max);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !content)
		disk_die("%s: %s", path, strerror(errno));
	write_content(fd, content, size);
	close(fd);
	free(content);
}

/* -- all of it ------------------------------------------------------------ */

static void set_attrs(struct view *w, uint32_t inode, const char *path)
{
	char name[256];

	for (size_t i = 0; i < w->d->nattrs; i++) {
		const struct attr *a = &w->d->attrs[i];

		if (a->inode != inode || !alive(a->from, a->to, w->as_of[inode]))
			continue;
		if (!a->name) {
			if (chmod(path, a->vlen) < 0)
				disk_die("%s: %s", path, strerror(errno));
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)a->len, a->name);
		if (setxattr(path, name, a->value, a->vlen, 0) < 0)
			disk_die("%s: xattr: %s", path, strerror(errno));
	}
}

static void make_tree(struct view *w, uint32_t dir, const char *path);

static void note_number(struct disk *d, const struct inode *n, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		disk_die("%s: %s", path, strerror(errno));
	*PUSH(d->was, d->nwas, d->capwas) = (struct was){ st.st_ino, n->ino };
}

uint64_t disk_was_ino(const struct disk *d, uint64_t ino)
{
	for (size_t i = 0; i < d->nwas; i++) {
		if (d->was[i].now == ino)
			return d->was[i].then;
	}
	return ino;
}

static void make_one(struct view *w, const struct name *name, const char *dirpath)
{
	const struct inode *n = &w->d->inodes[name->inode];
	char path[4096];
	int r = 0;

	snprintf(path, sizeof(path), "%s/%.*s", dirpath, (int)name->len, name->text);
	if (w->path[name->inode]) {
		if (link(w->path[name->inode], path) < 0)
			disk_die("link %s: %s", path, strerror(errno));
		return;
	}
	w->path[name->inode] = strdup(path);
	if (S_ISREG(n->type))
		make_file(w, n, path);
	else if (S_ISDIR(n->type))
		r = mkdir(path, 0700);
	else if (S_ISLNK(n->type))
		r = symlink(n->target, path);
	else
		r = mknod(path, (n->type & S_IFMT) | 0600, 0);
	if (r < 0)
		disk_die("make %s: %s", path, strerror(errno));
	note_number(w->d, n, path);
	if (S_ISDIR(n->type))
		make_tree(w, name->inode, path);
	if (!S_ISLNK(n->type))
		set_attrs(w, name->inode, path);
}

static void make_tree(struct view *w, uint32_t dir, const char *path)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->v[i].dir == dir)
			make_one(w, &w->v[i], path);
	}
}

void disk_build(struct disk *d, const char *dir, uint64_t *rnd)
{
	struct view w = { .d = d, .rnd = rnd, .dir = dir };

	w.as_of = calloc(d->ninodes, sizeof(*w.as_of));
	w.path = calloc(d->ninodes, sizeof(*w.path));
	if (!w.as_of || !w.path)
		disk_die("no memory");
	d->nwas = 0;
	choose_names(&w);
	make_tree(&w, 0, dir);
	for (size_t i = 0; i < d->ninodes; i++)
		free(w.path[i]);
	free(w.path);
	free(w.as_of);
	free(w.v);
}
