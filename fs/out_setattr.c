/* Changing attributes of the outputs: all that is asked for, or nothing of it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/store.h"

#define FILE_OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

static int64_t mtime_ns(const struct timespec *ts)
{
	struct timespec now = *ts;

	if (ts->tv_nsec == UTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &now);
	return time_ns(&now);
}

/* An inode of the store: open, or a name in a directory. */
struct reach {
	int fd; /* -1: by name */
	int dirfd;
	const char *stored;
};

static int reach_times(const struct reach *at, const struct timespec ts[2])
{
	int r = at->fd >= 0 ? futimens(at->fd, ts)
			    : utimensat(at->dirfd, at->stored, ts, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? -errno : 0;
}

static int reach_owner(const struct reach *at, uid_t uid, gid_t gid)
{
	int r = at->fd >= 0 ? fchown(at->fd, uid, gid)
			    : fchownat(at->dirfd, at->stored, uid, gid, AT_SYMLINK_NOFOLLOW);

	return r < 0 ? -errno : 0;
}

static int reach_mode(struct out *o, struct node *n, const struct reach *at, mode_t mode)
{
	if (at->fd >= 0)
		return mode_set(o, n, at->fd, mode);
	/* glibc reaches the inode itself; symlinks have no mode and say so */
	return fchmodat(at->dirfd, at->stored, mode & MODE_KEPT, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											  : 0;
}

/* All of it or, as far as the store can still be changed then, nothing. */
static int set_reached(struct out *o, struct node *n, const struct reach *at,
		       const struct out_attr *a, const struct timespec ts[2])
{
	bool times = a->valid & (OUT_SET_ATIME | OUT_SET_MTIME), owner = a->valid & OUT_SET_OWNER;
	bool mode = a->valid & OUT_SET_MODE;
	struct stat was;
	int r = 0;

	if (times + owner + mode > 1)
		r = at->fd >= 0 ? fstat(at->fd, &was)
				: fstatat(at->dirfd, at->stored, &was, AT_SYMLINK_NOFOLLOW);
	if (r < 0)
		return -errno;
	if (times)
		r = reach_times(at, ts);
	if (r < 0)
		return r;
	if (owner)
		r = reach_owner(at, a->uid, a->gid);
	if (r == 0 && mode) {
		r = reach_mode(o, n, at, a->mode);
		if (r < 0 && owner)
			(void)reach_owner(at, was.st_uid, was.st_gid);
	}
	if (r < 0 && times && (owner || mode))
		(void)reach_times(at, (struct timespec[2]){ was.st_atim, was.st_mtim });
	return r;
}

/* A file whose state the store holds: it must know the time, for it writes later on. */
static int set_by_cfile(struct out *o, struct node *n, struct cfile *cf, const struct out_attr *a,
			const struct timespec ts[2])
{
	struct out_attr rest = *a;
	bool alone = !(a->valid & OUT_SET_ATIME);
	int r, t;

	if (alone)
		rest.valid &= ~OUT_SET_MTIME; /* it does that itself */
	r = set_reached(o, n, &(struct reach){ .fd = cfile_fd(cf) }, &rest, ts);
	if (r == 0 && a->valid & OUT_SET_MTIME) {
		t = cfile_set_mtime(cf, mtime_ns(&a->mtime));
		r = alone ? t : 0; /* else it is set already */
	}
	return r;
}

static int set_by_place(struct out *o, struct node *n, const struct out_attr *a,
			const struct timespec ts[2])
{
	autoclose int fd = -1;
	struct place p;
	int r = place_get(o, n, &p);

	if (r < 0)
		return r;
	if (a->valid & OUT_SET_MODE && S_ISREG(n->type)) {
		fd = openat(p.dirfd, p.s.name, FILE_OPEN_FLAGS);
		r = fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = set_reached(o, n, &(struct reach){ fd, p.dirfd, p.s.name }, a, ts);
	place_put(o, &p);
	return r;
}

/* An inode without name and descriptor: nobody will read it again but by what we answer now. */
static int set_in_memory(struct out *o, struct node *n, const struct out_attr *a)
{
	struct stat st;

	if (node_keep(n) < 0)
		return -ENOMEM;
	node_told(n, &st);
	if (a->valid & OUT_SET_OWNER) {
		st.st_uid = a->uid;
		st.st_gid = a->gid;
		owner_show(o, &st);
		if (a->uid != OWNER_KEEP)
			n->told->uid = st.st_uid;
		if (a->gid != OWNER_KEEP)
			n->told->gid = st.st_gid;
	}
	if (a->valid & OUT_SET_MODE)
		n->told->mode = n->type | (a->mode & MODE_KEPT);
	if (a->valid & OUT_SET_MTIME && a->mtime.tv_nsec != UTIME_NOW) {
		n->told->mtime = a->mtime.tv_sec;
		n->told->mtime_ns = (uint32_t)a->mtime.tv_nsec;
	}
	return 0;
}

static int set_size(struct out *o, struct node *n, uint64_t size)
{
	struct cfile *cf;
	int r = file_borrow(o, n, &cf);

	if (r < 0)
		return r;
	r = cfile_truncate(cf, size);
	n->written = true;
	file_return(o, n, cf);
	return r;
}

static int set_rest(struct out *o, struct node *n, const struct out_attr *a)
{
	const struct timespec keep = { .tv_nsec = UTIME_OMIT };
	const struct timespec ts[2] = { a->valid & OUT_SET_ATIME ? a->atime : keep,
					a->valid & OUT_SET_MTIME ? a->mtime : keep };
	uint64_t size;
	int r;

	if (n->dir) {
		int fd = dir_get(o, n);

		r = fd < 0 ? fd : set_reached(o, n, &(struct reach){ .fd = fd }, a, ts);
		if (fd >= 0)
			dir_put(o, n);
	} else if (n->cf) {
		r = set_by_cfile(o, n, n->cf, a, ts);
	} else if (S_ISREG(n->type) && a->valid & OUT_SET_MTIME &&
		   cfile_lookup_size(o->p.store, o->dev, n->ino, &size)) {
		struct cfile *cf;

		r = file_borrow(o, n, &cf);
		if (r == 0) {
			r = set_by_cfile(o, n, cf, a, ts);
			file_return(o, n, cf);
		}
	} else {
		r = set_by_place(o, n, a, ts);
	}
	if (r == -ENOENT)
		return set_in_memory(o, n, a);
	if (r == 0 && a->valid & OUT_SET_MTIME)
		n->written = false;
	if (r == 0 && a->valid & (OUT_SET_MODE | OUT_SET_OWNER))
		note_metadata(o, n);
	return r;
}

/* After a rename, link or unlink the kernel tells the file's times once more, mostly what they are.
 */
static bool nothing_new(struct out *o, struct node *n, const struct out_attr *a, struct stat *ret)
{
	return a->valid == OUT_SET_MTIME && !n->written && attr_get(o, n, ret) == 0 &&
	       ret->st_mtim.tv_sec == a->mtime.tv_sec && ret->st_mtim.tv_nsec == a->mtime.tv_nsec;
}

/* With the size, the kernel may ask for set-id bits to go, and tells the time of the change.  The
 * size is what cannot be undone; that its time could not be set is no reason to call it failed. */
static int set_with_size(struct out *o, struct node *n, const struct out_attr *a)
{
	const unsigned times = OUT_SET_ATIME | OUT_SET_MTIME;
	struct out_attr first = *a, then = *a, back = { .valid = OUT_SET_MODE };
	struct stat was;
	int r = 0;

	first.valid &= OUT_SET_MODE | OUT_SET_OWNER;
	then.valid &= times;
	if (first.valid) {
		r = attr_get(o, n, &was);
		if (r == 0)
			r = set_rest(o, n, &first);
	}
	if (r < 0)
		return r;
	r = set_size(o, n, a->size);
	if (r < 0 && first.valid & OUT_SET_MODE) {
		back.mode = was.st_mode & MODE_KEPT;
		(void)set_rest(o, n, &back);
	}
	if (r == 0 && then.valid)
		(void)set_rest(o, n, &then);
	return r;
}

/* n->mu is held. */
static int set_locked(struct out *o, struct node *n, const struct out_attr *given)
{
	struct out_attr a = *given;
	int r = 0;

	if (a.valid & OUT_SET_OWNER)
		r = owner_translate(o, &a);
	/* The kernel leaves this to us. */
	if (r == 0 && a.valid & (OUT_SET_OWNER | OUT_SET_STRIP))
		r = setid_strip(o, n, &a);
	if (r == 0 && a.valid & OUT_SET_SIZE)
		r = set_with_size(o, n, &a);
	else if (r == 0 && a.valid & (OUT_SET_MODE | OUT_SET_OWNER | OUT_SET_ATIME | OUT_SET_MTIME))
		r = set_rest(o, n, &a);
	return r;
}

int out_setattr(struct out *o, uint64_t nodeid, const struct out_attr *a, struct stat *ret)
{
	struct node *n;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	if (o->p.read_only)
		return -EROFS;
	if (a->valid & OUT_SET_SIZE && n->dir)
		return -EISDIR;
	if (a->valid & OUT_SET_SIZE && !S_ISREG(n->type))
		return -EINVAL;
	mutex_lock(&n->mu);
	if (!nothing_new(o, n, a, ret)) {
		/* What cutting it may not do is known before anything else is set. */
		r = a->valid & OUT_SET_SIZE ? store_begin_change_of(o->p.store, n->ino)
					    : store_begin_change(o->p.store);
		if (r == 0) {
			r = set_locked(o, n, a);
			store_end_change(o->p.store);
		}
		if (r == 0)
			r = attr_get(o, n, ret);
	}
	mutex_unlock(&n->mu);
	return r;
}
