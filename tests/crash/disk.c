/* Reading the trace: what is there at each moment, and what of it is durable. */
#include "tests/crash/disk_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

void disk_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

void *disk_realloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p)
		disk_die("no memory");
	return p;
}

static uint32_t new_inode(struct disk *d, uint64_t ino, mode_t type)
{
	struct inode *n = PUSH(d->inodes, d->ninodes, d->capinodes);

	*n = (struct inode){ .ino = ino, .type = type };
	n->base = calloc(1, DISK_PAGE);
	n->base_cap = DISK_PAGE;
	return (uint32_t)(d->ninodes - 1);
}

/* The newest of this number: the kernel gives numbers out again. */
static bool find_inode(const struct disk *d, uint64_t ino, uint32_t *ret)
{
	for (size_t i = d->ninodes; i-- > 0;) {
		if (d->inodes[i].ino == ino) {
			*ret = (uint32_t)i;
			return true;
		}
	}
	return false;
}

static void touch(struct disk *d, uint32_t inode, bool data)
{
	*PUSH(d->touches, d->ntouches, d->captouches) = (struct touch){ d->now, inode, data };
}

static void add_name(struct disk *d, uint32_t dir, const char *text, size_t len, uint32_t inode)
{
	*PUSH(d->names, d->nnames, d->capnames) =
		(struct name){ d->now, FOREVER, dir, inode, text, (uint16_t)len };
	touch(d, dir, true);
	touch(d, inode, false);
}

static struct name *find_name(struct disk *d, uint32_t dir, const char *text, size_t len)
{
	for (size_t i = d->nnames; i-- > 0;) {
		struct name *n = &d->names[i];

		if (n->dir == dir && n->to == FOREVER && n->len == len &&
		    memcmp(n->text, text, len) == 0)
			return n;
	}
	return NULL;
}

static void drop_name(struct disk *d, struct name *n)
{
	n->to = d->now;
	touch(d, n->dir, true);
	touch(d, n->inode, false);
}

static void set_attr(struct disk *d, uint32_t inode, const char *name, size_t len,
		     const uint8_t *value, uint32_t vlen)
{
	for (size_t i = 0; i < d->nattrs; i++) {
		struct attr *a = &d->attrs[i];

		if (a->inode == inode && a->to == FOREVER && !a->name == !name && a->len == len &&
		    (!name || memcmp(a->name, name, len) == 0))
			a->to = d->now;
	}
	if (value || !name)
		*PUSH(d->attrs, d->nattrs, d->capattrs) =
			(struct attr){ d->now, FOREVER, inode, name, (uint16_t)len, value, vlen };
	touch(d, inode, false);
}

/* -- data ----------------------------------------------------------------- */

static void set_size(struct disk *d, struct inode *n, uint64_t size)
{
	if (size == n->size)
		return;
	n->size = size;
	*PUSH(n->sizes, n->nsizes, n->capsizes) = (struct size_at){ d->now, size };
	touch(d, (uint32_t)(n - d->inodes), true);
}

static void change(struct disk *d, struct inode *n, uint64_t off, uint64_t len, const uint8_t *data)
{
	if (len)
		*PUSH(n->changes, n->nchanges, n->capchanges) =
			(struct change){ d->now, off, len, data };
}

static void read_data(struct disk *d, const struct trace_rec *r, struct inode *n)
{
	switch (r->kind) {
	case TRACE_WRITE:
		change(d, n, r->off, r->len, trace_data(r));
		if (r->off + r->len > n->size)
			set_size(d, n, r->off + r->len);
		break;
	case TRACE_TRUNCATE:
		if (r->len < n->size)
			change(d, n, r->len, n->size - r->len, NULL);
		set_size(d, n, r->len);
		break;
	case TRACE_FALLOCATE:
		if (r->arg & FALLOC_FL_PUNCH_HOLE)
			change(d, n, r->off, r->len, NULL);
		else if (!(r->arg & FALLOC_FL_KEEP_SIZE) && r->off + r->len > n->size)
			set_size(d, n, r->off + r->len);
		break;
	}
}

static void base_reserve(struct inode *n, uint64_t size)
{
	uint64_t cap = n->base_cap;

	while (cap < size)
		cap *= 2;
	if (cap == n->base_cap)
		return;
	n->base = disk_realloc(n->base, cap);
	memset(n->base + n->base_cap, 0, cap - n->base_cap);
	n->base_cap = cap;
}

/* What happened before 'began' is durable. */
static void settle(struct inode *n, int64_t began)
{
	size_t k = 0, i;

	for (i = 0; i < n->nchanges && n->changes[i].at < began; i++) {
		const struct change *c = &n->changes[i];

		base_reserve(n, c->off + c->len);
		if (c->data)
			memcpy(n->base + c->off, c->data, c->len);
		else
			memset(n->base + c->off, 0, c->len);
	}
	for (; i < n->nchanges; i++)
		n->changes[k++] = n->changes[i];
	n->nchanges = k;
	for (i = k = 0; i < n->nsizes; i++) {
		if (n->sizes[i].at < began)
			n->base_size = n->sizes[i].size;
		else
			n->sizes[k++] = n->sizes[i];
	}
	n->nsizes = k;
	base_reserve(n, n->base_size);
}

/* The last change before 'began' that a sync of this inode takes along. */
static int64_t last_touch(const struct disk *d, uint32_t inode, int64_t began, bool data_only)
{
	for (size_t i = d->ntouches; i-- > 0;) {
		const struct touch *t = &d->touches[i];

		if (t->inode == inode && t->at < began && (t->data || !data_only))
			return t->at + 1;
	}
	return 0;
}

static void synced(struct disk *d, const struct trace_rec *r)
{
	int64_t began = (int64_t)r->off, upto;
	struct sync s = { began, d->now, 0, (enum trace_sync)r->arg };

	if (d->lies)
		return;
	if (s.how == SYNC_FS) {
		for (size_t i = 0; i < d->ninodes; i++)
			settle(&d->inodes[i], began);
		d->all_durable = began;
		if (began > d->meta_durable)
			d->meta_durable = began;
		return;
	}
	if (!find_inode(d, r->ino, &s.inode))
		return;
	settle(&d->inodes[s.inode], began);
	upto = last_touch(d, s.inode, began, s.how == SYNC_DATA);
	if (upto > d->meta_durable)
		d->meta_durable = upto;
	if (upto > d->all_durable) {
		/* What is written is the inode as it is, unless fdatasync leaves newer names out.
		 */
		if (upto < last_touch(d, s.inode, began, false))
			s.began = upto;
		*PUSH(d->syncs, d->nsyncs, d->capsyncs) = s;
	}
}

/* -- names ---------------------------------------------------------------- */

static void made(struct disk *d, const struct trace_rec *r, mode_t type)
{
	uint32_t dir, inode;

	if (!find_inode(d, r->dir, &dir))
		return; /* not in the store */
	inode = new_inode(d, r->ino, type);
	touch(d, inode, true);
	if (type == S_IFLNK)
		d->inodes[inode].target = strndup((const char *)trace_data(r), r->data_len);
	else
		set_attr(d, inode, NULL, 0, NULL, r->arg & 07777);
	if (r->name_len)
		add_name(d, dir, trace_name(r), r->name_len, inode);
}

static void renamed(struct disk *d, const struct trace_rec *r)
{
	uint32_t from, to, a, b = 0;
	struct name *old, *target;

	if (!find_inode(d, r->dir, &from) || !find_inode(d, r->dir2, &to))
		return;
	old = find_name(d, from, trace_name(r), r->name_len);
	target = find_name(d, to, trace_name2(r), r->name2_len);
	if (!old)
		disk_die("the trace renames %s, which is not there", trace_name(r));
	a = old->inode;
	if (target)
		b = target->inode;
	drop_name(d, old);
	if (target)
		drop_name(d, target);
	add_name(d, to, trace_name2(r), r->name2_len, a);
	if (target && (r->arg & RENAME_EXCHANGE))
		add_name(d, from, trace_name(r), r->name_len, b);
}

static void read_name(struct disk *d, const struct trace_rec *r)
{
	uint32_t dir, inode;
	struct name *n;

	switch (r->kind) {
	case TRACE_CREATE:
		made(d, r, S_IFREG);
		break;
	case TRACE_MKDIR:
		made(d, r, S_IFDIR);
		break;
	case TRACE_SYMLINK:
		made(d, r, S_IFLNK);
		break;
	case TRACE_MKNOD:
		made(d, r, r->arg & S_IFMT);
		break;
	case TRACE_LINK:
		if (find_inode(d, r->dir, &dir) && find_inode(d, r->ino, &inode))
			add_name(d, dir, trace_name(r), r->name_len, inode);
		break;
	case TRACE_UNLINK:
		n = find_inode(d, r->dir, &dir) ? find_name(d, dir, trace_name(r), r->name_len)
						: NULL;
		if (n)
			drop_name(d, n);
		break;
	case TRACE_RENAME:
		renamed(d, r);
		break;
	}
}

static void read_record(struct disk *d, const struct trace_rec *r)
{
	uint32_t inode;

	if (r->kind >= TRACE_CREATE && r->kind <= TRACE_RENAME) {
		read_name(d, r);
		return;
	}
	if (r->kind == TRACE_SYNCED) {
		synced(d, r);
		return;
	}
	if (r->kind == TRACE_SYNC || !find_inode(d, r->ino, &inode))
		return;
	if (r->kind == TRACE_SETXATTR)
		set_attr(d, inode, trace_name(r), r->name_len, trace_data(r), r->data_len);
	else if (r->kind == TRACE_RMXATTR)
		set_attr(d, inode, trace_name(r), r->name_len, NULL, 0);
	else if (r->kind == TRACE_CHMOD)
		set_attr(d, inode, NULL, 0, NULL, r->arg);
	else
		read_data(d, r, &d->inodes[inode]);
}

void disk_advance(struct disk *d, uint64_t upto)
{
	while (d->now < (int64_t)upto && d->now < d->records) {
		const struct trace_rec *r = (const void *)(d->map + d->at);

		read_record(d, r);
		d->at += r->size;
		d->now++;
	}
}

uint64_t disk_records(const struct disk *d)
{
	return (uint64_t)d->records;
}

void disk_own(struct disk *d)
{
	d->own = true;
}

void disk_lie(struct disk *d)
{
	d->lies = true;
}

/* -- the beginning -------------------------------------------------------- */

static void load_content(struct inode *n, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		disk_die("%s: %s", path, strerror(errno));
	n->size = n->base_size = (uint64_t)st.st_size;
	base_reserve(n, n->size);
	if (pread(fd, n->base, n->size, 0) != (ssize_t)n->size)
		disk_die("%s: cannot be read", path);
	close(fd);
}

static void load_xattrs(struct disk *d, uint32_t inode, const char *path)
{
	char list[4096], value[4096];
	ssize_t n = llistxattr(path, list, sizeof(list));

	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(list + i) + 1) {
		ssize_t len = lgetxattr(path, list + i, value, sizeof(value));
		uint8_t *copy;

		if (len < 0 || strncmp(list + i, "user.", 5) != 0)
			continue;
		copy = disk_realloc(NULL, (size_t)len + 1);
		memcpy(copy, value, (size_t)len);
		set_attr(d, inode, strdup(list + i), strlen(list + i), copy, (uint32_t)len);
	}
}

/* One of the lines, parents first. */
static void load_inode(struct disk *d, const char *store, uint64_t ino, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char full[4096], target[4096];
	uint32_t inode, dir = 0;
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", store, path);
	if (lstat(full, &st) < 0)
		disk_die("%s: %s", full, strerror(errno));
	if (!find_inode(d, ino, &inode))
		inode = new_inode(d, ino, st.st_mode & S_IFMT);
	if (S_ISREG(st.st_mode))
		load_content(&d->inodes[inode], full);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(full, target, sizeof(target) - 1);

		d->inodes[inode].target = strndup(target, n > 0 ? (size_t)n : 0);
	} else {
		set_attr(d, inode, NULL, 0, NULL, st.st_mode & 07777);
		load_xattrs(d, inode, full);
	}
	if (*path == '\0')
		return; /* the store itself */
	/* Its parent is the newest directory whose path it continues: found by walking down. */
	for (const char *p = path; slash && p < slash;) {
		const char *end = strchr(p, '/');
		struct name *n = find_name(d, dir, p, (size_t)(end - p));

		if (!n)
			disk_die("%s comes before its directory", path);
		dir = n->inode;
		p = end + 1;
	}
	add_name(d, dir, strdup(base), strlen(base), inode);
}

struct disk *disk_load(const char *trace, const char *store, const char *inodes)
{
	struct disk *d = calloc(1, sizeof(*d));
	const struct trace_head *head;
	char line[4096];
	struct stat st;
	FILE *f;
	int fd = open(trace, O_RDONLY | O_CLOEXEC);

	if (!d || fd < 0 || fstat(fd, &st) < 0)
		disk_die("%s: %s", trace, strerror(errno));
	d->map_len = (uint64_t)st.st_size;
	d->map = mmap(NULL, d->map_len, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (d->map == MAP_FAILED)
		disk_die("%s: %s", trace, strerror(errno));
	head = (const void *)d->map;
	if (head->magic != TRACE_MAGIC)
		disk_die("%s: nothing was recorded: the recorder was not loaded", trace);
	if (head->lost)
		disk_die("%s: %llu calls were not recorded", trace, (unsigned long long)head->lost);
	d->records = (int64_t)head->count;
	d->at = TRACE_START;
	d->now = -1; /* what is there from the beginning */
	f = fopen(inodes, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *path = strchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (path)
			load_inode(d, store, strtoull(line, NULL, 10), path + 1);
	}
	if (!f || d->ninodes == 0)
		disk_die("%s: no inodes", inodes);
	fclose(f);
	d->ntouches = 0;
	d->now = 0;
	return d;
}
