/* Names of the outputs: removing, and what is given back with the last one.
 *
 * What vanishes under an open handle keeps its data until the last one is closed; the quota gets
 * back what is gone, and only then. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/blockmap.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/quota.h"
#include "fs/store.h"

/* Targets up to this size have no tail. */
#define SYMLINK_ONE_PIECE 3000

/* What a damaged file was charged, as recovery counts it: by its size. */
static uint64_t damaged_bytes(int dirfd, const char *stored)
{
	struct stat st;
	uint64_t size;

	if (fstatat(dirfd, stored, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !blockmap_plain_size((uint64_t)st.st_size, &size))
		return QUOTA_PAGE;
	return quota_file_bytes(blockmap_count(size));
}

/* The tail of a very long symlink goes with it. */
static void find_tail(int dirfd, const char *stored, struct victim *v)
{
	char text[SYMLINK_STORED_SIZE];
	ssize_t n = readlinkat(dirfd, stored, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	if (!symlink_needs_tail(text, v->tail))
		v->tail[0] = '\0';
}

/* A file without holes in the store has none at all, so its size says how many blocks it has: its
 * header, often not in memory, need not be read. */
static bool dense_blocks(struct out *o, const struct node *n, int dirfd, const char *stored,
			 uint64_t *ret, int *ret_fd)
{
	autoclose int fd = -1;
	struct stat st;
	uint64_t size;

	if (!o->holes_exact)
		return false;
	fd = openat(dirfd, stored, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != n->ino ||
	    st.st_size == 0 || lseek(fd, 0, SEEK_HOLE) != st.st_size ||
	    !blockmap_plain_size((uint64_t)st.st_size, &size))
		return false;
	*ret = blockmap_count(size);
	*ret_fd = take_fd(&fd);
	return true;
}

int victim_prepare(struct out *o, struct node *n, int dirfd, const char *stored, struct victim *ret)
{
	uint64_t size;
	int r;

	*ret = (struct victim){
		.n = n, .last = n->dir || n->nlink <= 1, .bytes = QUOTA_PAGE, .late = -1
	};
	if (ret->last) {
		r = attr_keep(o, n, dirfd, stored);
		if (r < 0)
			return r;
	}
	if (ret->last && S_ISLNK(n->type) && n->told->size > SYMLINK_ONE_PIECE)
		find_tail(dirfd, stored, ret);
	if (!ret->last || !S_ISREG(n->type))
		return 0;
	if (n->cf) {
		ret->by_cfile = true;
		return 0;
	}
	if (!cfile_lookup_size(o->p.store, o->dev, n->ino, &size) &&
	    (n->mapped_known || dense_blocks(o, n, dirfd, stored, &n->mapped, &ret->late))) {
		ret->bytes = quota_file_bytes(n->mapped);
		if (ret->late < 0)
			ret->late = openat(dirfd, stored, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		return 0;
	}
	r = file_open_at(o, n, dirfd, stored, &ret->opened);
	ret->by_cfile = r == 0;
	if (r == -EIO || r == -EBADMSG) { /* damage must not make it eternal */
		ret->bytes = damaged_bytes(dirfd, stored);
		return 0;
	}
	return r;
}

void victim_commit(struct out *o, struct victim *v)
{
	struct node *n = v->n;

	if (n->nlink > 0)
		n->nlink--;
	if (v->last)
		n->nlink = 0;
	if (!v->last) {
		note_metadata(o, n);
		return;
	}
	tree_lock(o);
	tree_hide_ino(o->tree, n);
	tree_unlock(o);
	if (v->tail[0])
		(void)unlinkat(o->links_fd, v->tail, 0);
	if (v->by_cfile) {
		cfile_note_unlinked(v->opened ? v->opened : n->cf);
		if (!v->opened && n->nopen == 0)
			file_close(n); /* only waited to be closed: its quota is due now */
	} else {
		quota_release(o->p.quota, v->bytes, 1);
		store_note_charge(o->p.store, n->ino, -(int64_t)v->bytes, -1);
	}
	victim_abort(v);
}

void victim_abort(struct victim *v)
{
	if (v->opened)
		cfile_put(v->opened);
	v->opened = NULL;
	cleanup_close(&v->late);
	v->late = -1;
}

static int remove_dir(int dirfd, const char *stored)
{
	autoclose int fd = -1;
	int r;

	if (unlinkat(dirfd, stored, AT_REMOVEDIR) == 0)
		return 0;
	if (errno != ENOTEMPTY)
		return -errno;
	fd = openat(dirfd, stored, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = dir_remove_strays(fd);
	if (r < 0)
		return r;
	return unlinkat(dirfd, stored, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* 'n' with its mu held; the directory is locked. */
static int remove_locked(struct out *o, struct node *dir, int dirfd, struct dentry *d,
			 struct node *n, int *ret_late)
{
	struct victim v;
	struct stored s;
	int r = stored_name(o, dir, d->name, &s);

	if (r == 0)
		r = victim_prepare(o, n, dirfd, s.name, &v);
	if (r < 0)
		return r;
	if (n->dir)
		r = remove_dir(dirfd, s.name);
	else if (unlinkat(dirfd, s.name, 0) < 0)
		r = errno == ENOENT ? 0 : -errno; /* taken out of the store: gone is gone */
	if (r < 0) {
		victim_abort(&v);
		return r;
	}
	sidecar_remove(dirfd, &s);
	tree_lock(o);
	dir_remove(o->tree, d);
	tree_unlock(o);
	*ret_late = take_fd(&v.late);
	victim_commit(o, &v);
	return 0;
}

static int remove_begun(struct out *o, struct node *dir, int dirfd, struct dentry *d,
			struct node *n, int *ret_late)
{
	int r = store_begin_change_of(o->p.store, n->ino);

	if (r < 0)
		return r;
	r = remove_locked(o, dir, dirfd, d, n, ret_late);
	store_end_change(o->p.store);
	return r;
}

static int remove_name(struct out *o, uint64_t parent, const char *name, bool want_dir,
		       int *ret_late)
{
	struct out_entry e;
	struct node *dir, *n;
	struct dentry *d;
	int fd, r;

	*ret_late = -1;
	if (o->p.read_only)
		return -EROFS;
	r = dirnode_get(o, parent, &dir);
	if (r < 0)
		return r;
	fd = dir_lock_write(o, dir);
	if (fd < 0)
		return fd;
	r = dir_name(o, dir, fd, name, &d);
	if (r < 0) {
		dir_unlock(o, dir);
		return r;
	}
	tree_lock(o);
	n = d ? dentry_node(d) : NULL;
	if (n)
		n->nlookup++; /* ours, for as long as this takes */
	tree_unlock(o);
	r = !d ? -ENOENT : n ? 0 : entry_get(o, dir, fd, d, &e, &n);
	if (r == 0) {
		if (want_dir != (n->dir != NULL)) {
			r = want_dir ? -ENOTDIR : -EISDIR;
		} else {
			mutex_lock(&n->mu);
			r = remove_begun(o, dir, fd, d, n, ret_late);
			mutex_unlock(&n->mu);
		}
		entry_undo(o, n);
	}
	dir_unlock(o, dir);
	return r;
}

int out_unlink(struct out *o, uint64_t parent, const char *name, int *ret_late)
{
	return remove_name(o, parent, name, false, ret_late);
}

int out_rmdir(struct out *o, uint64_t parent, const char *name)
{
	int late;

	return remove_name(o, parent, name, true, &late);
}
