#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

ssize_t fd_read_full(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fd_pread_full(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(fd, (const char *)buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int fd_pwrite_full(int fd, const void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

bool fd_is_mount(int dirfd, const char *name)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
	struct statx sx;

	return statx(dirfd, name, flags, STATX_TYPE, &sx) == 0 &&
	       sx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

int fd_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

int fd_read_file(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
		 struct err *err)
{
	/* O_NONBLOCK: a fifo put in the file's place must not hang us before the type check. */
	autoclose int fd =
		openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	autofree char *buf = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return err_set(err, -errno, "open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "'%s' is not a regular file.", path);
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return err_set(err, -EFBIG, "'%s' is larger than %zu bytes.", path, max);
	buf = malloc(max + 1);
	if (!buf)
		return err_set(err, -ENOMEM, "read '%s'", path);
	n = fd_read_full(fd, buf, max + 1);
	if (n < 0)
		return err_set(err, (int)n, "read '%s'", path);
	if ((size_t)n > max)
		return err_set(err, -EFBIG, "'%s' is larger than %zu bytes.", path, max);
	buf[n] = '\0';
	if (ret_len)
		*ret_len = (size_t)n;
	*ret = take_ptr(buf);
	return 0;
}

int fd_read_attr(int dirfd, const char *path, char **ret)
{
	autoclose int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	autofree char *buf = NULL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* Mostly it is short: a large buffer would cost more than the reading. */
	for (size_t size = 4096;; size = 65536) {
		buf = malloc(size + 1);
		if (!buf)
			return -ENOMEM;
		n = fd_read_full(fd, buf, size);
		if (n < 0)
			return (int)n;
		if ((size_t)n < size || size == 65536)
			break;
		free(take_ptr(buf));
		if (lseek(fd, 0, SEEK_SET) < 0)
			return -errno;
	}
	buf[n] = '\0';
	*ret = take_ptr(buf);
	return 0;
}

int fd_write_attr(int dirfd, const char *path, const char *text)
{
	autoclose int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int replace_begin(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
			 bool sync, struct fd_replacement *ret, struct err *err)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	struct fd_replacement n = { .dirfd = dirfd };
	autoclose int fd = -1;
	int r;

	if ((size_t)snprintf(n.name, sizeof(n.name), "%s", name) >= sizeof(n.name) ||
	    (size_t)snprintf(n.tmp, sizeof(n.tmp), ".%s.new", name) >= sizeof(n.tmp))
		return err_set(err, -ENAMETOOLONG, "write '%s'", name);
	fd = openat(dirfd, n.tmp, flags, mode);
	/* A left-over of a crash is ours to replace: the directory's owner holds the lock. */
	if (fd < 0 && errno == EEXIST) {
		if (unlinkat(dirfd, n.tmp, 0) < 0 && errno != ENOENT)
			return err_set(err, -errno, "remove '%s'", n.tmp);
		fd = openat(dirfd, n.tmp, flags, mode);
	}
	if (fd < 0)
		return err_set(err, -errno, "create '%s'", n.tmp);
	n.pending = true;
	r = fd_write_full(fd, buf, len);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r < 0) {
		fd_replace_abort(&n);
		return err_set(err, r, "write '%s'", name);
	}
	*ret = n;
	return 0;
}

int fd_replace_begin(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
		     struct fd_replacement *ret, struct err *err)
{
	return replace_begin(dirfd, name, buf, len, mode, true, ret, err);
}

static int replace_commit(struct fd_replacement *r, bool sync, struct err *err)
{
	if (renameat(r->dirfd, r->tmp, r->dirfd, r->name) < 0) {
		int code = -errno;

		fd_replace_abort(r);
		return err_set(err, code, "write '%s'", r->name);
	}
	r->pending = false;
	r->done = true;
	if (sync && fsync(r->dirfd) < 0)
		return err_set(err, -errno, "sync the directory of '%s'", r->name);
	return 0;
}

int fd_replace_commit(struct fd_replacement *r, struct err *err)
{
	return replace_commit(r, true, err);
}

void fd_replace_abort(struct fd_replacement *r)
{
	if (r->pending)
		unlinkat(r->dirfd, r->tmp, 0);
	r->pending = false;
}

int fd_replace_file(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
		    struct err *err)
{
	struct fd_replacement n;
	int r = fd_replace_begin(dirfd, name, buf, len, mode, &n, err);

	return r < 0 ? r : fd_replace_commit(&n, err);
}

int fd_replace_file_lazily(int dirfd, const char *name, const void *buf, size_t len, mode_t mode,
			   struct err *err)
{
	struct fd_replacement n;
	int r = replace_begin(dirfd, name, buf, len, mode, false, &n, err);

	return r < 0 ? r : replace_commit(&n, false, err);
}

int fd_send(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (nfds > FD_PASS_MAX)
		return -EINVAL;
	if (nfds > 0) {
		struct cmsghdr *c;

		msg.msg_control = ctl.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

ssize_t fd_recv(int sock, void *buf, size_t len, int fds[FD_PASS_MAX], size_t *ret_nfds)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * FD_PASS_MAX)];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = ctl.space,
		.msg_controllen = sizeof(ctl.space),
	};
	size_t count = 0;
	ssize_t n;

	for (size_t i = 0; i < FD_PASS_MAX; i++)
		fds[i] = -1;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t k;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (k > FD_PASS_MAX)
			k = FD_PASS_MAX;
		memcpy(fds, CMSG_DATA(c), k * sizeof(int));
		count = k;
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < count; i++) {
			close(fds[i]);
			fds[i] = -1;
		}
		return -EMSGSIZE;
	}
	*ret_nfds = count;
	return n;
}
