/* Loaded into sbxfsd by LD_PRELOAD for the power cut tests: every change of files goes through here
 * and is written down, under one lock, so that the order in the trace is the order on the disk.
 * Syncs have a beginning and an end and run without the lock, as changes may happen meanwhile.
 *
 * The trace is mapped before the daemon confines itself; afterwards nothing is called that it does
 * not call itself. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/crash/trace.h"

#define SHOWN __attribute__((visibility("default")))
#define REAL(ret, name, ...)                                                                       \
	static ret (*real)(__VA_ARGS__);                                                           \
	if (!real)                                                                                 \
	*(void **)&real = dlsym(RTLD_NEXT, name)

static struct trace_head *head;
static uint64_t room;
static bool own; /* TRACE_OWN_ENV, as the daemon may clear its environment */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Helpers of the daemon change nothing in the store, and have a lock of their own. */
static void in_child(void)
{
	head = NULL;
}

static __attribute__((constructor)) void start(void)
{
	const char *path = getenv(TRACE_ENV);
	struct stat st;
	void *map;
	int fd;

	if (!path || strcmp(program_invocation_short_name, "sbxfsd") != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= TRACE_START)
		return;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	own = getenv(TRACE_OWN_ENV) != NULL;
	head = map;
	room = (uint64_t)st.st_size - TRACE_START;
	head->magic = TRACE_MAGIC;
	pthread_atfork(NULL, NULL, in_child);
}

static void *put(void *at, const void *what, size_t len)
{
	if (len)
		memcpy(at, what, len);
	return (char *)at + len;
}

/* Under the lock. Returns the number of the record. */
static uint64_t record(struct trace_rec r, const char *name, const char *name2, const void *data,
		       size_t len)
{
	uint64_t used = atomic_load(&head->used), number = atomic_load(&head->count);
	size_t n1 = name ? strlen(name) : 0, n2 = name2 ? strlen(name2) : 0;
	uint64_t size = (sizeof(r) + n1 + n2 + 2 + len + 7) & ~UINT64_C(7);
	char *at = (char *)head + TRACE_START + used;

	if (used + size > room) {
		atomic_fetch_add(&head->lost, 1);
		return number;
	}
	r.size = (uint32_t)size;
	r.name_len = (uint16_t)n1;
	r.name2_len = (uint16_t)n2;
	r.data_len = (uint32_t)len;
	r.tid = (uint32_t)syscall(SYS_gettid);
	at = put(at, &r, sizeof(r));
	at = put(at, name ? name : "", n1 + 1);
	at = put(at, name2 ? name2 : "", n2 + 1);
	put(at, data, len);
	atomic_store(&head->used, used + size);
	atomic_store(&head->count, number + 1);
	return number;
}

static uint64_t ino_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static uint64_t ino_at(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

/* Only names below an open directory: so the store is changed, and nothing else matters. */
static bool counts(int dirfd, const char *name)
{
	return head && dirfd >= 0 && !strchr(name, '/');
}

static void begin(void)
{
	if (head)
		pthread_mutex_lock(&lock);
}

static void end(void)
{
	int e = errno;

	if (head)
		pthread_mutex_unlock(&lock);
	errno = e;
}

/* -- data ----------------------------------------------------------------- */

static void record_write(int fd, const struct iovec *iov, int n, off_t off, ssize_t done)
{
	struct trace_rec r = { .kind = TRACE_WRITE, .ino = ino_of(fd) };

	for (int i = 0; i < n && done > 0; i++) {
		size_t len = iov[i].iov_len < (size_t)done ? iov[i].iov_len : (size_t)done;

		r.off = (uint64_t)off;
		r.len = len;
		record(r, NULL, NULL, iov[i].iov_base, len);
		off += (off_t)len;
		done -= (ssize_t)len;
	}
}

SHOWN ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
	struct iovec iov = { (void *)buf, len };
	ssize_t done;

	begin();
	done = real(fd, buf, len, off);
	if (head && done > 0)
		record_write(fd, &iov, 1, off, done);
	end();
	return done;
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
	ssize_t done;

	begin();
	done = real(fd, iov, n, off);
	if (head && done > 0)
		record_write(fd, iov, n, off, done);
	end();
	return done;
}

/* Settings and keys are written with it; so are sockets and pipes, which are no files. */
SHOWN ssize_t write(int fd, const void *buf, size_t len)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	struct iovec iov = { (void *)buf, len };
	struct stat st;
	ssize_t done;
	off_t off;

	if (!head || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return real(fd, buf, len);
	begin();
	off = lseek(fd, 0, SEEK_CUR);
	done = real(fd, buf, len);
	if (done > 0 && off >= 0)
		record_write(fd, &iov, 1, off, done);
	end();
	return done;
}

SHOWN int ftruncate64(int fd, off64_t len)
{
	REAL(int, "ftruncate64", int, off64_t);
	int r;

	begin();
	r = real(fd, len);
	if (head && r == 0)
		record((struct trace_rec){ .kind = TRACE_TRUNCATE,
					   .ino = ino_of(fd),
					   .len = (uint64_t)len },
		       NULL, NULL, NULL, 0);
	end();
	return r;
}

SHOWN int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	REAL(int, "fallocate64", int, int, off64_t, off64_t);
	int r;

	begin();
	r = real(fd, mode, off, len);
	if (head && r == 0)
		record((struct trace_rec){ .kind = TRACE_FALLOCATE,
					   .ino = ino_of(fd),
					   .arg = (uint32_t)mode,
					   .off = (uint64_t)off,
					   .len = (uint64_t)len },
		       NULL, NULL, NULL, 0);
	end();
	return r;
}

/* Ways of writing that the daemon does not use: if that changes, the tests must learn them. */
#define UNKNOWN_WRITE(name, ...)                                                                   \
	SHOWN ssize_t name(__VA_ARGS__)                                                            \
	{                                                                                          \
		if (head)                                                                          \
			atomic_fetch_add(&head->lost, 1);                                          \
		errno = ENOSYS;                                                                    \
		return -1;                                                                         \
	}
UNKNOWN_WRITE(pwritev64v2, int fd, const struct iovec *iov, int n, off64_t off, int flags)
UNKNOWN_WRITE(copy_file_range, int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
	      unsigned int flags)

/* -- syncs ---------------------------------------------------------------- */

static int sync_by(int (*real)(int), int fd, enum trace_sync how)
{
	struct trace_rec r = { .kind = TRACE_SYNC, .arg = how };
	int result;

	if (!head)
		return real(fd);
	r.ino = ino_of(fd);
	pthread_mutex_lock(&lock);
	r.off = record(r, NULL, NULL, NULL, 0);
	pthread_mutex_unlock(&lock);
	result = real(fd);
	r.kind = TRACE_SYNCED;
	begin();
	if (result == 0)
		record(r, NULL, NULL, NULL, 0);
	end();
	return result;
}

SHOWN int fsync(int fd)
{
	REAL(int, "fsync", int);
	return sync_by(real, fd, SYNC_FULL);
}

SHOWN int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);
	return sync_by(real, fd, SYNC_DATA);
}

SHOWN int syncfs(int fd)
{
	REAL(int, "syncfs", int);
	return sync_by(real, fd, SYNC_FS);
}

/* -- names ---------------------------------------------------------------- */

static void record_name(enum trace_kind kind, int dirfd, const char *name, uint64_t ino,
			uint32_t arg, const char *target)
{
	record(
		(struct trace_rec){
			.kind = (uint16_t)kind, .dir = ino_of(dirfd), .ino = ino, .arg = arg },
		name, NULL, target, target ? strlen(target) : 0);
}

SHOWN int openat64(int dirfd, const char *name, int flags, ...)
{
	REAL(int, "openat64", int, const char *, int, ...);
	bool made = (flags & O_CREAT) && (flags & O_EXCL);
	bool nameless = (flags & O_TMPFILE) == O_TMPFILE;
	mode_t mode = 0;
	va_list ap;
	int fd;

	if (flags & O_CREAT || nameless) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (!(made || nameless) || !counts(dirfd, name))
		return real(dirfd, name, flags, mode);
	begin();
	fd = real(dirfd, name, flags, mode);
	if (fd >= 0)
		record_name(TRACE_CREATE, dirfd, nameless ? "" : name, ino_of(fd), mode, NULL);
	end();
	return fd;
}

SHOWN int mkdirat(int dirfd, const char *name, mode_t mode)
{
	REAL(int, "mkdirat", int, const char *, mode_t);
	int r;

	begin();
	r = real(dirfd, name, mode);
	if (r == 0 && counts(dirfd, name))
		record_name(TRACE_MKDIR, dirfd, name, ino_at(dirfd, name), mode, NULL);
	end();
	return r;
}

SHOWN int symlinkat(const char *target, int dirfd, const char *name)
{
	REAL(int, "symlinkat", const char *, int, const char *);
	int r;

	begin();
	r = real(target, dirfd, name);
	if (r == 0 && counts(dirfd, name))
		record_name(TRACE_SYMLINK, dirfd, name, ino_at(dirfd, name), 0, target);
	end();
	return r;
}

SHOWN int mknodat(int dirfd, const char *name, mode_t mode, dev_t dev)
{
	REAL(int, "mknodat", int, const char *, mode_t, dev_t);
	int r;

	begin();
	r = real(dirfd, name, mode, dev);
	if (r == 0 && counts(dirfd, name))
		record_name(TRACE_MKNOD, dirfd, name, ino_at(dirfd, name), mode, NULL);
	end();
	return r;
}

SHOWN int linkat(int from, const char *old, int dirfd, const char *name, int flags)
{
	REAL(int, "linkat", int, const char *, int, const char *, int);
	int r;

	begin();
	r = real(from, old, dirfd, name, flags);
	if (r == 0 && counts(dirfd, name))
		record_name(TRACE_LINK, dirfd, name, ino_at(dirfd, name), 0, NULL);
	end();
	return r;
}

SHOWN int unlinkat(int dirfd, const char *name, int flags)
{
	REAL(int, "unlinkat", int, const char *, int);
	uint64_t ino = 0;
	int r;

	begin();
	if (counts(dirfd, name))
		ino = ino_at(dirfd, name);
	r = real(dirfd, name, flags);
	if (r == 0 && counts(dirfd, name))
		record_name(TRACE_UNLINK, dirfd, name, ino, (uint32_t)flags, NULL);
	end();
	return r;
}

SHOWN int renameat2(int from, const char *old, int to, const char *name, unsigned flags)
{
	REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
	int r;

	begin();
	r = real(from, old, to, name, flags);
	if (r == 0 && counts(from, old) && counts(to, name))
		record((struct trace_rec){ .kind = TRACE_RENAME,
					   .dir = ino_of(from),
					   .dir2 = ino_of(to),
					   .arg = flags },
		       old, name, NULL, 0);
	end();
	return r;
}

SHOWN int renameat(int from, const char *old, int to, const char *name)
{
	return renameat2(from, old, to, name, 0);
}

/* The daemon shall do what it does where each inode is synced on its own. */
SHOWN int fstatfs64(int fd, struct statfs64 *sf)
{
	REAL(int, "fstatfs64", int, struct statfs64 *);
	int r = real(fd, sf);

	if (r == 0 && head && own)
		sf->f_type = BTRFS_SUPER_MAGIC;
	return r;
}

/* -- attributes ----------------------------------------------------------- */

static void record_attr(enum trace_kind kind, uint64_t ino, uint32_t arg, const char *name,
			const void *value, size_t len)
{
	record((struct trace_rec){ .kind = (uint16_t)kind, .ino = ino, .arg = arg }, name, NULL,
	       value, len);
}

SHOWN int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	REAL(int, "fsetxattr", int, const char *, const void *, size_t, int);
	int r;

	begin();
	r = real(fd, name, value, len, flags);
	if (head && r == 0)
		record_attr(TRACE_SETXATTR, ino_of(fd), 0, name, value, len);
	end();
	return r;
}

SHOWN int fremovexattr(int fd, const char *name)
{
	REAL(int, "fremovexattr", int, const char *);
	int r;

	begin();
	r = real(fd, name);
	if (head && r == 0)
		record_attr(TRACE_RMXATTR, ino_of(fd), 0, name, NULL, 0);
	end();
	return r;
}

SHOWN int fchmod(int fd, mode_t mode)
{
	REAL(int, "fchmod", int, mode_t);
	int r;

	begin();
	r = real(fd, mode);
	if (head && r == 0)
		record_attr(TRACE_CHMOD, ino_of(fd), mode, NULL, NULL, 0);
	end();
	return r;
}

SHOWN int fchmodat(int dirfd, const char *name, mode_t mode, int flags)
{
	REAL(int, "fchmodat", int, const char *, mode_t, int);
	int r;

	begin();
	r = real(dirfd, name, mode, flags);
	if (r == 0 && counts(dirfd, name))
		record_attr(TRACE_CHMOD, ino_at(dirfd, name), mode, NULL, NULL, 0);
	end();
	return r;
}
