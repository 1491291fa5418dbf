/* Names of the outputs: making them (removing: out_remove.c).
 *
 * Order in the store (doc/format.md section 5): the sidecar of a long name before its entry and
 * away after it; a directory's id right after mkdirat(); what a failing step leaves is undone.
 * Where a dying disk refuses even that, it stays: known, charged, and to be removed later on.
 * Quota is charged before anything is made and given back after it is gone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/quota.h"
#include "fs/store.h"

/* -- making --------------------------------------------------------------- */

/* A new name while it is being made: the directory is locked for writing. */
struct making {
	struct out *o;
	struct node *dir;
	int dirfd;
	const char *name;
	const struct out_who *who;
	struct stored s;
	struct dentry *d; /* already in the tree, without node */
	bool charged;
	bool stays; /* it failed, and what was made could not be removed */
	bool begun; /* a change of the store */
	uint64_t ino;
};

static void making_end(struct making *m, int r)
{
	bool undo = r < 0 && !m->stays;

	if (undo && m->d) {
		tree_lock(m->o);
		dir_remove(m->o->tree, m->d);
		tree_unlock(m->o);
	}
	if (undo && m->s.is_long)
		sidecar_remove(m->dirfd, &m->s);
	if (undo && m->charged)
		quota_release(m->o->p.quota, QUOTA_PAGE, 1);
	else if (m->charged)
		store_note_charge(m->o->p.store, m->ino, QUOTA_PAGE, 1);
	if (m->begun)
		store_end_change(m->o->p.store);
	dir_unlock(m->o, m->dir);
}

/* Take away again what was made under the name; 'n', if it got so far, is forgotten. */
static void making_undo(struct making *m, struct node *n, int flags)
{
	struct out *o = m->o;
	struct stat st = { 0 };

	if (m->d && unlinkat(m->dirfd, m->s.name, flags) < 0 && errno != ENOENT) {
		m->stays = true;
		(void)fstatat(m->dirfd, m->s.name, &st, AT_SYMLINK_NOFOLLOW);
	}
	tree_lock(o);
	if (n && m->d)
		dentry_unbind(o->tree, m->d);
	if (m->stays)
		m->d->to.ino = m->ino = st.st_ino;
	if (n)
		tree_forget(o->tree, n, 1);
	tree_unlock(o);
}

/* 'charge': one page and one file; regular files are charged by their cfile. */
static int making_begin(struct out *o, uint64_t parent, const char *name, uint8_t type, bool charge,
			const struct out_who *who, struct making *m)
{
	struct dentry *old;
	int r;

	if (o->p.read_only)
		return -EROFS;
	*m = (struct making){ .o = o, .name = name, .who = who };
	r = dirnode_get(o, parent, &m->dir);
	if (r < 0)
		return r;
	m->dirfd = dir_lock_write(o, m->dir);
	if (m->dirfd < 0)
		return m->dirfd;
	r = stored_name(o, m->dir, name, &m->s);
	if (r < 0) {
		m->s.is_long = false;
		making_end(m, r);
		return r;
	}
	r = dir_name(o, m->dir, m->dirfd, name, &old);
	if (r < 0) {
		m->s.is_long = false;
		making_end(m, r);
		return r;
	}
	tree_lock(o);
	if (!old)
		m->d = dir_add(o->tree, m->dir, name, strlen(name), 0, type);
	tree_unlock(o);
	if (!m->d) {
		m->s.is_long = false; /* the sidecar of the name that is there stays */
		r = old ? -EEXIST : -ENOMEM;
	} else {
		r = store_begin_change(o->p.store);
		m->begun = r == 0;
		m->s.is_long &= m->begun; /* nothing was made that must go */
	}
	if (r == 0 && charge) {
		r = quota_charge(o->p.quota, QUOTA_PAGE, 1);
		m->charged = r == 0;
	}
	if (r == 0)
		r = sidecar_make(o, m->dirfd, &m->s);
	if (r < 0)
		making_end(m, r);
	return r;
}

/* The inode is there: give it a node with one lookup. */
static int making_adopt(struct making *m, const struct stat *st, struct node **ret)
{
	struct node *n;

	if (st->st_dev != m->o->dev)
		return -EXDEV;
	m->ino = st->st_ino;
	tree_lock(m->o);
	n = tree_make(m->o->tree, st->st_ino, st->st_mode);
	if (n)
		n->nlookup = 1;
	if (n && m->d)
		dentry_bind(m->o->tree, m->d, n);
	tree_unlock(m->o);
	*ret = n;
	return n ? 0 : -ENOMEM;
}

static void making_show(struct making *m, struct node *n, const struct stat *st,
			struct out_entry *ret)
{
	mutex_lock(&n->mu);
	attr_fill(m->o, n, m->dirfd, m->s.name, st, &ret->st);
	mutex_unlock(&n->mu);
	ret->nodeid = n->nodeid;
}

static int make_file(struct making *m, mode_t mode, struct cfile **ret, struct node **ret_node,
		     struct stat *st)
{
	struct out *o = m->o;
	struct cfile *cf = NULL;
	struct out_who owner;
	struct node *n = NULL;
	int fd, r;

	owner_new(o, m->dir, m->dirfd, m->who, S_IFREG, &owner, &mode);
	if (mode_refused(o, S_IFREG, mode))
		return -EOPNOTSUPP;
	/* Without a dentry: a file without a name. */
	fd = openat(m->dirfd, m->d ? m->s.name : ".",
		    O_RDWR | O_NOCTTY | O_CLOEXEC |
			    (m->d ? O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK : O_TMPFILE),
		    mode_backing(S_IFREG, mode));
	if (fd < 0)
		return errno == EEXIST ? -EIO : -errno; /* something that no name decodes to */
	r = fstat(fd, st) < 0 ? -errno : 0;
	/* First of all: it knows how to leave a file behind, should it have to stay. */
	if (r == 0)
		r = cfile_create(o->p.store, fd, &cf);
	if (r < 0)
		close(fd);
	else
		r = owner_give(o, &owner, fd, -1, NULL, st);
	if (r == 0)
		r = making_adopt(m, st, &n);
	if (r == 0) {
		n->mode = mode & MODE_KEPT;
		n->mode_known = true;
		if (mode_backing(S_IFREG, mode) != (mode & MODE_KEPT))
			r = mode_set(o, n, cfile_fd(cf), mode);
	}
	if (r < 0) {
		making_undo(m, n, 0);
		if (cf && !m->stays)
			cfile_note_unlinked(cf);
		if (cf)
			cfile_put(cf);
		return r;
	}
	if (!m->d)
		cfile_note_unlinked(cf); /* until it is linked */
	*ret = cf;
	*ret_node = n;
	return 0;
}

/* The name came into being between the kernel's question and this call. */
static int open_existing(struct out *o, uint64_t parent, const char *name, int flags,
			 struct out_entry *ret, struct node **ret_handle)
{
	int r = out_lookup(o, parent, name, ret);

	if (r < 0)
		return r;
	r = out_open(o, ret->nodeid, flags, ret_handle);
	if (r < 0)
		out_forget(o, ret->nodeid, 1);
	return r;
}

int out_create(struct out *o, uint64_t parent, const char *name, mode_t mode, int flags,
	       const struct out_who *who, struct out_entry *ret, struct node **ret_handle)
{
	struct making m;
	struct cfile *cf;
	struct node *n;
	struct stat st;
	int r = making_begin(o, parent, name, DT_REG, false, who, &m);

	if (r == -EEXIST && !(flags & O_EXCL))
		return open_existing(o, parent, name, flags, ret, ret_handle);
	if (r < 0)
		return r;
	r = make_file(&m, mode, &cf, &n, &st);
	if (r == 0) {
		mutex_lock(&n->mu);
		n->cf = cf;
		handle_add(o, n, flags);
		mutex_unlock(&n->mu);
		making_show(&m, n, &st, ret);
		*ret_handle = n;
	}
	making_end(&m, r);
	return r;
}

int out_tmpfile(struct out *o, uint64_t parent, mode_t mode, int flags, const struct out_who *who,
		struct out_entry *ret, struct node **ret_handle)
{
	struct making m = { .o = o, .who = who };
	struct cfile *cf;
	struct node *n;
	struct stat st;
	int r;

	if (o->p.read_only)
		return -EROFS;
	r = dirnode_get(o, parent, &m.dir);
	if (r < 0)
		return r;
	m.dirfd = dir_get(o, m.dir);
	if (m.dirfd < 0)
		return m.dirfd;
	r = store_begin_change(o->p.store);
	if (r == 0) {
		r = make_file(&m, mode, &cf, &n, &st);
		store_end_change(o->p.store);
	}
	if (r == 0) {
		mutex_lock(&n->mu);
		n->cf = cf;
		handle_add(o, n, flags);
		attr_fill(o, n, -1, "", &st, &ret->st);
		mutex_unlock(&n->mu);
		ret->nodeid = n->nodeid;
		*ret_handle = n;
	}
	dir_put(o, m.dir);
	return r;
}

/* Neither can be executed, so all bits of the mode are kept as they are. */
static int make_special(struct making *m, mode_t mode, struct out_entry *ret)
{
	struct out_who owner;
	struct node *n = NULL;
	struct stat st;
	int r;

	owner_new(m->o, m->dir, m->dirfd, m->who, mode, &owner, &mode);
	if (mknodat(m->dirfd, m->s.name, (mode & S_IFMT) | (mode & MODE_KEPT), 0) < 0)
		return errno == EEXIST ? -EIO : -errno;
	r = fstatat(m->dirfd, m->s.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	if (r == 0)
		r = owner_give(m->o, &owner, -1, m->dirfd, m->s.name, &st);
	if (r == 0)
		r = making_adopt(m, &st, &n);
	if (r < 0)
		making_undo(m, n, 0);
	else
		making_show(m, n, &st, ret);
	return r;
}

static int mknod_file(struct making *m, mode_t mode, struct out_entry *ret)
{
	struct cfile *cf;
	struct node *n;
	struct stat st;
	int r = make_file(m, mode, &cf, &n, &st);

	if (r < 0)
		return r;
	cfile_put(cf); /* writes the header of the empty file */
	making_show(m, n, &st, ret);
	return 0;
}

int out_mknod(struct out *o, uint64_t parent, const char *name, mode_t mode,
	      const struct out_who *who, struct out_entry *ret)
{
	bool regular = S_ISREG(mode) || (mode & S_IFMT) == 0;
	struct making m;
	int r;

	if (!regular && !S_ISFIFO(mode) && !S_ISSOCK(mode))
		return -EPERM; /* no devices here, for nobody */
	r = making_begin(o, parent, name, regular ? DT_REG : (uint8_t)IFTODT(mode), !regular, who,
			 &m);
	if (r < 0)
		return r;
	r = regular ? mknod_file(&m, mode, ret) : make_special(&m, mode, ret);
	making_end(&m, r);
	return r;
}

/* The new directory's descriptor goes to the tree: its children mostly come next. */
static int make_dir(struct making *m, mode_t mode, struct out_entry *ret)
{
	struct out *o = m->o;
	autoclose int fd = -1;
	uint8_t id[DIRID_LEN];
	struct out_who owner;
	struct node *n = NULL;
	struct stat st;
	int r = 0, old;

	owner_new(o, m->dir, m->dirfd, m->who, S_IFDIR, &owner, &mode);
	if (mode_refused(o, S_IFDIR, mode))
		return -EOPNOTSUPP;
	if (mkdirat(m->dirfd, m->s.name, 0700) < 0)
		return errno == EEXIST ? -EIO : -errno;
	fd = openat(m->dirfd, m->s.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		r = -errno;
	if (r == 0)
		r = dir_give_id(o, fd, id);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = owner_give(o, &owner, fd, -1, NULL, &st);
	if (r == 0)
		r = making_adopt(m, &st, &n);
	if (r == 0) {
		n->mode = 0700;
		n->mode_known = true;
		if ((mode & MODE_KEPT) != 0700)
			r = mode_set(o, n, fd, mode);
	}
	if (r < 0) {
		making_undo(m, n, AT_REMOVEDIR);
		return r;
	}
	tree_lock(o);
	memcpy(n->dir->id, id, sizeof(id));
	n->dir->has_id = n->dir->loaded = true;
	dir_set_fd(o->tree, n, take_fd(&fd));
	dir_unpin(o->tree, n, &old);
	tree_unlock(o);
	if (old >= 0)
		close(old);
	making_show(m, n, &st, ret);
	return 0;
}

int out_mkdir(struct out *o, uint64_t parent, const char *name, mode_t mode,
	      const struct out_who *who, struct out_entry *ret)
{
	struct making m;
	int r = making_begin(o, parent, name, DT_DIR, true, who, &m);

	if (r < 0)
		return r;
	r = make_dir(&m, mode, ret);
	making_end(&m, r);
	return r;
}

static int tail_make(struct out *o, const char *name, const char *tail)
{
	if (symlinkat(tail, o->links_fd, name) < 0 && errno != EEXIST)
		return -errno;
	return sides_made(o, o->links_fd);
}

static int make_symlink(struct making *m, const char *target, struct out_entry *ret)
{
	char stored[SYMLINK_STORED_SIZE], tail_name[SYMLINK_TAIL_NAME_SIZE];
	char tail[SYMLINK_STORED_SIZE];
	struct out_who owner;
	struct node *n = NULL;
	struct stat st;
	mode_t mode = 0777;
	bool has_tail, made = false;
	int r = symlink_encrypt(m->o->p.keys, target, strlen(target), stored, tail_name, tail,
				&has_tail);

	if (r < 0)
		return r;
	owner_new(m->o, m->dir, m->dirfd, m->who, S_IFLNK, &owner, &mode);
	if (has_tail)
		r = tail_make(m->o, tail_name, tail);
	if (r == 0 && symlinkat(stored, m->dirfd, m->s.name) < 0)
		r = errno == EEXIST ? -EIO : -errno;
	made = r == 0;
	if (r == 0 && fstatat(m->dirfd, m->s.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == 0)
		r = owner_give(m->o, &owner, -1, m->dirfd, m->s.name, &st);
	if (r == 0)
		r = making_adopt(m, &st, &n);
	if (r < 0) {
		if (made)
			making_undo(m, n, 0);
		if (has_tail && !m->stays)
			(void)unlinkat(m->o->links_fd, tail_name, 0);
		return r;
	}
	making_show(m, n, &st, ret);
	return 0;
}

int out_symlink(struct out *o, uint64_t parent, const char *name, const char *target,
		const struct out_who *who, struct out_entry *ret)
{
	struct making m;
	int r = making_begin(o, parent, name, DT_LNK, true, who, &m);

	if (r < 0)
		return r;
	r = make_symlink(&m, target, ret);
	making_end(&m, r);
	return r;
}

/* -- one more name -------------------------------------------------------- */

/* '*ret_first': it had no name before. */
static int link_from(struct making *m, struct node *n, bool *ret_first)
{
	char proc[64];
	struct place p;
	int r = place_get(m->o, n, &p);

	*ret_first = false;
	if (r == 0) {
		if (linkat(p.dirfd, p.s.name, m->dirfd, m->s.name, 0) < 0)
			r = -errno;
		place_put(m->o, &p);
		return r;
	}
	if (r != -ENOENT || !n->cf)
		return r;
	/* A file made without a name: its descriptor is all there is. */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", cfile_fd(n->cf));
	r = store_begin_change_of(m->o->p.store, n->ino);
	if (r < 0)
		return r;
	r = linkat(AT_FDCWD, proc, m->dirfd, m->s.name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
	store_end_change(m->o->p.store);
	*ret_first = r == 0;
	return r;
}

static int make_link(struct making *m, struct node *n, struct out_entry *ret)
{
	struct out *o = m->o;
	struct stat st;
	bool first = false;
	int r;

	tree_lock(o);
	r = tree_show_ino(o->tree, n); /* by whichever name it is met from now on */
	tree_unlock(o);
	if (r == 0)
		r = link_from(m, n, &first);
	if (r < 0)
		return r;
	if (fstatat(m->dirfd, m->s.name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = -errno;
		making_undo(m, NULL, 0);
	} else {
		tree_lock(o);
		dentry_bind(o->tree, m->d, n);
		n->nlookup++;
		tree_unlock(o);
	}
	if (first && (r == 0 || m->stays))
		cfile_note_relinked(n->cf);
	if (r < 0)
		return r;
	note_metadata(o, n);
	attr_fill(o, n, m->dirfd, m->s.name, &st, &ret->st);
	ret->nodeid = n->nodeid;
	return 0;
}

int out_link(struct out *o, uint64_t nodeid, uint64_t parent, const char *name,
	     struct out_entry *ret)
{
	struct making m;
	struct node *n;
	int r = node_get(o, nodeid, &n);

	if (r < 0)
		return r;
	if (n->dir)
		return -EPERM;
	r = making_begin(o, parent, name, (uint8_t)IFTODT(n->type), false, NULL, &m);
	if (r < 0)
		return r;
	mutex_lock(&n->mu);
	r = make_link(&m, n, ret);
	mutex_unlock(&n->mu);
	making_end(&m, r);
	return r;
}
