/* Operations on open files: content, size, holes. */
#include "tests/diff/model.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t limit_of(const struct thread *t, const struct mnode *n)
{
	if (t->bytes > SIZE_TOTAL)
		return n->size;
	return n->big ? SIZE_BIG : SIZE_USUAL;
}

/* -- handles -------------------------------------------------------------- */

static void handle_close(struct thread *t, struct handle *h)
{
	if (h->fd < 0)
		return;
	note(t, "close fd %d", h->fd);
	expect(t, close(h->fd), 0);
	node_unref(t, h->n);
	h->fd = -1;
}

void handles_close(struct thread *t)
{
	for (int i = 0; i < MAX_HANDLES; i++)
		handle_close(t, &t->handles[i]);
}

static struct handle *handle_with(struct thread *t, bool readable, bool writable)
{
	for (int tries = 0; tries < 12; tries++) {
		struct handle *h = &t->handles[below(t, MAX_HANDLES)];

		if (h->fd >= 0 && (!readable || h->readable) && (!writable || h->writable))
			return h;
	}
	return NULL;
}

static int open_outcome(const struct mentry *e, int flags)
{
	if (!e)
		return flags & O_CREAT ? 0 : ENOENT;
	if (flags & O_CREAT && flags & O_EXCL)
		return EEXIST;
	if (S_ISLNK(e->n->mode))
		return ELOOP; /* O_NOFOLLOW */
	if (S_ISDIR(e->n->mode))
		return EISDIR; /* with O_CREAT or for writing */
	return 0;
}

void handle_open(struct thread *t)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR };
	struct handle *h = &t->handles[below(t, MAX_HANDLES)];
	int flags = modes[below(t, 5)], want;
	char name[NAME_SIZE], path[PATH_SIZE];
	struct mnode *dir = pick_dir(t);
	struct mentry *e;

	if (below(t, 2))
		flags |= O_CREAT | (below(t, 3) ? 0 : O_EXCL);
	if ((flags & O_ACCMODE) != O_RDONLY)
		flags |= (below(t, 8) ? 0 : O_TRUNC) | (below(t, 5) ? 0 : O_APPEND);
	pick_name(t, dir, name);
	e = entry_find(dir, name);
	if ((e && S_ISFIFO(e->n->mode) && !(flags & O_EXCL)) ||
	    (e && S_ISDIR(e->n->mode) && flags == O_RDONLY) ||
	    (!e && flags & O_CREAT && (dir->nentries >= MAX_ENTRIES || t->nodes >= MAX_NODES)))
		return;
	handle_close(t, h);
	path_of(t, dir, name, path);
	note(t, "open %s flags %#o", path, flags);
	want = open_outcome(e, flags);
	h->fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0644);
	expect(t, h->fd, want);
	if (want)
		return;
	if (!e) {
		h->n = node_new(t, S_IFREG | 0644);
		h->n->big = below(t, 30) == 0;
		entry_add(dir, name, h->n);
	} else {
		h->n = e->n;
		h->n->refs++;
	}
	h->readable = (flags & O_ACCMODE) != O_WRONLY;
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	h->append = flags & O_APPEND;
	if (flags & O_TRUNC) {
		data_resize(t, h->n, 0);
		data_touched(h->n);
	}
}

/* -- content -------------------------------------------------------------- */

static size_t pick_offset(struct thread *t, size_t limit)
{
	size_t off = below(t, limit + 1);

	switch (below(t, 4)) {
	case 0:
		return off & ~(size_t)4095;
	case 1:
		return smaller(off, below(t, 8192));
	default:
		return off;
	}
}

static size_t pick_length(struct thread *t)
{
	static const size_t some[] = {
		1, 7, 100, 512, 4095, 4096, 4097, 8192, 20000, 65536, 131072
	};
	size_t n = some[below(t, 11)];

	return below(t, 2) ? n : 1 + below(t, n);
}

static uint8_t *pattern(struct thread *t, size_t len)
{
	uint8_t *p = malloc(len + 8);

	for (size_t i = 0; p && i < len; i += 8) {
		uint64_t r = rnd(t);

		memcpy(p + i, &r, 8);
	}
	if (!p)
		differs(t, "no memory");
	return p;
}

static void write_some(struct thread *t)
{
	struct handle *h = handle_with(t, false, true);
	size_t limit, off, len;
	uint8_t *buf;

	if (!h)
		return;
	limit = limit_of(t, h->n);
	off = h->append ? h->n->size : pick_offset(t, below(t, 3) ? h->n->size : limit);
	if (off >= limit)
		return;
	len = smaller(pick_length(t), limit - off);
	buf = pattern(t, len);
	note(t, "write fd %d at %zu, %zu bytes%s, size %zu", h->fd, off, len,
	     h->append ? ", appending" : "", h->n->size);
	if ((h->append ? write(h->fd, buf, len) : pwrite(h->fd, buf, len, (off_t)off)) !=
	    (ssize_t)len)
		differs(t, "it wrote less: %m");
	if (off + len > h->n->size)
		data_resize(t, h->n, off + len);
	memcpy(h->n->data + off, buf, len);
	data_touched(h->n);
	free(buf);
}

static void compare(struct thread *t, const struct mnode *n, size_t off, const uint8_t *got,
		    size_t len)
{
	size_t i = 0;

	if (len == 0 || memcmp(got, n->data + off, len) == 0)
		return;
	while (got[i] == n->data[off + i])
		i++;
	differs(t, "at byte %zu: %#x, expected %#x (size %zu)", off + i, got[i], n->data[off + i],
		n->size);
}

static void read_some(struct thread *t)
{
	struct handle *h = handle_with(t, true, false);
	size_t off, len, want;
	uint8_t *buf;
	ssize_t n;

	if (!h)
		return;
	off = pick_offset(t, h->n->size + 5000);
	len = pick_length(t);
	want = off >= h->n->size ? 0 : smaller(len, h->n->size - off);
	buf = malloc(len);
	note(t, "read fd %d at %zu, %zu bytes, size %zu", h->fd, off, len, h->n->size);
	n = pread(h->fd, buf, len, (off_t)off);
	if (n != (ssize_t)want)
		differs(t, "it read %zd bytes, expected %zu: %m", n, want);
	compare(t, h->n, off, buf, want);
	free(buf);
}

static void map_some(struct thread *t)
{
	struct handle *h = handle_with(t, true, true);
	size_t off, len;
	uint8_t *map, *buf;

	if (!h || h->n->size == 0)
		return;
	off = pick_offset(t, h->n->size - 1);
	len = smaller(pick_length(t), h->n->size - off);
	note(t, "mmap fd %d at %zu, %zu bytes, size %zu", h->fd, off, len, h->n->size);
	map = mmap(NULL, h->n->size, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
	if (map == MAP_FAILED)
		differs(t, "mmap: %m");
	compare(t, h->n, off, map + off, len);
	buf = pattern(t, len);
	memcpy(map + off, buf, len);
	memcpy(h->n->data + off, buf, len);
	free(buf);
	if (below(t, 3) == 0)
		expect(t, msync(map, h->n->size, MS_SYNC), 0);
	expect(t, munmap(map, h->n->size), 0);
	data_touched(h->n);
}

static void copy_some(struct thread *t)
{
	struct handle *from = handle_with(t, true, false), *to = handle_with(t, false, true);
	size_t off, at, len;
	off_t in, out;

	if (!from || !to || from->n == to->n || to->append || from->n->size == 0)
		return;
	off = pick_offset(t, from->n->size - 1);
	at = pick_offset(t, to->n->size);
	len = smaller(pick_length(t), from->n->size - off);
	if (at >= limit_of(t, to->n))
		return;
	len = smaller(len, limit_of(t, to->n) - at);
	in = (off_t)off;
	out = (off_t)at;
	note(t, "copy fd %d at %zu to fd %d at %zu, %zu bytes", from->fd, off, to->fd, at, len);
	for (size_t done = 0; done < len;) {
		ssize_t n = copy_file_range(from->fd, &in, to->fd, &out, len - done, 0);

		if (n <= 0)
			differs(t, "it copied %zu of %zu bytes: %m", done, len);
		done += (size_t)n;
	}
	if (at + len > to->n->size)
		data_resize(t, to->n, at + len);
	memcpy(to->n->data + at, from->n->data + off, len);
	data_touched(to->n);
}

/* -- size and holes ------------------------------------------------------- */

static void resize_some(struct thread *t)
{
	struct handle *h = handle_with(t, false, true);
	size_t size;

	if (!h)
		return;
	size = pick_offset(t, below(t, 2) ? h->n->size : limit_of(t, h->n));
	note(t, "ftruncate fd %d to %zu, size %zu", h->fd, size, h->n->size);
	expect(t, ftruncate(h->fd, (off_t)size), 0);
	data_resize(t, h->n, size);
	data_touched(h->n);
}

static void allocate_some(struct thread *t)
{
	static const int modes[] = { 0,
				     FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	struct handle *h = handle_with(t, false, true);
	int mode = modes[below(t, 6)];
	size_t limit, off, len;

	if (!h)
		return;
	limit = limit_of(t, h->n);
	off = pick_offset(t, below(t, 2) ? h->n->size : limit);
	if (off >= limit)
		return;
	len = smaller(pick_length(t) + (below(t, 3) ? 0 : 100000), limit - off);
	note(t, "fallocate fd %d mode %d at %zu, %zu bytes, size %zu", h->fd, mode, off, len,
	     h->n->size);
	expect(t, fallocate(h->fd, mode, (off_t)off, (off_t)len), 0);
	data_touched(h->n);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > h->n->size)
		data_resize(t, h->n, off + len);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && off < h->n->size)
		memset(h->n->data + off, 0, smaller(len, h->n->size - off));
}

static void all_zero(struct thread *t, const struct mnode *n, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (n->data[i])
			differs(t, "byte %zu is data, called a hole (size %zu)", i, n->size);
}

/* Which zeros are holes is the filesystem's choice; that data is none is not. */
static void seek_some(struct thread *t)
{
	struct handle *h = handle_with(t, false, false);
	size_t size, off;
	off_t data, hole;

	if (!h)
		return;
	size = h->n->size;
	off = pick_offset(t, size + 100);
	note(t, "seek fd %d at %zu, size %zu", h->fd, off, size);
	data = lseek(h->fd, (off_t)off, SEEK_DATA);
	if (off >= size) {
		expect(t, data, ENXIO);
		expect(t, lseek(h->fd, (off_t)off, SEEK_HOLE), ENXIO);
		return;
	}
	if (data < 0 && errno != ENXIO)
		expect(t, data, 0);
	if (data >= 0 && ((size_t)data < off || (size_t)data >= size))
		differs(t, "data at %zd", (ssize_t)data);
	all_zero(t, h->n, off, data < 0 ? size : (size_t)data);
	hole = lseek(h->fd, (off_t)off, SEEK_HOLE);
	if (hole < (off_t)off || (size_t)hole > size)
		differs(t, "hole at %zd", (ssize_t)hole);
	if ((size_t)hole < size) {
		data = lseek(h->fd, hole, SEEK_DATA);
		all_zero(t, h->n, (size_t)hole, data < 0 ? size : (size_t)data);
	}
}

static void sync_some(struct thread *t)
{
	struct handle *h = handle_with(t, false, false);
	uint64_t kind = below(t, 20);

	if (!h)
		return;
	note(t, "%s fd %d", kind == 0 ? "syncfs" : kind < 10 ? "fsync" : "fdatasync", h->fd);
	expect(t, kind == 0 ? syncfs(h->fd) : kind < 10 ? fsync(h->fd) : fdatasync(h->fd), 0);
}

static void look_at(struct thread *t)
{
	struct handle *h = handle_with(t, false, false);
	struct stat st;

	if (!h)
		return;
	note(t, "fstat fd %d", h->fd);
	expect(t, fstat(h->fd, &st), 0);
	if ((size_t)st.st_size != h->n->size || st.st_nlink != h->n->nlink ||
	    st.st_mode != h->n->mode)
		differs(t, "size %zu, %u links, mode %o; expected %zu, %u, %o", (size_t)st.st_size,
			(unsigned)st.st_nlink, st.st_mode, h->n->size, h->n->nlink, h->n->mode);
}

void op_files(struct thread *t)
{
	static const struct {
		unsigned weight;
		void (*fn)(struct thread *t);
	} ops[] = {
		{ 16, handle_open }, { 30, write_some }, { 24, read_some },    { 6, map_some },
		{ 3, copy_some },    { 7, resize_some }, { 7, allocate_some }, { 4, seek_some },
		{ 2, sync_some },    { 6, look_at },
	};
	uint64_t at = below(t, 105);

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (at < ops[i].weight) {
			ops[i].fn(t);
			return;
		}
		at -= ops[i].weight;
	}
}
