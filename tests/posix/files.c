/* Open files: flags, sizes, what happens to them when their names go, attributes. */
#include "tests/posix/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static off_t size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? -1 : st.st_size;
}

/* -- flags ---------------------------------------------------------------- */

static void check_access_modes(void)
{
	static const struct {
		int flags, read, write, truncate;
	} rows[] = {
		{ O_RDONLY, 0, EBADF, EINVAL },
		{ O_WRONLY, EBADF, 0, 0 },
		{ O_RDWR, 0, 0, 0 },
		{ O_PATH, EBADF, EBADF, EBADF },
	};
	char buf[8];

	put("a", "some text");
	for (size_t i = 0; i < 4; i++) {
		int fd = open("a", rows[i].flags | O_CLOEXEC);

		GIVES(pread(fd, buf, 4, 0), rows[i].read, "read, flags %#o", rows[i].flags);
		GIVES(pwrite(fd, buf, 4, 0), rows[i].write, "write, flags %#o", rows[i].flags);
		GIVES(ftruncate(fd, 4), rows[i].truncate, "ftruncate, flags %#o", rows[i].flags);
		GIVES(fallocate(fd, 0, 0, 10), rows[i].write, "fallocate, flags %#o",
		      rows[i].flags);
		close(fd);
	}
}

static void check_append(void)
{
	int a = open("app", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int b = open("app", O_WRONLY | O_APPEND | O_CLOEXEC);
	char want[5000], got[5000];

	for (size_t i = 0; i < sizeof(want); i++) {
		want[i] = (char)('a' + i % 26);
		ok(pwrite(i % 2 ? a : b, &want[i], 1, 0) == 1, "append %zu", i);
	}
	close(a);
	close(b);
	a = open("app", O_RDONLY | O_CLOEXEC);
	ok(read(a, got, sizeof(got)) == sizeof(got) && memcmp(got, want, sizeof(got)) == 0,
	   "what two handles appended in turn");
	close(a);
}

static void check_special(void)
{
	char buf[8] = "";
	int r, w, s, c;
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "sock" };

	make("fifo", S_IFIFO);
	GIVES(open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC), ENXIO, "a fifo nobody reads");
	r = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	w = open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	ok(write(w, "hi", 2) == 2 && read(r, buf, 8) == 2 && buf[0] == 'h', "through a fifo");
	GIVES(lseek(r, 0, SEEK_SET), ESPIPE, "seek in a fifo");
	close(r);
	close(w);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	GIVES(bind(s, (struct sockaddr *)&sa, sizeof(sa)), 0, "bind");
	GIVES(listen(s, 1), 0, "listen");
	GIVES(connect(c, (struct sockaddr *)&sa, sizeof(sa)), 0, "connect");
	r = accept(s, NULL, NULL);
	ok(write(c, "ho", 2) == 2 && read(r, buf, 8) == 2 && buf[1] == 'o', "through a socket");
	close(r);
	close(c);
	close(s);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	GIVES(bind(s, (struct sockaddr *)&sa, sizeof(sa)), EADDRINUSE, "bind over a name");
	GIVES(connect(s, (struct sockaddr *)&sa, sizeof(sa)), ECONNREFUSED, "nobody listens");
	close(s);
}

/* A program that runs is not written to. */
static void check_busy(void)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out, go[2];
	ssize_t n;
	pid_t pid;

	out = open("/bin/sleep", O_RDONLY | O_CLOEXEC);
	close(in);
	in = out;
	out = open("prog", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		ok(write(out, buf, (size_t)n) == n, "copy a program");
	close(in);
	GIVES(fsync(out), 0, "fsync");
	GIVES(pipe2(go, O_CLOEXEC), 0, "pipe");
	close(out);
	pid = fork();
	if (pid == 0) {
		execl("./prog", "prog", "30", NULL);
		n = write(go[1], "x", 1);
		_exit(1);
	}
	close(go[1]);
	if (read(go[0], buf, 1) == 0) { /* closed by exec; else this filesystem runs nothing */
		GIVES(open("prog", O_WRONLY | O_CLOEXEC), ETXTBSY, "writing to a running program");
		GIVES(truncate("prog", 0), ETXTBSY, "truncating a running program");
		GIVES(open("prog", O_RDONLY | O_TRUNC | O_CLOEXEC), ETXTBSY, "emptying one");
		GIVES(rename("prog", "prog2"), 0, "renaming one");
		GIVES(unlink("prog2"), 0, "removing one");
	}
	close(go[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* -- sizes ---------------------------------------------------------------- */

static void check_truncate(void)
{
	static const off_t sizes[] = { 0,      1,      4095,   4096,   4097,    131071,    131072,
				       131073, 393215, 393216, 393217, 1000000, 1LL << 32, 3 };
	char buf[64], zero[64] = "";
	int fd = open("t", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	for (int by_fd = 0; by_fd < 2; by_fd++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			ok(pwrite(fd, "mark", 4, 0) == 4, "write");
			GIVES(by_fd ? ftruncate(fd, sizes[i]) : truncate("t", sizes[i]), 0,
			      "truncate to %lld", (long long)sizes[i]);
			ok(size_of("t") == sizes[i], "size %lld after truncate to %lld",
			   (long long)size_of("t"), (long long)sizes[i]);
			ok(pread(fd, buf, 64, sizes[i]) == 0, "nothing is beyond");
			if (sizes[i] > 200)
				ok(pread(fd, buf, 64, sizes[i] - 64) == 64 &&
					   memcmp(buf, zero, 64) == 0,
				   "zeros at the end");
		}
	}
	GIVES(ftruncate(fd, -1), EINVAL, "ftruncate to -1");
	GIVES(truncate("t", -1), EINVAL, "truncate to -1");
	GIVES(ftruncate(fd, INT64_MAX), EFBIG, "ftruncate to the largest number");
	GIVES(pwrite(fd, "x", 1, -1), EINVAL, "write at -1");
	GIVES(fallocate(fd, 0, 0, 0), EINVAL, "fallocate of nothing");
	GIVES(fallocate(fd, 0, -1, 10), EINVAL, "fallocate at -1");
	GIVES(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP, "punch without KEEP_SIZE");
	GIVES(lseek(fd, -1, SEEK_SET), EINVAL, "seek to -1");
	GIVES(lseek(fd, 5, SEEK_DATA), ENXIO, "SEEK_DATA past the end");
	ok(lseek(fd, 0, SEEK_END) == 3, "SEEK_END");
	close(fd);
}

static void check_limit(void)
{
	struct rlimit old, small = { 10000, 10000 };
	char buf[8000] = "";
	int fd = open("lim", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	ok(pwrite(fd, buf, 8000, 0) == 8000, "below the limit");
	ok(pwrite(fd, buf, 8000, 8000) == 2000, "up to the limit");
	GIVES(pwrite(fd, buf, 1, 10000), EFBIG, "at the limit");
	GIVES(ftruncate(fd, 10001), EFBIG, "ftruncate past the limit");
	GIVES(ftruncate(fd, 10000), 0, "ftruncate to the limit");
	setrlimit(RLIMIT_FSIZE, &old);
	ok(size_of("lim") == 10000, "the size is the limit");
	close(fd);
}

/* -- without a name ------------------------------------------------------- */

static void check_nameless(void)
{
	struct stat st;
	char buf[8];
	int fd, dir;

	for (int how = 0; how < 2; how++) {
		fd = open("u", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		ok(write(fd, "before", 6) == 6, "write");
		if (how == 0) {
			GIVES(unlink("u"), 0, "unlink while open");
		} else {
			put("other", "x");
			GIVES(rename("other", "u"), 0, "replace while open");
		}
		ok(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 6,
		   "what is open lives on");
		ok(pwrite(fd, "after", 5, 6) == 5 && pread(fd, buf, 5, 6) == 5 &&
			   memcmp(buf, "after", 5) == 0,
		   "it is written and read");
		GIVES(fchmod(fd, 0600) | ftruncate(fd, 3) | fsync(fd), 0, "changed");
		ok(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == 3,
		   "and shows it");
		GIVES(fsetxattr(fd, "user.a", "b", 1, 0), 0, "given an attribute");
		ok(fgetxattr(fd, "user.a", buf, 8) == 1, "and has it");
		close(fd);
		wipe("u");
	}
	make("gone", S_IFDIR);
	dir = open("gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	GIVES(rmdir("gone"), 0, "rmdir while open");
	GIVES(openat(dir, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), ENOENT, "create in it");
	GIVES(mkdirat(dir, "x", 0755), ENOENT, "mkdir in it");
	GIVES(unlinkat(dir, "x", 0), ENOENT, "unlink in it");
	ok(fstat(dir, &st) == 0 && st.st_nlink == 0, "a removed directory has no links");
	close(dir);
}

/* -- attributes ----------------------------------------------------------- */

static void check_xattrs(void)
{
	static const char *const paths[2] = { "xf", "xd" };
	char big[2000], got[2100], name[256];

	memset(big, 'v', sizeof(big));
	make("xf", S_IFREG);
	make("xd", S_IFDIR);
	for (int p = 0; p < 2; p++) {
		const char *at = paths[p];

		GIVES(setxattr(at, "user.a", "1", 1, XATTR_REPLACE), ENODATA,
		      "replace what is not");
		for (size_t len = 0; len <= 2000; len += len < 20 ? 1 : 99) {
			GIVES(setxattr(at, "user.a", big, len, 0), 0, "a value of %zu bytes", len);
			ok(getxattr(at, "user.a", got, sizeof(got)) == (ssize_t)len &&
				   memcmp(got, big, len) == 0,
			   "and it is read");
			ok(getxattr(at, "user.a", NULL, 0) == (ssize_t)len, "and its length");
			if (len > 1)
				GIVES(getxattr(at, "user.a", got, len - 1), ERANGE,
				      "into too little");
		}
		GIVES(setxattr(at, "user.a", "1", 1, XATTR_CREATE), EEXIST, "create what is there");
		GIVES(removexattr(at, "user.a"), 0, "remove");
		GIVES(removexattr(at, "user.a"), ENODATA, "remove again");
		GIVES(getxattr(at, "user.a", got, 1), ENODATA, "get what is not");
		for (size_t len = 1; len <= 150; len += 7) {
			memset(name, 'n', sizeof(name));
			memcpy(name, "user.", 5);
			name[5 + len] = '\0';
			GIVES(setxattr(at, name, "v", 1, 0), 0, "a name of %zu bytes", len);
			ok(listxattr(at, got, sizeof(got)) >= (ssize_t)len + 6 &&
				   strcmp(got, name) == 0,
			   "is listed");
			GIVES(removexattr(at, name), 0, "and removed");
		}
		GIVES(setxattr(at, "bad.a", "1", 1, 0), EOPNOTSUPP, "a namespace that is none");
		GIVES(setxattr(at, "user.", "1", 1, 0), EINVAL, "an empty name");
		GIVES(setxattr(at, "", "1", 1, 0), ERANGE, "no name");
	}
}

static void check_rest(void)
{
	struct statvfs v;
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	GIVES(fsync(fd), 0, "fsync of a directory");
	GIVES(fdatasync(fd), 0, "fdatasync of a directory");
	GIVES(read(fd, &v, 1), EISDIR, "read of a directory");
	GIVES(ftruncate(fd, 0), EINVAL, "ftruncate of a directory");
	close(fd);
	ok(statvfs(".", &v) == 0 && v.f_namemax == 255 && v.f_blocks > 0 && v.f_bsize > 0,
	   "statvfs");
	ok(v.f_bavail <= v.f_bfree && v.f_bfree <= v.f_blocks, "statvfs adds up");
}

void check_files(void)
{
	check_access_modes();
	check_append();
	check_special();
	check_busy();
	check_truncate();
	check_limit();
	check_nameless();
	check_xattrs();
	check_rest();
}
