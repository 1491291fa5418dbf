/* Open files of the outputs.  One cfile per inode, shared by all handles; a handle is the node. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/cfile.h"
#include "fs/out_int.h"

#define NOTES_MAX 65536
/* Inodes that are looked at with the lock held. */
#define WRITABLE_STEP 2048u
/* Files that may be opened while it is searched; others see the state that asked for it. */
#define WRITABLE_SPARE 256u

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
	if ((flags & O_ACCMODE) != O_RDONLY && n->nwriters++ == 0)
		o->nwritable++;
	tree_unlock(o);
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
	mutex_lock(&n->mu);
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
	mutex_unlock(&n->mu);
	if (r < 0 && added)
		out_release(o, n, flags);
	if (r == 0)
		*ret_handle = n;
	return r;
}

void out_release(struct out *o, struct node *n, int flags)
{
	mutex_lock(&n->mu);
	show_written(o, n);
	if (n->nopen == 1 && !late_close_file(o, n)) {
		if (n->nlink == 0) /* nobody can ask the store for it any more */
			(void)attr_keep(o, n, -1, NULL);
		file_close(n);
	}
	tree_lock(o);
	n->nopen--;
	if ((flags & O_ACCMODE) != O_RDONLY && --n->nwriters == 0)
		o->nwritable--;
	mutex_unlock(&n->mu);
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
	tree_lock(o);
	writers = n->nwriters > 0;
	tree_unlock(o);
	return writers;
}

/* Those among some nodes, from '*pos' on; with the tree locked. false: these were the last. */
static bool writable_some(struct out *o, uint32_t *pos, uint64_t *ids, size_t *n, size_t room)
{
	for (unsigned i = 0; i < WRITABLE_STEP; i++) {
		const struct node *node = tree_next(o->tree, pos);

		if (!node)
			return false;
		if (node->nwriters > 0 && *n < room)
			ids[(*n)++] = node->nodeid;
	}
	return true;
}

int out_writable(struct out *o, uint64_t **ret, size_t *ret_n)
{
	size_t n = 0, room;
	uint32_t pos = 0;
	bool more = true;
	uint64_t *ids;

	tree_lock(o);
	room = o->nwritable + WRITABLE_SPARE;
	tree_unlock(o);
	ids = malloc(room * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	while (more) { /* nobody waits for the whole of it */
		tree_lock(o);
		more = writable_some(o, &pos, ids, &n, room);
		tree_unlock(o);
	}
	*ret = ids;
	*ret_n = n;
	return 0;
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
