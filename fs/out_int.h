/* What the parts of the outputs layer share. Included by fs/out*.c only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "fs/name.h"
#include "fs/out.h"
#include "fs/tree.h"

/* New directories whose ids no sync took along yet (out_side.c). */
#define SIDES_MAX 8u
struct sides {
	bool ordered;       /* the backing keeps the order of all changes: nothing to do */
	pthread_mutex_t mu; /* guards the rest but 'any' */
	atomic_bool any;
	unsigned n;
	bool many; /* more than there is room for */
	int failed;
	int fd[SIDES_MAX];
};

struct out {
	struct tree *tree;
	struct out_params p;
	int root_fd;  /* store/t */
	int links_fd; /* store/l: tails of very long symlinks */
	dev_t dev;
	bool holes_exact;     /* SEEK_HOLE in the store finds every page that was given back */
	bool flat;            /* the store has no user xattrs */
	struct out_who owner; /* of the volume, in the store */
	struct out_ids ids;
	bool strict;        /* see out_set_strict() */
	unsigned nwritable; /* files open for writing; guarded by tree->lock */
	/* Inodes whose metadata changed while they were not open; guarded by tree->lock. */
	struct sides sides;
	struct hmap notes;
	bool notes_full;   /* too many to remember: any may be */
	struct late *late; /* out_late.c; NULL: nothing is put off */
};

/* Bits that we keep; on the backing inodes of files and directories never the set-id ones. */
#define MODE_KEPT 07777u

struct stored {
	char name[NAME_STORED_SIZE];
	char full[NAME_FULL_SIZE];
	bool is_long;
};

/* A line of the log on an entry of a directory of the store, or (name NULL) on what 'fd' is. */
void out_log_damage(struct out *o, int fd, const char *name, const char *what);
void out_log(struct out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* -- out_path.c: from nodes to descriptors and stored names --------------- */

/* The node of an id, -ESTALE, or -ENOTDIR. No lock may be held. */
int node_get(struct out *o, uint64_t nodeid, struct node **ret);
int dirnode_get(struct out *o, uint64_t nodeid, struct node **ret);

/* Descriptor of a directory, pinned until dir_put(). -ENOENT when the directory was removed. */
int dir_get(struct out *o, struct node *dir);
void dir_put(struct out *o, struct node *dir);

/* 'dir' must be pinned (then its id is known). */
int stored_name(struct out *o, const struct node *dir, const char *name, struct stored *ret);
/* The symlink that keeps a long name: made before the entry, removed after it. */
int sidecar_make(struct out *o, int dirfd, const struct stored *s);
void sidecar_remove(int dirfd, const struct stored *s);
/* Remove stray sidecars of a directory that has no entries. -ENOTEMPTY when others are there. */
int dir_remove_strays(int dirfd);
/* Give a directory that we just made its id. */
int dir_give_id(struct out *o, int fd, uint8_t ret_id[static DIRID_LEN]);

/* Lock names and pin; returns the descriptor.  For reading, all names are loaded.  For writing, or
 * to look one up, the names of a big directory need not be: dir_name() finds what is there. */
int dir_lock_read(struct out *o, struct node *dir);
int dir_lock_write(struct out *o, struct node *dir);
int dir_lock_name(struct out *o, struct node *dir);
/* The entry of a name in a locked directory; 0 and NULL: there is none. */
int dir_name(struct out *o, struct node *dir, int dirfd, const char *name, struct dentry **ret);
void dir_unlock(struct out *o, struct node *dir);
/* Two directories (maybe the same) for writing. */
int dir_lock_two(struct out *o, struct node *a, struct node *b, int *ret_fd_a, int *ret_fd_b);
void dir_unlock_two(struct out *o, struct node *a, struct node *b);

/* Where a node stands in the store by one of its names; node->mu is held. -ENOENT: nowhere. */
struct place {
	struct node *dir;
	int dirfd;
	struct stored s;
};
int place_get(struct out *o, struct node *n, struct place *ret);
void place_put(struct out *o, struct place *p);

/* -- out_side.c ----------------------------------------------------------- */

void sides_init(struct out *o); /* root_fd is open */
void sides_free(struct out *o);
/* A helper of a name was made in this directory, what needs it was not yet. */
int sides_made(struct out *o, int dirfd);
/* This directory was given its id. */
void sides_note_id(struct out *o, int fd);
/* Before any sync that an application asks for: the ids noted are durable. -EIO, then and ever
 * after. */
int sides_sync(struct out *o);

/* -- out_attr.c, out_setattr.c ----------------------------------------------------------- */

/* Turn what the store says into what is shown; n->mu is held; (dirfd, stored) reaches the inode. */
void attr_fill(struct out *o, struct node *n, int dirfd, const char *stored,
	       const struct stat *backing, struct stat *ret);
/* Without cached writes the store alone knows when a file that is open was written; n->mu is held.
 */
void show_written(struct out *o, struct node *n);
/* getattr with n->mu held. */
int attr_get(struct out *o, struct node *n, struct stat *ret);
/* The inode is about to lose its last name, (dirfd, stored), or (-1, NULL) its descriptor: keep
 * what attr_get() shall say from then on; n->mu is held. -ENOMEM. */
int attr_keep(struct out *o, struct node *n, int dirfd, const char *stored);
/* The mode that the backing inode of a file or directory gets, without mark. */
mode_t mode_backing(mode_t type, mode_t mode);
/* Set the plain mode through a descriptor of a file or directory; n->mu is held. */
int mode_set(struct out *o, struct node *n, int fd, mode_t mode);
/* Would this mode need an xattr in a store that has none? */
bool mode_refused(const struct out *o, mode_t type, mode_t mode);

/* -- out_owner.c ---------------------------------------------------------- */

#define OWNER_KEEP ((uid_t)-1)

/* From the store's owner to the one shown. */
void owner_show(const struct out *o, struct stat *st);
/* The owner to set, from the one shown to the store's; OWNER_KEEP stays. -EPERM: not on this mount.
 */
int owner_translate(const struct out *o, struct out_attr *a);
/* Whose a new inode in 'dir' shall be, in the store; a directory may inherit set-gid. */
void owner_new(struct out *o, struct node *dir, int dirfd, const struct out_who *who, mode_t type,
	       struct out_who *ret, mode_t *mode);
/* Give it to them if it is not theirs already: by 'fd', or if that is -1 by name. Updates 'st'. */
int owner_give(const struct out *o, const struct out_who *want, int fd, int dirfd,
	       const char *stored, struct stat *st);
/* Add to 'a' that the set-id bits go, if there are any; n->mu is held. */
int setid_strip(struct out *o, struct node *n, struct out_attr *a);

/* -- out.c ---------------------------------------------------------------- */

/* The node of a name, made if needed; counts a lookup.  The directory is locked. */
int entry_get(struct out *o, struct node *dir, int dirfd, struct dentry *d, struct out_entry *ret,
	      struct node **ret_node);
void entry_undo(struct out *o, struct node *n);

/* -- out_file.c ----------------------------------------------------------- */

/* The open cfile of a regular file; n->mu is held.  Opened for the moment if it was not open: give
 * back with file_return(). */
int file_borrow(struct out *o, struct node *n, struct cfile **ret);
void file_return(struct out *o, struct node *n, struct cfile *cf);
/* Open by a place whose directory is known (n->mu held). */
int file_open_at(struct out *o, struct node *n, int dirfd, const char *stored, struct cfile **ret);
void handle_add(struct out *o, struct node *n, int flags);

/* -- out_late.c ----------------------------------------------------------- */

/* Close the file of a node whose last handle goes; n->mu is held. */
void file_close(struct node *n);
/* The same, soon; false: not possible, do it now. */
bool late_close_file(struct out *o, struct node *n);
/* Do what is left and end the thread. */
void late_stop(struct out *o);

/* -- out_remove.c --------------------------------------------------------- */

/* A name that is about to vanish with what it stands for. n->mu is held from prepare to the end. */
struct victim {
	struct node *n;
	struct cfile *opened; /* ours, for the count of its blocks */
	uint64_t bytes;       /* to give back when nothing is open */
	bool last;
	bool by_cfile;
	char tail[SYMLINK_TAIL_NAME_SIZE]; /* of a very long symlink, "" if it has none */
	int late;                          /* keeps the data until after the reply; -1: none */
};
int victim_prepare(struct out *o, struct node *n, int dirfd, const char *stored,
		   struct victim *ret);
void victim_commit(struct out *o, struct victim *v);
void victim_abort(struct victim *v);
/* -- out_name.c ----------------------------------------------------------- */

/* The inode's metadata changed: its next fsync must reach the backing inode. n->mu is held. */
void note_metadata(struct out *o, struct node *n);
/* Was it noted while it was not open? Asked at open, forgotten then. */
bool take_metadata_note(struct out *o, const struct node *n);
void notes_free(struct out *o);

static inline int64_t time_ns(const struct timespec *ts)
{
	return (int64_t)ts->tv_sec * 1000000000 + ts->tv_nsec;
}

static inline void tree_lock(struct out *o)
{
	pthread_mutex_lock(&o->tree->lock);
}

static inline void tree_unlock(struct out *o)
{
	pthread_mutex_unlock(&o->tree->lock);
}
