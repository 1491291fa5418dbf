#include "fs/out.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fs/blockmap.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/quota.h"
#include "fs/store.h"

void out_log(struct out *o, const char *fmt, ...)
{
	char line[4400];
	va_list ap;

	if (!o->p.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	o->p.log(o->p.log_ctx, line);
}

void out_log_damage(struct out *o, int fd, const char *name, const char *what)
{
	char place[4096];

	store_place(fd, place, sizeof(place));
	out_log(o, "damaged: %s%s%s: %s", place, name ? "/" : "", name ? name : "", what);
}

/* Directories get a quarter of what may be open, the rest is for files. */
static size_t dir_fd_budget(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur < 256)
		return 32;
	return MIN((size_t)rl.rlim_cur / 4, (size_t)4096);
}

static int plant_root(struct out *o)
{
	struct stat st;
	int fd, r;

	if (fstat(store_dirfd(o->p.store), &st) < 0)
		return -errno;
	o->owner = (struct out_who){ st.st_uid, st.st_gid };
	if (fstat(o->root_fd, &st) < 0)
		return -errno;
	r = tree_new(st.st_ino, dir_fd_budget(), &o->tree);
	if (r < 0)
		return r;
	fd = fcntl(o->root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		tree_free(o->tree);
		o->tree = NULL;
		return -errno;
	}
	o->tree->root->dir->has_id = true;      /* zeros */
	dir_set_fd(o->tree, o->tree->root, fd); /* stays pinned: every way starts there */
	o->dev = st.st_dev;
	return 0;
}

/* Does the store's filesystem tell holes of one page? Tried on a file without a name. */
static bool probe_holes(int dirfd)
{
	autoclose int fd = openat(dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	const off_t page = BLOCK_SIZE;
	char data[3 * BLOCK_SIZE];

	memset(data, 1, sizeof(data));
	return fd >= 0 && pwrite(fd, data, sizeof(data), 0) == (ssize_t)sizeof(data) &&
	       lseek(fd, 0, SEEK_HOLE) == 3 * page &&
	       fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page, page) == 0 &&
	       lseek(fd, 0, SEEK_HOLE) == page && lseek(fd, page, SEEK_DATA) == 2 * page;
}

int out_new(const struct out_params *p, struct out **ret, struct err *err)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct out *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return err_set(err, -ENOMEM, "open the outputs");
	*o = (struct out){ .p = *p, .root_fd = -1, .links_fd = -1 };
	o->ids = (struct out_ids){ .uid = geteuid(), .gid = getegid() };
	o->root_fd = openat(store_dirfd(p->store), "t", flags);
	sides_init(o);
	if (o->root_fd >= 0)
		o->links_fd = openat(store_dirfd(p->store), "l", flags);
	if (o->root_fd < 0 || o->links_fd < 0) {
		r = err_set(err, -errno, "open the tree of the store");
		out_free(o);
		return r;
	}
	o->flat = p->flat;
	o->holes_exact = !p->read_only && probe_holes(o->root_fd);
	r = plant_root(o);
	if (r < 0) {
		err_set(err, r, "open the tree of the store");
		out_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

static void close_files(struct out *o)
{
	struct node *n;

	late_stop(o);
	for (uint32_t pos = 0; (n = tree_next(o->tree, &pos));) {
		if (n->cf)
			cfile_put(n->cf);
		n->cf = NULL;
		n->nopen = 0;
	}
}

void out_free(struct out *o)
{
	if (!o)
		return;
	if (o->tree)
		close_files(o);
	tree_free(o->tree);
	notes_free(o);
	sides_free(o);
	if (o->root_fd >= 0)
		close(o->root_fd);
	if (o->links_fd >= 0)
		close(o->links_fd);
	free(o);
}

void out_reset(struct out *o)
{
	struct tree *old = o->tree;

	close_files(o);
	if (plant_root(o) < 0) {
		/* No memory for an empty tree: keep the old one, names in it are still true. */
		o->tree = old;
		return;
	}
	tree_free(old);
}

unsigned out_open_files(struct out *o)
{
	unsigned count = 0;
	struct node *n;

	tree_lock(o);
	for (uint32_t pos = 0; (n = tree_next(o->tree, &pos));)
		count += n->nopen > 0;
	tree_unlock(o);
	return count;
}

bool out_read_only(const struct out *o)
{
	return o->p.read_only;
}

/* -- entries -------------------------------------------------------------- */

/* The node of a name, with a lookup counted, or NULL when the kernel does not know it yet. */
static struct node *known_node(struct out *o, struct dentry *d)
{
	struct node *n;

	tree_lock(o);
	n = dentry_node(d);
	if (n)
		n->nlookup++;
	tree_unlock(o);
	return n;
}

static int node_adopt(struct out *o, struct dentry *d, const struct stat *st, struct node **ret)
{
	struct node *n;

	tree_lock(o);
	n = dentry_node(d);
	if (!n)
		n = tree_by_ino(o->tree, st->st_ino);
	if (!n)
		n = tree_make(o->tree, st->st_ino, st->st_mode);
	if (n && st->st_nlink > 1 && !n->dir && tree_show_ino(o->tree, n) < 0) {
		tree_reap(o->tree, n);
		n = NULL;
	}
	if (n) {
		n->nlookup++;
		dentry_bind(o->tree, d, n);
	}
	tree_unlock(o);
	*ret = n;
	return n ? 0 : -ENOMEM;
}

void entry_undo(struct out *o, struct node *n)
{
	tree_lock(o);
	tree_forget(o->tree, n, 1);
	tree_unlock(o);
}

int entry_get(struct out *o, struct node *dir, int dirfd, struct dentry *d, struct out_entry *ret,
	      struct node **ret_node)
{
	struct node *n = known_node(o, d);
	struct stored s;
	struct stat st;
	int r = stored_name(o, dir, d->name, &s);

	if (r == 0 && fstatat(dirfd, s.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = errno == ENOENT ? -EIO : -errno; /* somebody took it out of the store */
	if (r == 0 && (st.st_dev != o->dev || S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ||
		       (n && (n->ino != st.st_ino || n->type != (st.st_mode & S_IFMT)))))
		r = -EIO;
	if (r == 0 && !n)
		r = node_adopt(o, d, &st, &n);
	if (r < 0) {
		if (n)
			entry_undo(o, n);
		return r;
	}
	mutex_lock(&n->mu);
	attr_fill(o, n, dirfd, s.name, &st, &ret->st);
	mutex_unlock(&n->mu);
	ret->nodeid = n->nodeid;
	if (ret_node)
		*ret_node = n;
	return 0;
}

int out_lookup(struct out *o, uint64_t parent, const char *name, struct out_entry *ret)
{
	struct dentry *d;
	struct node *dir;
	int fd, r = dirnode_get(o, parent, &dir);

	if (r < 0)
		return r;
	if (strlen(name) > NAME_PLAIN_MAX)
		return -ENAMETOOLONG;
	fd = dir_lock_name(o, dir);
	if (fd < 0)
		return fd;
	r = dir_name(o, dir, fd, name, &d);
	if (r == 0)
		r = d ? entry_get(o, dir, fd, d, ret, NULL) : -ENOENT;
	dir_unlock(o, dir);
	return r;
}

void out_forget(struct out *o, uint64_t nodeid, uint64_t nlookup)
{
	struct node *n;

	tree_lock(o);
	n = tree_by_id(o->tree, nodeid);
	if (n)
		tree_forget(o->tree, n, nlookup);
	tree_unlock(o);
}

/* -- listing -------------------------------------------------------------- */

#define OFF_NAMES 2 /* cookie c is shown as offset c + 2; 1 and 2 are "." and ".." */

int out_dir_begin(struct out *o, uint64_t nodeid, uint64_t off, struct out_dirit *it)
{
	struct node *dir;
	int r = dirnode_get(o, nodeid, &dir);

	if (r < 0)
		return r;
	r = dir_lock_read(o, dir);
	if (r < 0)
		return r;
	*it = (struct out_dirit){ .o = o, .dir = dir, .fd = r, .off = off };
	tree_lock(o);
	it->slot = off <= OFF_NAMES ? 0 : names_seek(&dir->dir->names, off - OFF_NAMES);
	tree_unlock(o);
	return 0;
}

static uint64_t parent_ino(struct out *o, const struct node *dir)
{
	uint64_t ino;

	tree_lock(o);
	ino = dir->aliases ? dir->aliases->parent->ino : dir->ino;
	tree_unlock(o);
	return ino;
}

bool out_dir_next(struct out_dirit *it, struct out_dirent *ret)
{
	struct out *o = it->o;

	it->cur = NULL;
	if (it->off < OFF_NAMES) {
		bool self = it->off++ == 0;

		*ret = (struct out_dirent){
			.name = self ? "." : "..",
			.ino = self ? it->dir->ino : parent_ino(o, it->dir),
			.type = S_IFDIR,
			.next_off = it->off,
			.is_dot = true,
		};
		return true;
	}
	tree_lock(o);
	it->cur = names_next(&it->dir->dir->names, &it->slot);
	if (it->cur)
		*ret = (struct out_dirent){
			.name = it->cur->name,
			.ino = dentry_ino(it->cur),
			.type = (mode_t)DTTOIF(it->cur->type),
			.next_off = it->cur->cookie + OFF_NAMES,
		};
	tree_unlock(o);
	return it->cur != NULL;
}

int out_dir_entry(struct out_dirit *it, struct out_entry *ret)
{
	return entry_get(it->o, it->dir, it->fd, it->cur, ret, NULL);
}

void out_dir_end(struct out_dirit *it)
{
	dir_unlock(it->o, it->dir);
}
