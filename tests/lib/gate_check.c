/* Linked into tests, and with -Dgate_check=true into sbxfsd: no change of a store goes by the gate
 * of fs/gate.c.  The linker (--wrap) puts these functions in the place of the system's.
 *
 *   names, modes, owners, times, attributes   only between store_begin_change() and _end_change()
 *                                             of the same thread
 *   contents                                  only while the state on disk says "not clean", and
 *                                             marks the inode (fs/marks.h)
 *
 * A violation ends the process with a line that names the call. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fs/log_codec.h"
#include "fs/store_priv.h"

#define STORES 64

static struct known {
	struct store *s;
	char path[PATH_MAX];
} known[STORES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local unsigned depth;

static bool place_of(int fd, char path[static PATH_MAX])
{
	char proc[64];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void know(struct store *s)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < STORES; i++) {
		if (!known[i].s && place_of(store_dirfd(s), known[i].path)) {
			known[i].s = s;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static void forget(const struct store *s)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < STORES; i++) {
		if (known[i].s == s)
			known[i].s = NULL;
	}
	pthread_mutex_unlock(&lock);
}

static void die(const char *call, const char *path, const char *why)
{
	fprintf(stderr, "gate: %s on %s: %s\n", call, path, why);
	fflush(stderr);
	abort();
}

/* The states, and the tables that they name, are written while it is shut. */
static bool is_state(const struct store *s, off_t off)
{
	return off < (off_t)(LOG_RING_AT * LOG_PAGE) ||
	       off >= (off_t)(LOG_RING_AT + s->log.ring) * (off_t)LOG_PAGE;
}

/* 'ino', if not 0, of a file whose content is written; 'off' where. */
static void check(const char *call, int fd, bool name, uint64_t ino, off_t off)
{
	char path[PATH_MAX];
	int e = errno;

	if (!place_of(fd, path))
		path[0] = '\0';
	pthread_mutex_lock(&lock);
	for (int i = 0; i < STORES; i++) {
		size_t len = known[i].s ? strlen(known[i].path) : 0;
		bool in = len && strncmp(path, known[i].path, len) == 0 &&
			  (path[len] == '/' || path[len] == '\0');

		if (!in)
			continue;
		if (name && depth == 0)
			die(call, path, "not within a change");
		if (strcmp(path + len, "/log") == 0 && is_state(known[i].s, off))
			continue;
		if (atomic_load(&known[i].s->shut))
			die(call, path, "the state on disk says clean");
		if (ino && strncmp(path + len, "/t/", 3) == 0 && !marks_has(known[i].s, ino))
			die(call, path, "the state on disk does not mark it");
	}
	pthread_mutex_unlock(&lock);
	errno = e;
}

/* In place of an offset: the times, which also what brings contents home puts back. */
#define TIMES (-1)

/* What has no name is gone after a crash. */
static void check_content(const char *call, int fd, off_t off)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		st = (struct stat){ .st_nlink = 1 };
	if (st.st_nlink > 0)
		check(call, fd, false, off == TIMES ? 0 : st.st_ino, off);
}

/* -- the store ------------------------------------------------------------ */

struct err;
int __real_store_open(int fd, const struct store_params *p, struct store **ret, struct err *err);
int __wrap_store_open(int fd, const struct store_params *p, struct store **ret, struct err *err);
int __real_store_close(struct store *s, struct err *err);
int __wrap_store_close(struct store *s, struct err *err);
void __real_store_abandon(struct store *s);
void __wrap_store_abandon(struct store *s);
int __real_store_begin_change(struct store *s);
int __wrap_store_begin_change(struct store *s);
int __real_store_begin_change_of(struct store *s, uint64_t ino);
int __wrap_store_begin_change_of(struct store *s, uint64_t ino);
void __real_store_end_change(struct store *s);
void __wrap_store_end_change(struct store *s);

int __wrap_store_open(int fd, const struct store_params *given, struct store **ret, struct err *err)
{
	struct store_params p = *given;
	int r;

#ifdef GATE_IDLE_MS
	p.idle_ms = GATE_IDLE_MS;
#endif
	r = __real_store_open(fd, &p, ret, err);
	/* The check of a store that nobody serves has no gate: what it removes, nobody counts. */
	if (r == 0 && !p.inspect)
		know(*ret);
	return r;
}

int __wrap_store_close(struct store *s, struct err *err)
{
	forget(s);
	return __real_store_close(s, err);
}

void __wrap_store_abandon(struct store *s)
{
	forget(s);
	__real_store_abandon(s);
}

int __wrap_store_begin_change(struct store *s)
{
	int r = __real_store_begin_change(s);

	depth += r == 0;
	return r;
}

int __wrap_store_begin_change_of(struct store *s, uint64_t ino)
{
	int r = __real_store_begin_change_of(s, ino);

	depth += r == 0;
	return r;
}

void __wrap_store_end_change(struct store *s)
{
	depth--;
	__real_store_end_change(s);
}

/* -- the system's --------------------------------------------------------- */

#define NAME_CALL(name, params, args, fd)                                                          \
	int __real_##name params;                                                                  \
	int __wrap_##name params;                                                                  \
	int __wrap_##name params                                                                   \
	{                                                                                          \
		check(#name, fd, true, 0, 0);                                                      \
		return __real_##name args;                                                         \
	}

#define CONTENT_CALL(ret, name, params, args, off)                                                 \
	ret __real_##name params;                                                                  \
	ret __wrap_##name params;                                                                  \
	ret __wrap_##name params                                                                   \
	{                                                                                          \
		check_content(#name, fd, off);                                                     \
		return __real_##name args;                                                         \
	}

NAME_CALL(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), fd)
NAME_CALL(mknodat, (int fd, const char *path, mode_t mode, dev_t dev), (fd, path, mode, dev), fd)
NAME_CALL(symlinkat, (const char *to, int fd, const char *path), (to, fd, path), fd)
NAME_CALL(linkat, (int old, const char *from, int fd, const char *path, int flags),
	  (old, from, fd, path, flags), fd)
NAME_CALL(unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd)
NAME_CALL(renameat2, (int old, const char *from, int fd, const char *path, unsigned flags),
	  (old, from, fd, path, flags), fd)
NAME_CALL(fsetxattr, (int fd, const char *name, const void *value, size_t len, int flags),
	  (fd, name, value, len, flags), fd)
NAME_CALL(fremovexattr, (int fd, const char *name), (fd, name), fd)
NAME_CALL(fchmod, (int fd, mode_t mode), (fd, mode), fd)
NAME_CALL(fchmodat, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags), fd)
NAME_CALL(fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), fd)
NAME_CALL(fchownat, (int fd, const char *path, uid_t uid, gid_t gid, int flags),
	  (fd, path, uid, gid, flags), fd)
NAME_CALL(utimensat, (int fd, const char *path, const struct timespec ts[2], int flags),
	  (fd, path, ts, flags), fd)

CONTENT_CALL(int, futimens, (int fd, const struct timespec ts[2]), (fd, ts), TIMES)
CONTENT_CALL(ssize_t, pwrite64, (int fd, const void *buf, size_t len, off_t off),
	     (fd, buf, len, off), off)
CONTENT_CALL(ssize_t, pwritev64, (int fd, const struct iovec *iov, int n, off_t off),
	     (fd, iov, n, off), off)
CONTENT_CALL(int, ftruncate64, (int fd, off_t len), (fd, len), INT64_MAX)
CONTENT_CALL(int, fallocate64, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len),
	     INT64_MAX)

int __real_openat64(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *path, int flags, mode_t mode);

int __wrap_openat64(int fd, const char *path, int flags, mode_t mode)
{
	if (flags & O_CREAT)
		check("openat", fd, true, 0, 0);
	return __real_openat64(fd, path, flags, mode);
}
