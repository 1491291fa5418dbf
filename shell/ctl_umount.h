/* Taking the host mounts of a workspace away, whether its daemon lives or not. */
#pragma once

#include <stdbool.h>

struct err;

/* The directory under which a workspace is mounted, for what a person typed: an absolute path
 * (heap, caller frees), one level up when that was one of the two mounts. -EINVAL when nothing of
 * ours is there. */
int umount_resolve(const char *typed, char **ret, struct err *err);
/* Unmount dir/workspace and dir/datasets and wait until the daemon has everything on disk and the
 * lock is released.  A mount that is in use stays, with a sentence that says by whom (-EBUSY),
 * unless 'lazy'. *ret_still (may be NULL): sessions keep the daemon running; the data are on disk.
 */
int umount_dir(const char *dir, bool lazy, bool *ret_still, struct err *err);
