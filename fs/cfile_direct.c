/* Large reads of what is not in memory yet, past the page cache of the backing filesystem.
 *
 * The kernel keeps the plaintext, in the page cache of our mount.  Ciphertext kept beside it would
 * take the same memory again, and cost an allocation and a copy for every page on its way.  What is
 * in the cache already, because it was just written or read, is read from there: cachestat(2) tells
 * which it is.  Without that call (before Linux 6.5) or where the backing refuses O_DIRECT, all
 * goes through the cache.  Linux that new also keeps the pages of a running direct read apart from
 * those of a child that is forked meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/cfile_priv.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on all architectures */
#endif

/* As in include/uapi/linux/mman.h, which is newer than the headers of some distributions. */
struct extent {
	uint64_t off, len;
};
struct cached {
	uint64_t cache, dirty, writeback, evicted, recently_evicted;
};

/* Smaller reads gain by the read-ahead of the backing. */
#define DIRECT_MIN (256u << 10)
/* As many cached pages, of each hundred, do not matter; a dirty one does: it would be written out.
 */
#define CACHED_PERCENT 10u

static bool is_cold(int fd, uint64_t off, uint64_t len)
{
	struct extent e = { off, len };
	struct cached c = { 0 };

	return syscall(SYS_cachestat, fd, &e, &c, 0) == 0 && c.dirty == 0 && c.writeback == 0 &&
	       c.cache * BLOCK_SIZE * 100 <= len * CACHED_PERCENT;
}

static bool is_aligned(const struct iovec *iov, int n)
{
	for (int i = 0; i < n; i++) {
		if ((uintptr_t)iov[i].iov_base % BLOCK_SIZE || iov[i].iov_len % BLOCK_SIZE)
			return false;
	}
	return true;
}

/* Opened once; several readers may come at once, and one of them wins. */
static int direct_fd(struct cfile *f)
{
	int fd = atomic_load(&f->direct_fd), none = DIRECT_NONE;
	char path[64];

	if (fd != DIRECT_NONE)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		fd = DIRECT_REFUSED;
	if (atomic_compare_exchange_strong(&f->direct_fd, &none, fd))
		return fd;
	if (fd >= 0)
		close(fd);
	return none;
}

bool cfile_read_direct(struct cfile *f, const struct iovec *iov, int n, size_t len, uint64_t off)
{
	int fd;

	if (len < DIRECT_MIN || !is_aligned(iov, n) || !is_cold(f->fd, off, len))
		return false;
	fd = direct_fd(f);
	/* What fails or is cut short is read again through the cache, which says why. */
	return fd >= 0 && preadv(fd, iov, n, (off_t)off) == (ssize_t)len;
}
