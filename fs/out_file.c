/* Open files of the outputs.  One cfile per inode, shared by all handles; a handle is the node. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/cfile.h"
#include "fs/out_int.h"

#define NOTES_MAX 65536

/* The kernel caches writes and reads pages that it completes through any handle, so a file is
 * always opened for both. O_NONBLOCK: a fifo put in its place must not hang us. */
static int open_flags(const struct out *o)
{
	return (o->p.read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
	       O_CLOEXEC;
}

/* A node may be forgotten between a chmod and the next open, so the note is not kept in it. */
struct note {
	struct hlink link;
	uint64_t ino;
};

static struct note *note_find(const struct out *o, uint64_t ino)
{
	for (struct hlink *l = hmap_first(&o->notes, hmap_mix(ino)); l; l = hmap_next(l))
		if (container_of(l, struct note, link)->ino == ino)
			return container_of(l, struct note, link);
	return NULL;
}

void note_metadata(struct out *o, struct node *n)
{
	struct note *note;

	if (n->cf)
		cfile_note_metadata(n->cf);
	if (n->cf || !S_ISREG(n->type))
		return;
	tree_lock(o);
	if (!note_find(o, n->ino)) {
		note = o->notes.count < NOTES_MAX ? calloc(1, sizeof(*note)) : NULL;
		if (note) {
			note->ino = n->ino;
			if (hmap_insert(&o->notes, &note->link, hmap_mix(n->ino)) < 0) {
				free(note);
				note = NULL;
			}
		}
		o->notes_full |= !note;
	}
	tree_unlock(o);
}

bool take_metadata_note(struct out *o, const struct node *n)
{
	struct note *note;
	bool noted;

	tree_lock(o);
	note = note_find(o, n->ino);
	noted = note || o->notes_full;
	if (note)
		hmap_remove(&o->notes, &note->link);
	tree_unlock(o);
	free(note);
	return noted;
}

void notes_free(struct out *o)
{
	for (size_t i = 0; i < o->notes.size; i++) {
		for (struct hlink *l = o->notes.slots[i], *next; l; l = next) {
			next = l->next;
			free(container_of(l, struct note, link));
		}
	}
	hmap_free(&o->notes);
}

int file_open_at(struct out *o, struct node *n, int dirfd, const char *stored, struct cfile **ret)
{
	autoclose int fd = openat(dirfd, stored, open_flags(o));
	struct stat st;
	int r;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -EIO : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != n->ino || st.st_dev != o->dev) {
		out_log_damage(o, dirfd, stored, "not the file that was here");
		return -EIO;
	}
	r = cfile_open(o->p.store, fd, ret);
	if (r < 0)
		return r;
	take_fd(&fd);
	if (take_metadata_note(o, n))
		cfile_note_metadata(*ret);
	return 0;
}

static int file_open(struct out *o, struct node *n, struct cfile **ret)
{
	struct place p;
	int r = place_get(o, n, &p);

	if (r < 0)
		return r;
	r = file_open_at(o, n, p.dirfd, p.s.name, ret);
	place_put(o, &p);
	return r;
}

int file_borrow(struct out *o, struct node *n, struct cfile **ret)
{
	if (n->cf) {
		cfile_ref(n->cf);
		*ret = n->cf;
		return 0;
	}
	return file_open(o, n, ret);
}

void file_return(struct out *o, struct node *n, struct cfile *cf)
{
	(void)o;
	if (!n->cf) {
		n->mapped = cfile_mapped(cf);
		n->mapped_known = true;
	}
	cfile_put(cf);
}

void handle_add(struct out *o, struct node *n, int flags)
{
	tree_lock(o); /* tree_reap() looks at it */
	n->nopen++;
	tree_unlock(o);
	if ((flags & O_ACCMODE) != O_RDONLY)
		n->nwriters++;
}

int out_open(struct out *o, uint64_t nodeid, int flags, struct node **ret_handle)
{
	struct node *n;
	bool added = false;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	if (!S_ISREG(n->type))
		return n->dir ? -EISDIR : -ENXIO;
	if (o->p.read_only && ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC))
		return -EROFS;
	pthread_mutex_lock(&n->mu);
	if (!n->cf)
		r = file_open(o, n, &n->cf);
	if (r == 0) {
		handle_add(o, n, flags);
		added = true;
		if (flags & O_TRUNC) {
			n->written = true;
			r = cfile_truncate(n->cf, 0);
		}
	}
	pthread_mutex_unlock(&n->mu);
	if (r < 0 && added)
		out_release(o, n, flags);
	if (r == 0)
		*ret_handle = n;
	return r;
}

void out_release(struct out *o, struct node *n, int flags)
{
	struct cfile *last = NULL;

	pthread_mutex_lock(&n->mu);
	if ((flags & O_ACCMODE) != O_RDONLY)
		n->nwriters--;
	if (n->nopen == 1) {
		last = n->cf;
		n->cf = NULL;
		n->mapped = cfile_mapped(last);
		n->mapped_known = true;
		cfile_put(last); /* writes what is pending: before anybody opens it again */
	}
	tree_lock(o);
	n->nopen--;
	pthread_mutex_unlock(&n->mu);
	tree_reap(o->tree, n);
	tree_unlock(o);
}

ssize_t out_read(struct node *n, void *buf, size_t len, uint64_t off)
{
	return cfile_read(n->cf, buf, len, off);
}

ssize_t out_write(struct node *n, const void *buf, size_t len, uint64_t off)
{
	atomic_store_explicit(&n->written, true, memory_order_relaxed);
	return cfile_write(n->cf, buf, len, off);
}

int out_fsync(struct out *o, struct node *n, bool data_only)
{
	int r = sides_sync(o);

	return r < 0 ? r : cfile_fsync(n->cf, data_only);
}

int out_fallocate(struct node *n, int mode, uint64_t off, uint64_t len)
{
	n->written = true;
	return cfile_allocate(n->cf, mode, off, len);
}

off_t out_seek(struct node *n, uint64_t off, int whence)
{
	return cfile_seek(n->cf, off, whence);
}

bool out_has_writers(struct out *o, struct node *n)
{
	bool writers;

	(void)o;
	pthread_mutex_lock(&n->mu);
	writers = n->nwriters > 0;
	pthread_mutex_unlock(&n->mu);
	return writers;
}

uint64_t out_handle_id(const struct node *n)
{
	return n->nodeid;
}

int out_fsyncdir(struct out *o, uint64_t nodeid)
{
	struct node *dir;
	int fd, r = dirnode_get(o, nodeid, &dir);

	if (r < 0)
		return r;
	fd = dir_get(o, dir);
	if (fd < 0)
		return fd;
	r = sides_sync(o);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	dir_put(o, dir);
	return r;
}
