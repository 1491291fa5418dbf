/* The root inside: built from an empty tmpfs, detached from the host's when it is complete. */
#pragma once

#include "sandbox/enter.h"

struct err;

/* The tmpfs whose use counts as memory, for hosts where memory is polled. */
enum { ROOTFS_TMP, ROOTFS_SHM, ROOTFS_HOME, ROOTFS_NTMPFS };

/* Mounts private, an empty root made and filled with everything but /dev, /proc and /sys.
 * Returns the root's descriptor.  'ret_tmpfs' gets descriptors of the tmpfs, -1 where there is
 * none. The caller is in its own user and mount namespace, with ids mapped. */
int rootfs_build(const struct enter *e, int ret_tmpfs[ROOTFS_NTMPFS], struct err *err);
/* Read-only, pivot, old root gone, cwd checked to be inside. */
int rootfs_pivot(int root, struct err *err);
