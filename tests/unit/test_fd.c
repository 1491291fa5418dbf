#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "tests/check.h"

static void files(int dir)
{
	struct err e = { 0 };
	autofree char *text = NULL;
	char *none = NULL;
	size_t len = 0;

	CHECK_EQ(fd_replace_file(dir, "a", "one", 3, 0600, &e), 0);
	CHECK_EQ(fd_replace_file(dir, "a", "two!", 4, 0600, &e), 0);
	CHECK_EQ(fd_read_file(dir, "a", 100, &text, &len, &e), 0);
	CHECK_EQ(len, 4);
	CHECK_STR(text, "two!");
	CHECK_EQ(fd_read_file(dir, "a", 3, &none, &len, &e), -EFBIG);
	CHECK_EQ(fd_read_file(dir, "missing", 3, &none, &len, &e), -ENOENT);

	/* neither a link, nor a fifo that nobody writes to, may be read or hang us */
	CHECK_EQ(symlinkat("a", dir, "link"), 0);
	CHECK_EQ(fd_read_file(dir, "link", 100, &none, &len, &e), -ELOOP);
	CHECK_EQ(mkfifoat(dir, "fifo", 0600), 0);
	CHECK_EQ(fd_read_file(dir, "fifo", 100, &none, &len, &e), -EINVAL);
	CHECK(none == NULL);
}

static void beneath(int dir)
{
	int fd;

	CHECK_EQ(mkdirat(dir, "sub", 0700), 0);
	CHECK_EQ(symlinkat("/etc", dir, "out"), 0);
	fd = fd_open_beneath(dir, "sub/new", O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	CHECK_EQ(fd_open_beneath(dir, "../x", O_RDONLY, 0), -EXDEV);
	CHECK_EQ(fd_open_beneath(dir, "/etc/passwd", O_RDONLY, 0), -EXDEV);
	CHECK_EQ(fd_open_beneath(dir, "out/passwd", O_RDONLY, 0), -ELOOP);
}

static void passing(void)
{
	int sv[2], fds[FD_PASS_MAX], one;
	size_t n = 0;
	char buf[8];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	one = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(fd_send(sv[0], "hello", 5, &one, 1), 0);
	CHECK_EQ(fd_recv(sv[1], buf, sizeof(buf), fds, &n), 5);
	CHECK_EQ(n, 1);
	CHECK(fds[0] >= 0 && fds[0] != one && fds[1] == -1);
	CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);

	/* a message that does not fit is refused, and its descriptors are closed */
	CHECK_EQ(fd_send(sv[0], "0123456789", 10, &one, 1), 0);
	CHECK_EQ(fd_recv(sv[1], buf, sizeof(buf), fds, &n), -EMSGSIZE);
	CHECK_EQ(fds[0], -1);
	close(sv[0]);
	CHECK_EQ(fd_recv(sv[1], buf, sizeof(buf), fds, &n), 0);
	close(sv[1]);
	close(one);
}

int main(void)
{
	char tmp[] = "/tmp/sbx-unit-XXXXXX", cmd[64];
	autoclose int dir = -1;

	if (!mkdtemp(tmp))
		return 1;
	dir = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	files(dir);
	beneath(dir);
	passing();
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", tmp);
	CHECK_EQ(system(cmd), 0);
	return check_report();
}
