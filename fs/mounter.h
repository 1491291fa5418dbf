/* The process that puts the mounts on the host and takes them away.
 *
 * A fork of the daemon from before it has keys, threads or a filter: an ordinary user's mounts need
 * the setuid fusermount3, which a confined process could not use.  It does what it is told over its
 * socket; when that closes, which the kernel does even if the daemon is killed, it takes away what
 * still stands, so that no dead mount is left behind. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

enum { MOUNTER_DATASETS, MOUNTER_WORKSPACE, MOUNTER_COUNT };

struct mounter {
	int sock;
	pid_t pid;
};

/* Before confinement. 'foreground': fusermount3 may talk to stderr. */
int mounter_start(bool foreground, struct mounter *ret, struct err *err);
/* Mount DIR/datasets (read-only) or DIR/workspace; the subdirectory is made if it is missing.
 * The descriptor of /dev/fuse comes back with the mount's st_dev; nobody serves it yet. */
int mounter_mount(struct mounter *m, int which, const char *dir, int *ret_fuse, uint64_t *ret_dev,
		  struct err *err);
/* Take away all mounts, lazily, and the subdirectories that were made. */
void mounter_umount(struct mounter *m);
/* Somebody else took them away: remove the subdirectories that were made. */
void mounter_forget(struct mounter *m);
/* Have the kernel write what it holds of the mounted workspace: on the host, or of the private
 * mount in these namespaces (else -1).  Returns a descriptor that reads end of file once all of
 * that is on its way to us (caller closes), or negative errno.  May be called on any thread. */
int mounter_sync(const struct mounter *m, int userns_fd, int mntns_fd);
/* End it (mounts that stand are taken away) and wait. */
void mounter_end(struct mounter *m);
