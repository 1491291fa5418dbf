/* Rename in the outputs: within or between directories, over a name, never over one, and exchange.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/cfile.h"
#include "fs/out_int.h"
#include "fs/store.h"

struct renaming {
	struct out *o;
	unsigned flags;
	struct node *dir[2]; /* old, new: both locked for writing */
	int fd[2];
	struct dentry *d[2]; /* d[1] may be made for the purpose */
	struct node *n[2];   /* n[1] NULL: no target; each with a lookup of ours */
	struct stored s[2];
	bool made_target; /* d[1] is new */
};

static int side_find(struct renaming *r, int i, const char *name)
{
	struct out *o = r->o;
	struct out_entry e;
	int ret = stored_name(o, r->dir[i], name, &r->s[i]);

	if (ret < 0)
		return ret;
	ret = dir_name(o, r->dir[i], r->fd[i], name, &r->d[i]);
	if (ret < 0)
		return ret;
	tree_lock(o);
	r->n[i] = r->d[i] ? dentry_node(r->d[i]) : NULL;
	if (r->n[i])
		r->n[i]->nlookup++;
	tree_unlock(o);
	if (!r->d[i] || r->n[i])
		return 0;
	return entry_get(o, r->dir[i], r->fd[i], r->d[i], &e, &r->n[i]);
}

static int check(const struct renaming *r)
{
	if (!r->n[0])
		return -ENOENT;
	if (r->flags & RENAME_NOREPLACE && r->n[1])
		return -EEXIST;
	if (r->flags & RENAME_EXCHANGE)
		return r->n[1] ? 0 : -ENOENT;
	if (r->n[1] && r->n[0]->dir && !r->n[1]->dir)
		return -ENOTDIR;
	if (r->n[1] && !r->n[0]->dir && r->n[1]->dir)
		return -EISDIR;
	return 0;
}

/* A new name needs its dentry first: once the store has renamed there is no way to fail. */
static int target_make(struct renaming *r, const char *name)
{
	if (r->d[1])
		return 0;
	tree_lock(r->o);
	r->d[1] = dir_add(r->o->tree, r->dir[1], name, strlen(name), r->n[0]->ino, r->d[0]->type);
	tree_unlock(r->o);
	if (!r->d[1])
		return -ENOMEM;
	r->made_target = true;
	return sidecar_make(r->o, r->fd[1], &r->s[1]);
}

static int rename_store(struct renaming *r)
{
	int fd, ret;

	if (renameat2(r->fd[0], r->s[0].name, r->fd[1], r->s[1].name, r->flags) == 0)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return -errno;
	if (r->flags || !r->n[1] || !r->n[1]->dir)
		return errno == EEXIST ? -EIO : -errno;
	/* An empty directory may hold stray sidecars. */
	fd = openat(r->fd[1], r->s[1].name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = dir_remove_strays(fd);
	close(fd);
	if (ret < 0)
		return ret;
	return renameat2(r->fd[0], r->s[0].name, r->fd[1], r->s[1].name, 0) < 0 ? -errno : 0;
}

static void tree_exchange(struct renaming *r)
{
	struct tree *t = r->o->tree;
	unsigned type = r->d[0]->type & 0xf;

	dentry_bind(t, r->d[0], r->n[1]);
	dentry_bind(t, r->d[1], r->n[0]);
	r->d[0]->type = r->d[1]->type;
	r->d[1]->type = type & 0xf;
}

static void tree_move(struct renaming *r)
{
	dentry_bind(r->o->tree, r->d[1], r->n[0]);
	r->d[1]->type = r->d[0]->type;
	dir_remove(r->o->tree, r->d[0]);
}

/* Before a name is replaced: what its new file still has in memory only (a header that found no
 * room when the file was closed) is in the store. */
static int settle_source(struct renaming *r, bool replace)
{
	struct node *n = r->n[0];
	struct cfile *cf;
	uint64_t size;
	int ret;

	if (n->cf)
		return cfile_settle(n->cf);
	if (!replace || !S_ISREG(n->type) ||
	    !cfile_lookup_size(r->o->p.store, r->o->dev, n->ino, &size))
		return 0;
	ret = file_open_at(r->o, n, r->fd[0], r->s[0].name, &cf);
	if (ret == 0) {
		ret = cfile_settle(cf);
		file_return(r->o, n, cf);
	}
	return ret;
}

/* Everything found and locked, both mu held. */
static int rename_locked(struct renaming *r)
{
	struct out *o = r->o;
	bool exchange = r->flags & RENAME_EXCHANGE, replace = r->n[1] && !exchange;
	struct victim v = { .late = -1 };
	int ret = 0;

	if (replace)
		ret = victim_prepare(o, r->n[1], r->fd[1], r->s[1].name, &v);
	/* The old content may be gone for good after this: the new one must be readable first. */
	if (ret == 0)
		ret = settle_source(r, replace);
	if (ret == 0)
		ret = rename_store(r);
	if (ret < 0) {
		victim_abort(&v);
		return ret;
	}
	tree_lock(o);
	if (exchange)
		tree_exchange(r);
	else
		tree_move(r);
	tree_unlock(o);
	if (!exchange)
		sidecar_remove(r->fd[0], &r->s[0]);
	if (replace)
		victim_commit(o, &v);
	note_metadata(o, r->n[0]);
	if (exchange)
		note_metadata(o, r->n[1]);
	return 0;
}

static void lock_nodes(struct renaming *r, bool lock)
{
	struct node *a = r->n[0], *b = r->n[1];

	if (b && b->nodeid < a->nodeid) {
		a = r->n[1];
		b = r->n[0];
	}
	if (!lock) {
		mutex_unlock(&a->mu);
		if (b && b != a)
			mutex_unlock(&b->mu);
		return;
	}
	mutex_lock(&a->mu);
	if (b && b != a)
		mutex_lock(&b->mu);
}

/* All is found and may be done. */
static int rename_begun(struct renaming *r, const char *newname)
{
	struct store *s = r->o->p.store;
	bool replace = r->n[1] && !(r->flags & RENAME_EXCHANGE);
	int ret = replace ? store_begin_change_of(s, r->n[1]->ino) : store_begin_change(s);

	if (ret < 0)
		return ret;
	ret = target_make(r, newname);
	if (ret == 0) {
		lock_nodes(r, true);
		ret = rename_locked(r);
		lock_nodes(r, false);
	}
	if (ret < 0 && r->made_target) {
		tree_lock(r->o);
		dir_remove(r->o->tree, r->d[1]);
		tree_unlock(r->o);
		sidecar_remove(r->fd[1], &r->s[1]);
	}
	store_end_change(s);
	return ret;
}

static int rename_in(struct renaming *r, const char *name, const char *newname)
{
	int ret = side_find(r, 0, name);

	if (ret == 0)
		ret = side_find(r, 1, newname);
	if (ret == 0)
		ret = check(r);
	if (ret == 0 && r->n[0] != r->n[1]) /* else two names of one file: nothing to do */
		ret = rename_begun(r, newname);
	for (int i = 0; i < 2; i++)
		if (r->n[i])
			entry_undo(r->o, r->n[i]);
	return ret;
}

int out_rename(struct out *o, uint64_t parent, const char *name, uint64_t newparent,
	       const char *newname, unsigned flags)
{
	struct renaming r = { .o = o, .flags = flags };
	int ret;

	if (o->p.read_only)
		return -EROFS;
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	ret = dirnode_get(o, parent, &r.dir[0]);
	if (ret == 0)
		ret = dirnode_get(o, newparent, &r.dir[1]);
	if (ret == 0)
		ret = dir_lock_two(o, r.dir[0], r.dir[1], &r.fd[0], &r.fd[1]);
	if (ret < 0)
		return ret;
	ret = rename_in(&r, name, newname);
	dir_unlock_two(o, r.dir[0], r.dir[1]);
	return ret;
}
