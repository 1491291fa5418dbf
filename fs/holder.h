/* U1: the user and mount namespace of a workspace, with the two mounts and nothing of the host in
 * it.
 *
 * A child makes it, so that the daemon stays where it is: unshare, maps written by the daemon, an
 * empty tmpfs as root, /dev/fuse opened inside (the kernel wants the mount and the opening in one
 * user namespace), mounts on /datasets and /workspace, the old root cut off.  It sends the
 * descriptors and ends; the descriptors keep U1 alive, so U1 dies with the daemon.
 *
 * The child is this program anew (exec): it shares no memory with the keys, and it may be
 * dumpable, which writing its maps needs. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct err;

struct holder_result {
	int fuse_fd[2];  /* datasets, workspace */
	uint64_t dev[2]; /* their st_dev */
	int userns_fd, mntns_fd;
};

/* 'second' is 0, or the host id that shall be 1000 inside (as root). */
int holder_make(uid_t second, struct holder_result *ret, struct err *err);
/* The child's side: "sbxfsd holder", descriptor 3 is its socket. */
int holder_main(void);
