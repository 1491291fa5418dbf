#include "fs/store_io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static ssize_t sys_pwritev(void *ctx, int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	return iovcnt == 1 ? pwrite(fd, iov->iov_base, iov->iov_len, off)
			   : pwritev(fd, iov, iovcnt, off);
}

static int sys_fdatasync(void *ctx, int fd)
{
	return fdatasync(fd);
}

static int sys_fsync(void *ctx, int fd)
{
	return fsync(fd);
}

static int sys_syncfs(void *ctx, int fd)
{
	return syncfs(fd);
}

static int sys_ftruncate(void *ctx, int fd, off_t len)
{
	return ftruncate(fd, len);
}

static int sys_fallocate(void *ctx, int fd, int mode, off_t off, off_t len)
{
	return fallocate(fd, mode, off, len);
}

const struct store_io store_io_system = {
	.pwritev = sys_pwritev,
	.fdatasync = sys_fdatasync,
	.fsync = sys_fsync,
	.syncfs = sys_syncfs,
	.ftruncate = sys_ftruncate,
	.fallocate = sys_fallocate,
};

int sio_pwritev(const struct store_io *io, int fd, struct iovec *iov, int iovcnt, uint64_t off,
		uint64_t *ret_done)
{
	uint64_t done = 0;
	int r = 0;

	while (iovcnt > 0) {
		ssize_t n = io->pwritev(io->ctx, fd, iov, iovcnt, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : -EIO;
			break;
		}
		done += (uint64_t)n;
		while (iovcnt > 0 && (size_t)n >= iov->iov_len) {
			n -= (ssize_t)iov->iov_len;
			iov++;
			iovcnt--;
		}
		if (iovcnt > 0) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
		}
	}
	if (ret_done)
		*ret_done = done;
	return r;
}

int sio_pwrite(const struct store_io *io, int fd, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };

	return len == 0 ? 0 : sio_pwritev(io, fd, &iov, 1, off, NULL);
}

static int result(int r)
{
	return r < 0 ? -errno : 0;
}

int sio_fdatasync(const struct store_io *io, int fd)
{
	return result(io->fdatasync(io->ctx, fd));
}

int sio_fsync(const struct store_io *io, int fd)
{
	return result(io->fsync(io->ctx, fd));
}

int sio_syncfs(const struct store_io *io, int fd)
{
	return result(io->syncfs(io->ctx, fd));
}

int sio_ftruncate(const struct store_io *io, int fd, uint64_t len)
{
	return result(io->ftruncate(io->ctx, fd, (off_t)len));
}

int sio_fallocate(const struct store_io *io, int fd, int mode, uint64_t off, uint64_t len)
{
	return result(io->fallocate(io->ctx, fd, mode, (off_t)off, (off_t)len));
}
