/* The names and inodes of the outputs in memory.  No system call, no FUSE, no key: pure.
 *
 * Four kinds of identifier, and what follows from what:
 *   nodeid   what the kernel calls an inode; grows, is never used twice.  nodeid -> node by table.
 *   ino      backing inode number; a node has one; ino -> node while the inode has a name.
 *   dentry   a name in a directory.  Exists for every name of a loaded directory; has a node only
 *            while the kernel knows that inode (then it is one of the node's aliases).
 *   cookie   position of a dentry for readdir; grows per directory, so an offset stays valid
 *            whatever is removed meanwhile.
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

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/hmap.h"

struct cfile;
struct node;

struct dentry {
	struct hlink link;
	struct node *parent;
	struct node *node; /* NULL while the kernel does not know the inode */
	struct dentry *next_alias;
	uint64_t cookie;
	uint64_t ino;
	uint8_t type; /* DT_* */
	uint8_t len;
	char name[]; /* plain, NUL-terminated */
};

/* One readdir position; 'd' is NULL once the name is gone. */
struct dir_slot {
	uint64_t cookie;
	struct dentry *d;
};

struct dir {
	pthread_rwlock_t rw;
	struct hmap names;
	struct dir_slot *slots; /* ascending cookies */
	size_t nslots, slots_size;
	uint64_t next_cookie;
	bool loaded; /* all names of the store are here */
	bool has_id;
	uint8_t id[16];                   /* dirid, once has_id */
	int fd;                           /* -1: closed for now */
	unsigned pins;                    /* users of fd: not closed meanwhile */
	struct node *lru_prev, *lru_next; /* among directories with an open, unpinned fd */
};

/* What was last told of an inode, as far as the node does not hold it elsewhere.  Not a struct
 * stat: there is one for every inode that the kernel knows. */
struct told {
	int64_t atime, mtime, ctime; /* seconds */
	uint32_t atime_ns, mtime_ns, ctime_ns;
	uint32_t dev; /* the kernel has no more bits */
	uint32_t mode, uid, gid;
	uint64_t size, blocks;
};

struct node {
	struct hlink by_id, by_ino;
	uint64_t nodeid, ino;
	uint64_t nlookup;
	uint32_t refs;
	uint32_t nopen;    /* changes under mu and lock; counts as use */
	uint32_t nwriters; /* of them may write */
	mode_t type;       /* S_IFMT bits */
	struct dentry *aliases;
	struct dir *dir; /* directories only */

	pthread_mutex_t mu;
	/* guarded by mu */
	struct cfile *cf; /* while nopen > 0 or late */
	uint64_t mapped;  /* of a file that is not open, if mapped_known */
	bool mapped_known;
	bool late;       /* waits to be closed, and is referenced for it */
	bool mode_known; /* 'mode' holds the plain permission bits */
	uint32_t mode;
	uint32_t nlink;
	atomic_bool written; /* the store has a newer mtime than told */
	bool told_known;
	bool in_inos;     /* has a name, so ino leads here; guarded by tree->lock */
	struct told told; /* answers for an inode without name and descriptor */
};

struct tree {
	pthread_mutex_t lock;
	struct hmap by_id, by_ino;
	uint64_t next_id;
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
struct node *tree_by_ino(struct tree *t, uint64_t ino);
/* A new node, unused: bind it or give it a lookup before the lock is dropped. NULL: no memory. */
struct node *tree_make(struct tree *t, uint64_t ino, mode_t type);
/* The inode lost its last name (its number may be reused by the store), or got one again. */
void tree_hide_ino(struct tree *t, struct node *n);
int tree_show_ino(struct tree *t, struct node *n);

/* Remember, and tell again, what is known of an inode; node->mu is held. Its nlink is node->nlink.
 */
#define TREE_BLKSIZE (128 * 1024)
void node_tell(struct node *n, const struct stat *st);
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
/* Index of the first slot after 'cookie'; nslots when there is none. */
size_t dir_seek(const struct dir *d, uint64_t cookie);
static inline bool dir_is_empty(const struct dir *d)
{
	return d->names.count == 0;
}

/* The descriptor of a directory: pinned while used; unpinned ones are kept, the least recently used
 * beyond max_fds is returned in *ret_close for the caller to close without the lock (-1: none). */
bool dir_pin(struct tree *t, struct node *n);            /* false: there is none */
void dir_set_fd(struct tree *t, struct node *n, int fd); /* pins; takes ownership */
void dir_unpin(struct tree *t, struct node *n, int *ret_close);
