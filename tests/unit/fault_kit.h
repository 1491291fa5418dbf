/* Faults on demand: the calls of the C library that change files are ours here, and the n-th of
 * them fails.  What is counted is what happens while 'armed', by any thread. */
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

enum fault_mode {
	FAULT_ONCE, /* this call, no other */
	FAULT_CUT,  /* a write stops half-way, and its rest fails */
	FAULT_FULL, /* this and, from then on, whatever may need space */
	FAULT_DEAD, /* this and whatever comes after it */
	FAULT_MODES
};

static struct {
	bool armed;
	enum fault_mode mode;
	unsigned at; /* the number of the call that fails; 0: none */
	int code;    /* the errno */
	unsigned count;
	bool fired;
	const char *what; /* the call that failed first */
	int fd;           /* what it wrote to, if it was a write */
	ino_t ino;        /* the inode of that */
} fault;

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void fault_arm(enum fault_mode mode, unsigned at, int code)
{
	fault.armed = true;
	fault.mode = mode;
	fault.at = at;
	fault.code = code;
	fault.count = 0;
	fault.fired = false;
	fault.what = "";
	fault.fd = -1;
	fault.ino = 0;
}

static inline void fault_disarm(void)
{
	fault.armed = false;
}

static inline void fault_fire(const char *what)
{
	struct stat st;

	fault.fired = true;
	fault.what = what;
	if (fault.fd >= 0 && fstat(fault.fd, &st) == 0)
		fault.ino = st.st_ino;
}

/* One call that changes something: shall it fail? 'takes': it may need space. */
static inline bool fault_now(const char *what, bool takes)
{
	bool hit;

	if (!fault.armed)
		return false;
	pthread_mutex_lock(&fault_lock);
	fault.count++;
	if (fault.fired)
		hit = fault.mode == FAULT_DEAD || (fault.mode == FAULT_FULL && takes) ||
		      (fault.mode == FAULT_CUT && fault.count == fault.at);
	else if (fault.mode == FAULT_FULL)
		hit = fault.at > 0 && fault.count >= fault.at && takes;
	else
		hit = fault.count == fault.at;
	if (hit && !fault.fired)
		fault_fire(what);
	pthread_mutex_unlock(&fault_lock);
	if (hit)
		errno = fault.code;
	return hit;
}

#define FAULT_CALL(name, takes, call)                                                              \
	do {                                                                                       \
		if (fault_now(name, takes))                                                        \
			return -1;                                                                 \
		return (int)(call);                                                                \
	} while (0)

int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
		if (fault_now("openat", true))
			return -1;
	}
	return (int)syscall(SYS_openat, dirfd, name, flags | O_LARGEFILE, mode);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	FAULT_CALL("mkdirat", true, syscall(SYS_mkdirat, dirfd, name, mode));
}

int symlinkat(const char *target, int dirfd, const char *name)
{
	FAULT_CALL("symlinkat", true, syscall(SYS_symlinkat, target, dirfd, name));
}

int mknodat(int dirfd, const char *name, mode_t mode, dev_t dev)
{
	FAULT_CALL("mknodat", true, syscall(SYS_mknodat, dirfd, name, mode, (unsigned)dev));
}

int linkat(int from, const char *old, int dirfd, const char *name, int flags)
{
	FAULT_CALL("linkat", true, syscall(SYS_linkat, from, old, dirfd, name, flags));
}

int unlinkat(int dirfd, const char *name, int flags)
{
	FAULT_CALL("unlinkat", false, syscall(SYS_unlinkat, dirfd, name, flags));
}

int renameat2(int from, const char *old, int to, const char *name, unsigned flags)
{
	FAULT_CALL("renameat2", true, syscall(SYS_renameat2, from, old, to, name, flags));
}

int renameat(int from, const char *old, int to, const char *name)
{
	FAULT_CALL("renameat", true, syscall(SYS_renameat2, from, old, to, name, 0));
}

int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	FAULT_CALL("fsetxattr", true, syscall(SYS_fsetxattr, fd, name, value, len, flags));
}

int fremovexattr(int fd, const char *name)
{
	FAULT_CALL("fremovexattr", false, syscall(SYS_fremovexattr, fd, name));
}

int fchmod(int fd, mode_t mode)
{
	FAULT_CALL("fchmod", false, syscall(SYS_fchmod, fd, mode));
}

int fchmodat(int dirfd, const char *name, mode_t mode, int flags)
{
	static int (*real)(int, const char *, mode_t, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fchmodat");
	FAULT_CALL("fchmodat", false, real(dirfd, name, mode, flags));
}

int fchown(int fd, uid_t uid, gid_t gid)
{
	FAULT_CALL("fchown", false, syscall(SYS_fchown, fd, uid, gid));
}

int fchownat(int dirfd, const char *name, uid_t uid, gid_t gid, int flags)
{
	FAULT_CALL("fchownat", false, syscall(SYS_fchownat, dirfd, name, uid, gid, flags));
}

int futimens(int fd, const struct timespec ts[2])
{
	FAULT_CALL("futimens", false, syscall(SYS_utimensat, fd, NULL, ts, 0));
}

int utimensat(int dirfd, const char *name, const struct timespec ts[2], int flags)
{
	FAULT_CALL("utimensat", false, syscall(SYS_utimensat, dirfd, name, ts, flags));
}

int ftruncate64(int fd, off64_t len)
{
	FAULT_CALL("ftruncate", true, syscall(SYS_ftruncate, fd, len));
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	FAULT_CALL("fallocate", true, syscall(SYS_fallocate, fd, mode, off, len));
}

/* What is at stake here is what a sync answers, not what it does: memory is as good as a disk. */
int fsync(int fd)
{
	FAULT_CALL("fsync", false, 0);
}

int fdatasync(int fd)
{
	FAULT_CALL("fdatasync", false, 0);
}

int syncfs(int fd)
{
	FAULT_CALL("syncfs", false, 0);
}

/* How many bytes of a write may go out: 'len', less, or -1. */
static inline ssize_t fault_write(const char *what, int fd, size_t len)
{
	ssize_t n = (ssize_t)len;

	fault.fd = fd;
	if (fault.armed && fault.mode == FAULT_CUT && !fault.fired && fault.count + 1 == fault.at &&
	    len > 1) {
		fault.count++;
		fault.at++; /* the rest of it */
		fault_fire(what);
		n = (ssize_t)(len / 2);
	} else if (fault_now(what, true)) {
		n = -1;
	}
	fault.fd = -1;
	return n;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	ssize_t n = fault_write("pwrite", fd, len);

	return n < 0 ? -1 : syscall(SYS_pwrite64, fd, buf, n, off);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t off)
{
	ssize_t done = 0, left;
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	left = fault_write("pwritev", fd, len);
	if (left < 0)
		return -1;
	for (int i = 0; i < n && left > 0; i++) {
		size_t part = iov[i].iov_len < (size_t)left ? iov[i].iov_len : (size_t)left;
		ssize_t w = syscall(SYS_pwrite64, fd, iov[i].iov_base, part, off + done);

		if (w < 0)
			return -1;
		done += w;
		left -= w;
	}
	return done;
}

ssize_t write(int fd, const void *buf, size_t len)
{
	struct stat st;
	ssize_t n = (ssize_t)len;

	if (fault.armed && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		n = fault_write("write", fd, len);
	return n < 0 ? -1 : syscall(SYS_write, fd, buf, n);
}
