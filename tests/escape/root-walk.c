/* Attack 41: up and out: "..", a descriptor of a directory that is moved away, one that came over a
 * socket, links of /proc.  0 = reached a directory above the root. */
#include "tests/escape/escape.h"

#include <sys/socket.h>

/* Outside "the root" is a directory that we changed into by chroot, as root of a namespace: walking
 * out of that is known to work from a descriptor above it. */
static int above = -1;

static int prison(void)
{
	char dir[] = "/tmp/sbx-escape-XXXXXX";
	int r;

	if (!in_control)
		return 0;
	above = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (above < 0 || !mkdtemp(dir))
		_exit(200);
	r = chroot(dir);
	if (fchdir(above) < 0 || r < 0)
		_exit(200);
	rmdir(dir + 1);
	return 0;
}

/* Up from 'fd' until it gets no higher. EXDEV: that is our root. */
static int climb(int fd)
{
	struct stat st, root;

	for (int i = 0; i < 200; i++) {
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (up < 0)
			return errno;
		fd = up;
	}
	if (fstat(fd, &st) < 0 || stat("/", &root) < 0)
		return 200;
	return st.st_dev == root.st_dev && st.st_ino == root.st_ino ? EXDEV : 0;
}

static int from(const char *path)
{
	prison();
	return climb(in_control ? above : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int from_workspace(void)
{
	return from(".");
}

static int from_datasets(void)
{
	return from("/datasets");
}

static int from_proc(void)
{
	return from("/proc/self/root/..");
}

static int from_tmp(void)
{
	return from("/tmp");
}

/* The directory is moved to another place, and removed, while it is held. */
static int from_moved(void)
{
	int fd;

	prison();
	if (in_control)
		return climb(above);
	if (mkdir("d1", 0700) < 0 || mkdir("d1/d2", 0700) < 0)
		return 200;
	fd = open("d1/d2", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rename("d1/d2", "d2") < 0 || climb(fd) != EXDEV || rmdir("d2") < 0)
		return 200;
	rmdir("d1");
	return climb(fd);
}

/* One path, longer than any depth. */
static int dots(void)
{
	char path[4096] = ".";
	struct stat st, root;

	prison();
	for (size_t n = 1; n + 4 < sizeof(path); n += 3)
		memcpy(path + n, "/..", 4);
	if (stat(path, &st) < 0 || stat("/", &root) < 0)
		return errno;
	return st.st_dev == root.st_dev && st.st_ino == root.st_ino ? EXDEV : 0;
}

static int over_socket(void)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
			  .cmsg_level = SOL_SOCKET,
			  .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int pair[2], fd;

	prison();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return 200;
	fd = in_control ? above : open("/proc/self/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	memcpy(CMSG_DATA(&c.head), &fd, sizeof(fd));
	if (sendmsg(pair[0], &m, 0) < 0 || recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) < 0)
		return errno;
	memcpy(&fd, CMSG_DATA(&c.head), sizeof(fd));
	return climb(fd);
}

/* A name that only the host has: HOST_DIR, by every road that leads to a root. */
static int host_names(void)
{
	static const char *const roads[] = { "",
					     "/proc/self/root",
					     "/proc/self/cwd/..",
					     "/proc/thread-self/root",
					     "/proc/1/root",
					     "/proc/self/task/1/root",
					     "/dev/fd/0/..",
					     "/usr/..",
					     "/datasets/..",
					     "/dev/shm/.." };
	const char *dir = getenv("HOST_DIR");
	char path[4096];

	if (!dir)
		return 200;
	for (size_t i = 0; i < sizeof(roads) / sizeof(roads[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", roads[i], dir);
		if (open(path, O_PATH | O_CLOEXEC) >= 0)
			return 0;
		if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
	}
	return ENOENT;
}

static const struct act acts[] = {
	{ "up from /workspace", from_workspace, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "up from /datasets", from_datasets, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "up from /proc/self/root", from_proc, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "up from /tmp", from_tmp, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "up from a directory that was moved and removed",
	  from_moved,
	  { EXDEV, ENOENT },
	  CONTROL_USERNS,
	  { 0 } },
	{ "a path of dots", dots, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "up from what came over a socket", over_socket, { EXDEV }, CONTROL_USERNS, { 0 } },
	{ "a directory of the host by all roads", host_names, { ENOENT }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
