/* From nodes to the store: descriptors of directories, stored names, loading a directory.
 *
 * No descriptor is kept per node.  A directory's descriptor is opened from its parent's and kept
 * in the tree's LRU; when it is gone the way down from the nearest open ancestor is walked again.
 * Each step opens with O_NOFOLLOW and compares the inode number, so a store that is changed under
 * us leads to an error and never to another place. */
#include "fs/out_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/slow.h"
#include "fs/store.h"

#define DIR_OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define WALK_TRIES     8
/* A thousand entries or more, as far as a filesystem tells by the size of a directory. */
#define DIR_BIG_BYTES 65536

int node_get(struct out *o, uint64_t nodeid, struct node **ret)
{
	tree_lock(o);
	*ret = tree_by_id(o->tree, nodeid);
	tree_unlock(o);
	return *ret ? 0 : -ESTALE;
}

int dirnode_get(struct out *o, uint64_t nodeid, struct node **ret)
{
	int r = node_get(o, nodeid, ret);

	return r < 0 ? r : (*ret)->dir ? 0 : -ENOTDIR;
}

/* -- names ---------------------------------------------------------------- */

int stored_name(struct out *o, const struct node *dir, const char *name, struct stored *ret)
{
	return name_encrypt(o->p.keys, dir->dir->id, name, strlen(name), ret->name, ret->full,
			    &ret->is_long);
}

static void sidecar_name(const struct stored *s, char out[static NAME_STORED_SIZE + 4])
{
	strcpy(out, s->name);
	strcat(out, NAME_SIDECAR_SUFFIX);
}

int sidecar_make(struct out *o, int dirfd, const struct stored *s)
{
	char name[NAME_STORED_SIZE + 4];

	if (!s->is_long)
		return 0;
	sidecar_name(s, name);
	/* One that is there holds the same: its name is a hash of its content. */
	if (symlinkat(s->full, dirfd, name) < 0 && errno != EEXIST)
		return -errno;
	return sides_made(o, dirfd);
}

void sidecar_remove(int dirfd, const struct stored *s)
{
	char name[NAME_STORED_SIZE + 4];

	if (!s->is_long)
		return;
	sidecar_name(s, name);
	(void)unlinkat(dirfd, name, 0); /* a stray is harmless */
}

/* -- reading the store's directories -------------------------------------- */

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	unsigned short d_reclen;
	unsigned char d_type;
	char d_name[];
};

typedef int (*scan_fn)(void *ctx, int fd, const struct linux_dirent64 *e);

/* Call 'fn' for every entry but "." and ".." until it returns non-zero. */
static int scan(int dirfd, scan_fn fn, void *ctx)
{
	autoclose int fd = openat(dirfd, ".", DIR_OPEN_FLAGS); /* a position of our own */
	_Alignas(8) char buf[32768];

	if (fd < 0)
		return -errno;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));

		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *e = (const void *)(buf + at);
			int r;

			at += e->d_reclen;
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			r = fn(ctx, fd, e);
			if (r != 0)
				return r;
		}
	}
}

static int scan_any(void *ctx, int fd, const struct linux_dirent64 *e)
{
	return 1;
}

static int scan_only_sidecars(void *ctx, int fd, const struct linux_dirent64 *e)
{
	return name_is_sidecar(e->d_name) ? 0 : -ENOTEMPTY;
}

static int scan_unlink(void *ctx, int fd, const struct linux_dirent64 *e)
{
	return unlinkat(fd, e->d_name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int dir_remove_strays(int dirfd)
{
	int r = scan(dirfd, scan_only_sidecars, NULL);

	return r < 0 ? r : scan(dirfd, scan_unlink, NULL);
}

struct load {
	struct out *o;
	struct node *dir;
	size_t foreign;
};

static uint8_t stat_type(int fd, const struct linux_dirent64 *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type;
	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return (uint8_t)IFTODT(st.st_mode);
}

static int load_one(void *ctx, int fd, const struct linux_dirent64 *e)
{
	struct load *l = ctx;
	char full[NAME_FULL_SIZE], name[NAME_PLAIN_MAX + 1], side[NAME_STORED_SIZE + 4];
	const char *text = e->d_name;
	size_t len;
	uint8_t type;
	bool ok;

	if (name_is_sidecar(e->d_name))
		return 0;
	if (name_is_long(e->d_name)) {
		ssize_t n = -1;

		if ((size_t)snprintf(side, sizeof(side), "%s%s", e->d_name, NAME_SIDECAR_SUFFIX) <
		    sizeof(side))
			n = readlinkat(fd, side, full, sizeof(full) - 1);
		full[n < 0 ? 0 : n] = '\0';
		text = name_long_matches(e->d_name, full) ? full : "";
	}
	type = stat_type(fd, e);
	if (type == DT_UNKNOWN || type == DT_CHR || type == DT_BLK ||
	    name_decrypt(l->o->p.keys, l->dir->dir->id, text, name, &len) < 0) {
		if (l->foreign++ == 0)
			out_log_damage(l->o, fd, e->d_name,
				       "not a name of this directory; left out");
		return 0;
	}
	tree_lock(l->o);
	/* There after a load that was cut short. */
	ok = dir_find(l->o->tree, l->dir, name, len) ||
	     dir_add(l->o->tree, l->dir, name, len, e->d_ino, type);
	tree_unlock(l->o);
	return ok ? 0 : -ENOMEM;
}

/* dir->rw is held for writing, the descriptor pinned. */
static int dir_load(struct out *o, struct node *dir, int fd)
{
	struct load l = { .o = o, .dir = dir };
	int r;

	slow_ahead(); /* it may hold a million names */
	r = scan(fd, load_one, &l);

	if (r < 0)
		return r;
	if (l.foreign > 1)
		out_log_damage(o, fd, NULL, "more entries of this directory are left out");
	dir->dir->loaded = true;
	return 0;
}

/* -- directory ids -------------------------------------------------------- */

int dir_give_id(struct out *o, int fd, uint8_t ret_id[static DIRID_LEN])
{
	uint8_t sealed[DIRID_XATTR_LEN];

	if (o->flat) {
		memset(ret_id, 0, DIRID_LEN);
		return 0;
	}
	dirid_new(ret_id);
	dirid_seal(o->p.keys, ret_id, sealed);
	/* Two may come to a directory that has none at the same time: the first one's counts. */
	if (fsetxattr(fd, DIRID_XATTR, sealed, sizeof(sealed), XATTR_CREATE) < 0)
		return -errno;
	sides_note_id(o, fd);
	return 0;
}

static int give_late_id(struct out *o, int fd, uint8_t id[static DIRID_LEN])
{
	int r = store_begin_change(o->p.store);

	if (r < 0)
		return r;
	r = dir_give_id(o, fd, id);
	store_end_change(o->p.store);
	return r;
}

static int dir_read_id(struct out *o, int fd, uint8_t id[static DIRID_LEN])
{
	uint8_t sealed[DIRID_XATTR_LEN + 1];
	ssize_t n;

	memset(id, 0, DIRID_LEN);
	if (o->flat)
		return 0;
	n = fgetxattr(fd, DIRID_XATTR, sealed, sizeof(sealed));
	if (n < 0 && errno == ENODATA) {
		int r = -EIO;

		/* mkdir was cut short by a crash: an empty one gets its id now. */
		if (!o->p.read_only && scan(fd, scan_any, NULL) == 0)
			r = give_late_id(o, fd, id);
		if (r == -EEXIST)
			return dir_read_id(o, fd, id);
		if (r != -EIO)
			return r;
	} else if (n < 0) {
		return -errno;
	} else if (dirid_open(o->p.keys, sealed, (size_t)n, id) == 0) {
		return 0;
	}
	out_log_damage(o, fd, NULL, "the id of this directory is missing or does not verify");
	return -EIO;
}

/* -- descriptors ---------------------------------------------------------- */

struct step {
	struct node *n;
	char name[NAME_PLAIN_MAX + 1];
};

struct walk {
	struct step *steps; /* from 'dir' up; each node is referenced */
	size_t n, size;
	struct node *top; /* has a descriptor, pinned */
};

static int walk_push(struct walk *w, struct node *n)
{
	if (w->n == w->size) {
		size_t size = w->size ? w->size * 2 : 8;
		struct step *s = reallocarray(w->steps, size, sizeof(*s));

		if (!s)
			return -ENOMEM;
		w->steps = s;
		w->size = size;
	}
	strcpy(w->steps[w->n].name, n->aliases->name);
	w->steps[w->n++].n = n;
	n->refs++;
	return 0;
}

/* Up to the nearest directory with a descriptor. tree->lock is held. */
static int walk_up(struct out *o, struct node *dir, struct walk *w)
{
	while (!dir_pin(o->tree, dir)) {
		int r = dir->aliases ? walk_push(w, dir) : -ENOENT;

		if (r < 0)
			return r;
		dir = dir->aliases->parent;
	}
	w->top = dir;
	return 0;
}

static int step_open(struct out *o, struct node *parent, const struct step *s)
{
	uint8_t id[DIRID_LEN];
	autoclose int fd = -1;
	struct stored name;
	struct stat st;
	int r = stored_name(o, parent, s->name, &name);

	if (r < 0)
		return r;
	fd = openat(parent->dir->fd, name.name, DIR_OPEN_FLAGS);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != s->n->ino || st.st_dev != o->dev)
		return -ESTALE; /* renamed meanwhile: walk again */
	r = dir_read_id(o, fd, id);
	if (r < 0)
		return r;
	tree_lock(o);
	if (!dir_pin(o->tree, s->n)) {
		memcpy(s->n->dir->id, id, sizeof(id));
		s->n->dir->has_id = true;
		dir_set_fd(o->tree, s->n, take_fd(&fd));
	}
	tree_unlock(o);
	return 0;
}

static int walk_once(struct out *o, struct node *dir)
{
	struct walk w = { 0 };
	struct node *at;
	int r;

	tree_lock(o);
	r = walk_up(o, dir, &w);
	tree_unlock(o);
	at = w.top;
	for (size_t i = w.n; r == 0 && i-- > 0;) {
		r = step_open(o, at, &w.steps[i]);
		dir_put(o, at);
		at = r == 0 ? w.steps[i].n : NULL;
	}
	tree_lock(o);
	for (size_t i = 0; i < w.n; i++) {
		w.steps[i].n->refs--;
		tree_reap(o->tree, w.steps[i].n);
	}
	tree_unlock(o);
	free(w.steps);
	return r;
}

int dir_get(struct out *o, struct node *dir)
{
	int r = -ESTALE;

	for (int i = 0; i < WALK_TRIES && (r == -ESTALE || r == -ENOENT); i++)
		r = walk_once(o, dir);
	return r < 0 ? r : dir->dir->fd;
}

void dir_put(struct out *o, struct node *dir)
{
	int old;

	tree_lock(o);
	dir_unpin(o->tree, dir, &old);
	tree_unlock(o);
	if (old >= 0)
		close(old);
}

/* -- locks ---------------------------------------------------------------- */

/* Reading all names of such a directory takes too long for one request: each is asked for. */
static bool is_big(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size > DIR_BIG_BYTES;
}

static int lock_write(struct out *o, struct node *dir, bool all)
{
	int fd = dir_get(o, dir), r = 0;

	if (fd < 0)
		return fd;
	pthread_rwlock_wrlock(&dir->dir->rw);
	if (!dir->dir->loaded && (all || !is_big(fd)))
		r = dir_load(o, dir, fd);
	if (r < 0) {
		dir_unlock(o, dir);
		return r;
	}
	return fd;
}

int dir_lock_write(struct out *o, struct node *dir)
{
	return lock_write(o, dir, false);
}

int dir_lock_name(struct out *o, struct node *dir)
{
	int fd = dir_get(o, dir);

	if (fd < 0)
		return fd;
	pthread_rwlock_rdlock(&dir->dir->rw);
	if (dir->dir->loaded)
		return fd;
	dir_unlock(o, dir);
	return dir_lock_write(o, dir);
}

/* Not in memory: the store knows. */
static int name_ask(struct out *o, struct node *dir, int dirfd, const char *name,
		    struct dentry **ret)
{
	struct stored s;
	struct stat st;
	int r = stored_name(o, dir, name, &s);

	if (r < 0)
		return r;
	if (fstatat(dirfd, s.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	tree_lock(o);
	*ret = dir_add(o->tree, dir, name, strlen(name), st.st_ino, (uint8_t)IFTODT(st.st_mode));
	tree_unlock(o);
	return *ret ? 0 : -ENOMEM;
}

int dir_name(struct out *o, struct node *dir, int dirfd, const char *name, struct dentry **ret)
{
	tree_lock(o);
	*ret = dir_find(o->tree, dir, name, strlen(name));
	tree_unlock(o);
	return *ret || dir->dir->loaded ? 0 : name_ask(o, dir, dirfd, name, ret);
}

int dir_lock_read(struct out *o, struct node *dir)
{
	for (;;) {
		int fd = dir_get(o, dir);

		if (fd < 0)
			return fd;
		pthread_rwlock_rdlock(&dir->dir->rw);
		if (dir->dir->loaded)
			return fd;
		dir_unlock(o, dir);
		fd = lock_write(o, dir, true); /* loads it */
		if (fd < 0)
			return fd;
		dir_unlock(o, dir);
	}
}

void dir_unlock(struct out *o, struct node *dir)
{
	pthread_rwlock_unlock(&dir->dir->rw);
	dir_put(o, dir);
}

int dir_lock_two(struct out *o, struct node *a, struct node *b, int *ret_fd_a, int *ret_fd_b)
{
	struct node *first = a->nodeid <= b->nodeid ? a : b, *second = first == a ? b : a;
	int fd1 = dir_lock_write(o, first), fd2;

	if (fd1 < 0)
		return fd1;
	fd2 = first == second ? fd1 : dir_lock_write(o, second);
	if (fd2 < 0) {
		dir_unlock(o, first);
		return fd2;
	}
	*ret_fd_a = first == a ? fd1 : fd2;
	*ret_fd_b = first == a ? fd2 : fd1;
	return 0;
}

void dir_unlock_two(struct out *o, struct node *a, struct node *b)
{
	dir_unlock(o, a);
	if (a != b)
		dir_unlock(o, b);
}

/* -- places --------------------------------------------------------------- */

int place_get(struct out *o, struct node *n, struct place *ret)
{
	char name[NAME_PLAIN_MAX + 1];
	struct node *dir = NULL;
	int r;

	tree_lock(o);
	if (n->aliases) {
		dir = n->aliases->parent;
		dir->refs++;
		strcpy(name, n->aliases->name);
	}
	tree_unlock(o);
	if (!dir)
		return -ENOENT;
	ret->dir = dir;
	ret->dirfd = dir_get(o, dir);
	r = ret->dirfd < 0 ? ret->dirfd : stored_name(o, dir, name, &ret->s);
	if (r < 0) {
		if (ret->dirfd >= 0)
			dir_put(o, dir);
		tree_lock(o);
		dir->refs--;
		tree_reap(o->tree, dir);
		tree_unlock(o);
	}
	return r;
}

void place_put(struct out *o, struct place *p)
{
	dir_put(o, p->dir);
	tree_lock(o);
	p->dir->refs--;
	tree_reap(o->tree, p->dir);
	tree_unlock(o);
}
