/* Open files of datasets. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch.h"
#include "fs/arch_index.h"
#include "fs/data_arch.h"
#include "fs/data_int.h"

static bool same_content(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Is the content still what was seen last?  What it is now is remembered. */
static bool note_content(struct node *n, const struct stat *st)
{
	struct stat known;
	bool same;

	mutex_lock(&n->mu);
	node_told(n, &known);
	same = same_content(&known, st);
	/* Not all of it: which inode it is never changes and is read without the lock. */
	n->told->size = (uint64_t)st->st_size;
	n->told->mtime = st->st_mtim.tv_sec;
	n->told->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	n->told->ctime = st->st_ctim.tv_sec;
	n->told->ctime_ns = (uint32_t)st->st_ctim.tv_nsec;
	mutex_unlock(&n->mu);
	return same;
}

#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

static int host_open(struct data *d, uint64_t nodeid, struct data_file *f, bool *ret_keep)
{
	autoplace struct pin_place at = { 0 };
	autoclose int fd = -1;
	struct spot s;
	struct node *n;
	struct stat st;
	int r = data_node(d, nodeid, &n);

	if (r == 0)
		r = pin_of_node(d, n, &at);
	if (r < 0)
		return r;
	if (!S_ISREG(n->type))
		return -EACCES;
	r = spot_get(d, n, &s);
	if (r < 0)
		return r;
	if (s.kind == DATA_FILE) { /* the source itself may be mounted */
		fd = openat(s.dirfd, s.name, FILE_FLAGS | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	} else {
		fd = data_open_below(s.dirfd, s.name, FILE_FLAGS);
	}
	r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : data_same_inode(n, &st);
	spot_put(&s);
	r = r == 0 ? pin_check_stat(d, &at, &st) : pin_gone(d, &at, r);
	if (r < 0)
		return r == -ELOOP || r == -ENXIO ? -ESTALE : r;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* doubles the host's readahead */
	*ret_keep = note_content(n, &st);
	f->fd = take_fd(&fd);
	if (at.pin) {
		*ret_keep = true; /* whatever the host did: it is what was pinned */
		f->record = at.i;
		f->size = at.rec.size;
		f->leaf = at.rec.leaf;
		f->pin = take_ptr(at.pin);
	}
	return 0;
}

int data_open(struct data *d, uint64_t nodeid, int flags, struct data_file **ret, bool *ret_keep)
{
	struct data_file *f;
	int r;

	if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_TRUNC | O_CREAT))
		return -EROFS;
	f = malloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	*f = (struct data_file){ .d = d, .nodeid = nodeid, .fd = -1 };
	*ret_keep = true;
	r = data_arch_owns(nodeid) ? data_arch_open(d, nodeid, f)
				   : host_open(d, nodeid, f, ret_keep);
	if (r == 0 && f->arch)
		r = arch_pin_open(d, f);
	if (r < 0) {
		data_close(f);
		return r;
	}
	*ret = f;
	return 0;
}

void data_close(struct data_file *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	if (f->arch) {
		arch_unuse(f->arch);
		arch_unref(f->arch, 1);
	}
	pin_unref(f->pin);
	free(f);
}

/* The kernel must not read for itself what has to be verified. */
int data_fd(const struct data_file *f)
{
	return f->pin ? -1 : f->fd;
}

ssize_t data_read(struct data_file *f, void *buf, size_t size, uint64_t off, bool *ret_changed)
{
	struct node *node;
	struct stat st;
	ssize_t n;

	*ret_changed = false;
	if (f->pin)
		return pin_read(f, buf, size, off);
	if (f->fd < 0)
		return arch_pread(f->arch, f->inode, buf, size, off);
	n = fd_pread_full(f->fd, buf, size, off);
	*ret_changed = data_node(f->d, f->nodeid, &node) == 0 && fstat(f->fd, &st) == 0 &&
		       !note_content(node, &st);
	return n;
}

off_t data_seek(struct data_file *f, off_t off, int whence)
{
	off_t size, r;

	if (f->fd >= 0 && !f->pin) { /* a reader of holes must see the host's */
		r = lseek(f->fd, off, whence);
		return r < 0 ? -errno : r;
	}
	/* The host could say that there is nothing where something was pinned. */
	size = f->pin ? (off_t)f->size
		      : (off_t)arch_index_inode(arch_index_of(f->arch), f->inode)->size;
	if (off < 0 || off >= size)
		return -ENXIO;
	return whence == SEEK_HOLE ? size : off;
}
