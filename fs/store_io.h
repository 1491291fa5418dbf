/* Every change of the store's files goes through this table, so that a test can record the writes
 * and build what a power cut would leave.  Reads do not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct store_io {
	void *ctx;
	/* As the system calls: -1 and errno on failure. */
	ssize_t (*pwritev)(void *ctx, int fd, const struct iovec *iov, int iovcnt, off_t off);
	int (*fdatasync)(void *ctx, int fd);
	int (*fsync)(void *ctx, int fd);
	int (*syncfs)(void *ctx, int fd);
	int (*ftruncate)(void *ctx, int fd, off_t len);
	int (*fallocate)(void *ctx, int fd, int mode, off_t off, off_t len);

	/* NULL, but for a test that made the store again elsewhere, from a record of its life: the
	 * number that the inode 'ino' had there, and what the store was bound to (fs/marks.c). */
	uint64_t (*was_ino)(void *ctx, uint64_t ino);
	bool (*was_bind)(void *ctx, uint8_t ret[static 32]);
};

extern const struct store_io store_io_system;

/* All of the iovec (which is consumed), or negative errno; '*ret_done' (may be NULL) says how many
 * bytes were written in either case. */
int sio_pwritev(const struct store_io *io, int fd, struct iovec *iov, int iovcnt, uint64_t off,
		uint64_t *ret_done);
int sio_pwrite(const struct store_io *io, int fd, const void *buf, size_t len, uint64_t off);
int sio_fdatasync(const struct store_io *io, int fd);
int sio_fsync(const struct store_io *io, int fd);
int sio_syncfs(const struct store_io *io, int fd);
int sio_ftruncate(const struct store_io *io, int fd, uint64_t len);
int sio_fallocate(const struct store_io *io, int fd, int mode, uint64_t off, uint64_t len);
