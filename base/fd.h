/* File descriptors: whole reads and writes, beneath-only opens, atomic replace, fd passing.
 *
 * All functions return 0 or a count on success and negative errno on failure. Every descriptor
 * made here is born O_CLOEXEC. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Read up to 'len' bytes, short only at end of file.  Returns the count. */
ssize_t fd_read_full(int fd, void *buf, size_t len);
ssize_t fd_pread_full(int fd, void *buf, size_t len, uint64_t off);
/* Write all of it, or fail. Returns 0. */
int fd_write_full(int fd, const void *buf, size_t len);
int fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off);

/* Is something mounted on this name? (Linux 5.8; false where it cannot be seen.) */
bool fd_is_mount(int dirfd, const char *name);
/* openat2(2) with RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS below 'dirfd'. Returns an fd. */
int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode);

/* Whole small file into a NUL-terminated heap buffer (caller frees); -EFBIG beyond 'max' bytes.
 * 'path' is relative to 'dirfd' (AT_FDCWD allowed). Refuses anything but a regular file, and does
 * not follow a symlink in the last component. */
int fd_read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
		 struct err *err);
/* For /proc, /sys and cgroupfs attributes: at most 64 KiB, no type check. */
int fd_read_attr(int dirfd, const char *path, char **ret);
/* One write(2) of 'text' to an existing attribute file. */
int fd_write_attr(int dirfd, const char *path, const char *text);

/* Replace 'name' in 'dirfd' with the given bytes: temporary file, fsync, rename, fsync of the
 * directory. After a crash the old or the new content is there, never a mixture. */
int fd_replace_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
		    struct err *err);

/* The same without the syncs, for what nobody misses after a power cut: it may be there in part
 * then. */
int fd_replace_file_lazily(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
			   struct err *err);

/* The same in two steps, for files that belong together: what needs space first, for all of them.
 * Each begin that succeeded is ended by a commit or an abort. */
struct fd_replacement {
	int dirfd; /* borrowed */
	char name[256], tmp[280];
	bool pending; /* the temporary file is there */
	bool done;    /* renamed: stands even when the commit then failed to sync */
};
int fd_replace_begin(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
		     struct fd_replacement *ret, struct err *err);
int fd_replace_commit(struct fd_replacement *r, struct err *err);
void fd_replace_abort(struct fd_replacement *r);

/* Send or receive one message with up to FD_PASS_MAX descriptors on a SOCK_SEQPACKET or SOCK_DGRAM
 * socket.  Received descriptors are O_CLOEXEC and owned by the caller; unused slots are -1.
 * Receive returns the byte count, 0 at end of file; -EMSGSIZE when the message did not fit. */
#define FD_PASS_MAX 8
int fd_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds);
ssize_t fd_recv(int sock, void *buf, size_t len, int fds[FD_PASS_MAX], size_t *ret_nfds);
