/* The names and inodes of the outputs in memory.  No system call, no FUSE, no key: pure.
 *
 * Four kinds of identifier, and what follows from what:
 *   nodeid   what the kernel calls an inode: the number of the node's memory and, above it, of its
 *            making, so that what comes to the same place later is another.  nodeid -> node at
 * once. ino      backing inode number; a node has one; ino -> node for those that have, or had,
 * several names (tree_show_ino): any other is found by its one name. dentry   a name in a
 * directory.  Exists for every name of a loaded directory; has a node only while the kernel knows
 * that inode (then it is one of the node's aliases). cookie   position of a dentry for readdir;
 * grows per directory, so an offset stays valid whatever is removed meanwhile.
 *
 * There may be a million nodes, so what each occupies is counted, tests/unit/test_tree.c holds it:
 * a node of 96 bytes, a name of 33 and its length rounded up to 8, 18 to 23 in the tables of its
 * directory: 175 with a name of 22 bytes.  Nothing else is kept for each.
 *
 * A node lives while the kernel has lookups of it, a handle is open, or 'refs' are held: each bound
 * dentry holds one on its *parent*, so the way up to the root always exists.
 *
 * Locks, in the order in which they are taken:
 *   dir->rw     the set of names of a directory, in memory and in the store (two: lower nodeid
 * first) node->mu    a node's open file, its attributes in the store, which names it has there
 * (two: lower nodeid first) tree->lock  everything in this header.  Held for memory operations
 * only, never over a system call.  All functions here expect it to be held unless they say
 * otherwise. */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/mutex.h"
#include "fs/hmap.h"
#include "fs/names.h"
#include "fs/slab.h"

struct cfile;
struct node;

struct dir {
	pthread_rwlock_t rw;
	struct names names;
	bool loaded; /* all names of the store are here */
	bool has_id;
	uint8_t id[16];                   /* dirid, once has_id */
	int fd;                           /* -1: closed for now */
	unsigned pins;                    /* users of fd: not closed meanwhile */
	struct node *lru_prev, *lru_next; /* among directories with an open, unpinned fd */
};

/* What was last told of an inode, as far as the node does not hold it elsewhere. */
struct told {
	int64_t atime, mtime, ctime; /* seconds */
	uint32_t atime_ns, mtime_ns, ctime_ns;
	uint32_t dev; /* the kernel has no more bits */
	uint32_t mode, uid, gid;
	uint32_t pin; /* of a dataset's: its number in the pin (fs/pin.h), or 0 */
	uint64_t size, blocks;
};

/* One for every inode that the kernel knows: what only some need is behind a pointer. */
struct node {
	uint64_t nodeid, ino;
	uint64_t nlookup;
	struct dentry *aliases;
	struct dir *dir; /* directories only */
	uint32_t refs;
	uint32_t nopen;    /* changes under mu and lock; counts as use */
	uint32_t nwriters; /* of them may write */
	uint16_t type;     /* S_IFMT bits */
	bool in_inos;      /* ino leads here; guarded by tree->lock */

	atomic_bool written; /* the store has a newer mtime than told */
	struct mutex mu;
	/* guarded by mu */
	uint32_t nlink;
	struct cfile *cf;  /* while nopen > 0 or late */
	struct told *told; /* see node_keep() */
	uint64_t mapped;   /* of a file that is not open, if mapped_known */
	uint16_t mode;     /* the plain permission bits, if mode_known */
	bool mode_known;
	bool mapped_known;
	bool late; /* waits to be closed, and is referenced for it */
};

static_assert(sizeof(struct node) <= 96, "a million of them count");
static_assert(offsetof(struct dentry, name) == 32, "a million of them count");

struct tree {
	pthread_mutex_t lock;
	struct slabs nodes, dentries;
	size_t nnodes;
	struct hmap inos; /* ino -> node */
	uint32_t made;    /* nodes so far; wraps: the kernel has forgotten an id long before */
	uint64_t seed[2]; /* names are chosen by strangers: the hash is keyed */
	struct node *root;
	struct node *lru_first, *lru_last;
	size_t nfds, max_fds;
};

#define TREE_ROOT_ID 1

/* Makes the root directory (nodeid 1) with this backing inode. No lock is needed. */
int tree_new(uint64_t root_ino, size_t max_dir_fds, struct tree **ret);
/* Also closes directory descriptors. Open cfiles must be gone. No lock. */
void tree_free(struct tree *t);

struct node *tree_by_id(struct tree *t, uint64_t nodeid); /* NULL: stale */
/* Of those that tree_show_ino() was called for. */
struct node *tree_by_ino(struct tree *t, uint64_t ino);
/* The first node from a position on, which becomes the next one; start with 0. NULL: that was all.
 */
struct node *tree_next(struct tree *t, uint32_t *pos);
/* What the nodes and names in memory occupy. */
size_t tree_bytes(struct tree *t);
/* A new node, unused: bind it or give it a lookup before the lock is dropped. NULL: no memory. */
struct node *tree_make(struct tree *t, uint64_t ino, mode_t type);
/* The inode has several names in the store, or will: another name must find its node. -ENOMEM. */
int tree_show_ino(struct tree *t, struct node *n);
/* It lost its last one: its number may be reused by the store. */
void tree_hide_ino(struct tree *t, struct node *n);

/* Attributes of an inode that cannot be asked for later, because it is about to lose its last name
 * or descriptor: from node_keep() on, what node_tell() is given is kept, and told by node_told().
 * Its nlink is always kept.  node->mu is held.  -ENOMEM. */
#define TREE_BLKSIZE (128 * 1024)
int node_keep(struct node *n);
void node_tell(struct node *n, const struct stat *st);
/* Without node_keep(): type and mode, no more. */
void node_told(const struct node *n, struct stat *ret);

/* Free what nobody uses any more, up the tree as far as that goes. */
void tree_reap(struct tree *t, struct node *n);
void tree_forget(struct tree *t, struct node *n, uint64_t nlookup);

struct dentry *dir_find(struct tree *t, struct node *dir, const char *name, size_t len);
/* The name must not be there. NULL: no memory. */
struct dentry *dir_add(struct tree *t, struct node *dir, const char *name, size_t len, uint64_t ino,
		       uint8_t type);
/* Unbinds and frees. The node stays (nameless if this was its last name). */
void dir_remove(struct tree *t, struct dentry *d);
void dentry_bind(struct tree *t, struct dentry *d, struct node *n);
void dentry_unbind(struct tree *t, struct dentry *d);
/* NULL while the kernel does not know the inode. */
static inline struct node *dentry_node(const struct dentry *d)
{
	return d->bound ? d->to.node : NULL;
}
static inline uint64_t dentry_ino(const struct dentry *d)
{
	return d->bound ? d->to.node->ino : d->to.ino;
}

/* The descriptor of a directory: pinned while used; unpinned ones are kept, the least recently used
 * beyond max_fds is returned in *ret_close for the caller to close without the lock (-1: none). */
bool dir_pin(struct tree *t, struct node *n);            /* false: there is none */
void dir_set_fd(struct tree *t, struct node *n, int fd); /* pins; takes ownership */
void dir_unpin(struct tree *t, struct node *n, int *ret_close);
