/* FUSE passthrough (Linux 6.9): the kernel reads an open file of a mount from a file of the host,
 * and we see no READ.  Only for a daemon with CAP_SYS_ADMIN in the first user namespace; for a
 * mount without cached writes; and not when the host's file is itself on a stack of filesystems too
 * deep.
 *
 * An inode has one mode for as long as it is open, or the kernel answers EIO (fs/fuse/iomode.c):
 * the first open decides, the others follow, after the last close it may be different. Thread-safe.
 * Source: Documentation/filesystems/fuse/fuse-passthrough.rst of Linux. */
#pragma once

#include <stdint.h>

struct passthrough;

/* 'fuse_fd': the connection, borrowed. */
int passthrough_new(int fuse_fd, struct passthrough **ret);
void passthrough_free(struct passthrough *p);
/* Node 'nodeid' is being opened, and 'fd' (open for reading) has its content.  '*ret_id' > 0: the
 * backing id for the reply; 0: this inode is read through us.  Each success needs a close.
 * -ENOMEM. */
int passthrough_open(struct passthrough *p, uint64_t nodeid, int fd, int32_t *ret_id);
void passthrough_close(struct passthrough *p, uint64_t nodeid);
