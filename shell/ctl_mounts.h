/* The mounts of this program in our mount namespace, whether their daemon lives or not. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Called with each mount point, an absolute path, and the options of its filesystem; stops at the
 * first answer other than 0. */
typedef int mounts_fn(const char *point, const char *options, void *arg);

/* Returns the last answer of 'fn', 0 when there is none, or negative errno. */
int mounts_each(mounts_fn *fn, void *arg);
/* Is one mounted exactly there? */
bool mounts_has(const char *path);
/* Who mounted what is exactly there; our own effective uid when that cannot be told. */
uid_t mounts_owner(const char *path);
/* The path answers ENOTCONN: its daemon was killed. */
bool mounts_is_dead(const char *path);
/* Some process that uses 'dir' or something below it: "process 12 (bash): its working directory is
 * there". False when none can be seen (other users' are hidden from an unprivileged user). */
bool mounts_find_user(const char *dir, char *ret, size_t size);
