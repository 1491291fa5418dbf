/* The outputs: the encrypted tree of a store as a POSIX filesystem, addressed by node ids.  No
 * FUSE in here: ops_out.c translates requests into these calls one to one, unit tests call them
 * directly.  Thread-safe.  All functions return 0 (or a count) or negative errno, as it goes to the
 * application.
 *
 * A call that fills a struct out_entry counts one lookup of that node: out_forget() takes it back.
 * Node ids come from the kernel and are valid as long as it has lookups of them; others give
 * -ESTALE. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct err;
struct name_keys;
struct node;
struct out;
struct quota;
struct store;

struct out_params {
	struct store *store;          /* borrowed */
	struct quota *quota;          /* borrowed */
	const struct name_keys *keys; /* borrowed */
	bool read_only;
	bool flat;                                /* the store has no user xattrs */
	void (*log)(void *ctx, const char *line); /* one line per finding; may be NULL */
	void *log_ctx;
};

/* The kernel caches no writes: it does not tell when files changed. Before the first request. */
void out_set_strict(struct out *o, bool strict);
int out_new(const struct out_params *p, struct out **ret, struct err *err);
void out_free(struct out *o);

struct out_who {
	uid_t uid;
	gid_t gid;
};

/* How owners in the store and owners that the mount shows belong together. The volume's owner is
 * the one of the directory store/. */
enum out_ids_kind {
	OUT_IDS_ONE,  /* all are shown as (uid, gid); the store's inodes stay who made them */
	OUT_IDS_ALL,  /* as they are, but the volume's owner is shown as (uid, gid); if that is -1,
		       * as  it is, too */
	OUT_IDS_PAIR, /* the volume's owner is shown as (uid, gid), all others as nobody; what is
		       * made becomes the volume's owner's */
};

struct out_ids {
	enum out_ids_kind kind;
	uid_t uid;
	gid_t gid;
	uint32_t sandbox; /* OUT_IDS_ALL: of sandboxes that may join, else 0 */
};

/* Before the first request of a mount. */
void out_set_ids(struct out *o, const struct out_ids *ids);
/* OUT_IDS_ALL where idmapped mounts are not to be had: what is the volume's owner's must be shown
 * as the sandboxes' for them to use it. */
void out_without_idmap(struct out *o);
void out_get_owner(const struct out *o, struct out_who *ret); /* of the volume */
/* From now on what nobody waits for is done by a thread of its own, until out_reset(): closing
 * files after their last handle, giving back the space of unlinked ones. Without it all is done at
 * once. */
void out_late_start(struct out *o);
/* Close a descriptor that out_unlink() handed over, in its own time; -1 is fine. */
void out_close_late(struct out *o, int fd);
/* The kernel side is gone: forget all lookups, close all files.  No request may be running. */
void out_reset(struct out *o);
unsigned out_open_files(struct out *o);
bool out_read_only(const struct out *o);

struct out_entry {
	uint64_t nodeid;
	struct stat st;
};

int out_lookup(struct out *o, uint64_t parent, const char *name, struct out_entry *ret);
void out_forget(struct out *o, uint64_t nodeid, uint64_t nlookup);

#define OUT_SET_MODE  1u
#define OUT_SET_UID   2u
#define OUT_SET_GID   4u
#define OUT_SET_SIZE  8u
#define OUT_SET_ATIME 16u
#define OUT_SET_MTIME 32u
#define OUT_SET_OWNER (OUT_SET_UID | OUT_SET_GID)
#define OUT_SET_STRIP 64u /* take set-uid and set-gid away, as writing to a file does */

/* tv_nsec may be UTIME_NOW. */
struct out_attr {
	unsigned valid;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	struct timespec atime, mtime;
};

int out_getattr(struct out *o, uint64_t nodeid, struct stat *ret);
int out_setattr(struct out *o, uint64_t nodeid, const struct out_attr *a, struct stat *ret);
int out_readlink(struct out *o, uint64_t nodeid, char *buf, size_t size); /* NUL-terminated */
int out_statfs(struct out *o, struct statvfs *ret);

/* For a file that was written, if it has such bits: then 1, and the kernel does not know yet. */
int out_strip_setid(struct out *o, uint64_t nodeid);

/* Names. Modes carry the permission bits (umask applied by the kernel). 'who' makes it; in a
 * directory with set-gid its group does not count. */
int out_mkdir(struct out *o, uint64_t parent, const char *name, mode_t mode,
	      const struct out_who *who, struct out_entry *ret);
int out_mknod(struct out *o, uint64_t parent, const char *name, mode_t mode,
	      const struct out_who *who, struct out_entry *ret);
int out_symlink(struct out *o, uint64_t parent, const char *name, const char *target,
		const struct out_who *who, struct out_entry *ret);
int out_link(struct out *o, uint64_t nodeid, uint64_t parent, const char *name,
	     struct out_entry *ret);
/* Giving up the data takes the store as long as removing the name: it begins when '*ret_late' is
 * closed (-1: there is nothing to do), which is best done after the reply. */
int out_unlink(struct out *o, uint64_t parent, const char *name, int *ret_late);
int out_rmdir(struct out *o, uint64_t parent, const char *name);
/* RENAME_NOREPLACE and RENAME_EXCHANGE; others -EINVAL. */
int out_rename(struct out *o, uint64_t parent, const char *name, uint64_t newparent,
	       const char *newname, unsigned flags);

/* Open files. A handle is the node itself; each open and create is matched by one release with the
 * same flags. */
int out_create(struct out *o, uint64_t parent, const char *name, mode_t mode, int flags,
	       const struct out_who *who, struct out_entry *ret, struct node **ret_handle);
int out_tmpfile(struct out *o, uint64_t parent, mode_t mode, int flags, const struct out_who *who,
		struct out_entry *ret, struct node **ret_handle);
int out_open(struct out *o, uint64_t nodeid, int flags, struct node **ret_handle);
void out_release(struct out *o, struct node *handle, int flags);
ssize_t out_read(struct node *handle, void *buf, size_t len, uint64_t off);
ssize_t out_write(struct node *handle, const void *buf, size_t len, uint64_t off);
int out_fsync(struct out *o, struct node *handle, bool data_only);
int out_fallocate(struct node *handle, int mode, uint64_t off, uint64_t len);
off_t out_seek(struct node *handle, uint64_t off, int whence);
/* May the kernel hold data of it that we have not seen yet? */
bool out_has_writers(struct out *o, struct node *handle);
uint64_t out_handle_id(const struct node *handle);
/* The node ids of the files that are open for writing (caller frees '*ret'; -ENOMEM). */
int out_writable(struct out *o, uint64_t **ret, size_t *ret_n);
/* Free bytes of the filesystem that holds the store; UINT64_MAX when it does not say. */
uint64_t out_disk_room(const struct out *o);

int out_fsyncdir(struct out *o, uint64_t nodeid);

/* Extended attributes "user.*". Sizes of 0 ask for the length. */
ssize_t out_getxattr(struct out *o, uint64_t nodeid, const char *name, void *buf, size_t size);
ssize_t out_listxattr(struct out *o, uint64_t nodeid, char *buf, size_t size);
int out_setxattr(struct out *o, uint64_t nodeid, const char *name, const void *value, size_t len,
		 int flags);
int out_removexattr(struct out *o, uint64_t nodeid, const char *name);

/* Listing: begin at 'off' (0, or the next_off of an entry seen earlier), next until 0, end. The
 * directory cannot change in between. */
struct out_dirit {
	struct out *o;
	struct node *dir;
	int fd;
	uint64_t off;
	size_t slot;
	struct dentry *cur;
};

struct out_dirent {
	const char *name; /* until out_dir_end() */
	uint64_t ino;
	mode_t type; /* S_IFMT bits */
	uint64_t next_off;
	bool is_dot; /* "." or "..": never with an entry */
};

int out_dir_begin(struct out *o, uint64_t nodeid, uint64_t off, struct out_dirit *it);
bool out_dir_next(struct out_dirit *it, struct out_dirent *ret);
/* The entry of what out_dir_next() showed last; counts a lookup. */
int out_dir_entry(struct out_dirit *it, struct out_entry *ret);
void out_dir_end(struct out_dirit *it);
