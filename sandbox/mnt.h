/* The new mount API (Linux 5.12), in the few shapes that building a root needs.
 *
 * A mount is made or cloned *detached*, gets its attributes while nobody can reach it, and is then
 * moved onto a target that was reached by descriptor.  No path is ever walked twice, and no walk
 * below a root follows a symlink: that is where other sandboxes had their escapes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/types.h>

struct err;

/* Every mount inside has at least these. */
#define MNT_BASE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

struct mnt_tmpfs {
	uint64_t bytes;
	uint64_t inodes;
	const char *mode; /* "0755" */
	unsigned attrs;   /* MOUNT_ATTR_*, beyond MNT_BASE */
};

/* All return a descriptor of a detached mount, O_CLOEXEC, or -errno with a sentence. */
int mnt_new_tmpfs(const struct mnt_tmpfs *t, struct err *err);
/* Any other filesystem type; 'opts' is a NULL-ended list of key, value pairs (value may be NULL).
 */
int mnt_new(const char *type, const char *const *opts, unsigned attrs, struct err *err);
/* A copy of the tree at 'path' below 'dirfd' ("" for dirfd itself), with all mounts below it and
 * with 'attrs' set on all of them. A symlink at the end is not followed. */
int mnt_clone(int dirfd, const char *path, unsigned attrs, struct err *err);
/* The same without attributes: in the namespaces of the caller as they are. */
int mnt_clone_plain(int dirfd, const char *path);

int mnt_set(int mnt_fd, unsigned attrs, struct err *err);
/* Show a detached mount with the ids of this user namespace. Linux 6.12 for FUSE; for root. */
int mnt_idmap(int mnt_fd, int userns_fd, struct err *err);
/* Put a detached mount onto an O_PATH descriptor. 'what' names it in errors. */
int mnt_move(int mnt_fd, int target_fd, const char *what, struct err *err);
/* Put a detached mount, of a directory or of something else, onto 'name' (made if it is missing) in
 * a directory that is ours alone so far. 'name' is one part of a path, so nothing is walked. */
int mnt_put(int mnt_fd, bool is_dir, int dir, const char *name, struct err *err);

/* Descriptor, as a target of mnt_move(), of a directory or file below 'root', made if it is
 * missing, parents too. */
int mnt_target_dir(int root, const char *path, struct err *err);
int mnt_target_file(int root, const char *path, struct err *err);
/* O_PATH descriptor of what is there; nothing is made. -errno only. */
int mnt_open_in(int root, const char *path);
/* O_PATH descriptor of a place of the host whose path was resolved before: a symlink anywhere in it
 * was put there since, and is refused. -errno only. */
int mnt_open_source(const char *path);
/* A whole small file, mode 0444, directly in 'dir'. */
int mnt_write_file(int dir, const char *name, const char *text, struct err *err);
/* A symlink, parents are made. */
int mnt_symlink(int root, const char *path, const char *to, struct err *err);

/* mnt_clone(AT_FDCWD, source) and mnt_move() onto the same place below 'root'. */
int mnt_show(int root, const char *source, const char *dest, unsigned attrs, struct err *err);
