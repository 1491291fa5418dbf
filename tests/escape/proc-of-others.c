/* Attack 17: reach the host through the links of /proc: root, cwd and fd of pid 1 and of everybody
 * else. Outside, our own links are what the acts follow. */
#include "tests/escape/escape.h"

#include <dirent.h>

static const char *of(const char *what)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", in_control ? "self" : "1", what);
	return path;
}

static int open_root(void)
{
	return errno_of(open(of("root"), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int open_cwd(void)
{
	return errno_of(open(of("cwd"), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int list_fds(void)
{
	return errno_of(open(of("fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int read_environ(void)
{
	return errno_of(open(of("environ"), O_RDONLY | O_CLOEXEC));
}

static int list_map_files(void)
{
	return errno_of(open(of("map_files"), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* Every process that /proc shows is ours: it has our root. Fails with EXDEV when one has another.
 */
static int all_roots_are_ours(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	struct stat mine, other;
	char path[300];

	if (!d || stat("/", &mine) < 0)
		return 200;
	while ((e = readdir(d))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/root", e->d_name);
		if (stat(path, &other) == 0 &&
		    (other.st_dev != mine.st_dev || other.st_ino != mine.st_ino))
			return EXDEV;
	}
	closedir(d);
	return 0;
}

/* 'subset' and 'hidepid' cannot be undone by mounting another proc; a mask cannot be read around.
 */
static int read_kcore(void)
{
	char c;
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return in_control && errno == ENOENT ? 200 : errno;
	return read(fd, &c, 1) == 1 ? 0 : ENODATA;
}

static int write_sysrq(void)
{
	/* "h" prints a help text into the kernel log: harmless when it works outside. */
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return in_control && errno == ENOENT ? 200 : errno;
	/* Masked by /dev/null: it opens, and is no longer a file of proc. */
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode))
		return ENODEV;
	return errno_of(write(fd, "h", 1));
}

static int write_sysctl(void)
{
	return errno_of(open("/proc/sys/kernel/core_pattern", O_WRONLY | O_CLOEXEC));
}

/* ENODATA: it opens, and nothing is in it. */
static int read_of_host(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	if (fd < 0)
		return errno == ENOENT ? ENODATA : errno;
	return read(fd, &c, 1) == 1 ? 0 : ENODATA;
}

static int read_locks(void)
{
	struct flock lock = { .l_type = F_RDLCK };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return 200;
	return read_of_host("/proc/locks");
}

static int read_kernel_command_line(void)
{
	return read_of_host("/proc/cmdline");
}

static int read_swaps(void)
{
	return read_of_host("/proc/swaps");
}

static int read_memory_map(void)
{
	return read_of_host("/proc/iomem");
}

static const struct act acts[] = {
	{ "/proc/1/root", open_root, { EACCES, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/proc/1/cwd", open_cwd, { EACCES, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/proc/1/fd", list_fds, { EACCES, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/proc/1/environ", read_environ, { EACCES, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/proc/1/map_files", list_map_files, { EACCES, ENOENT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "roots of all others", all_roots_are_ours, { WORKS }, CONTROL_NONE, { 0 } },
	{ "/proc/kcore", read_kcore, { EACCES, ENOENT, ENODATA, EPERM }, CONTROL_ROOT, { 0 } },
	{ "/proc/sysrq-trigger",
	  write_sysrq,
	  { EACCES, ENODEV, EROFS, ENOENT },
	  CONTROL_ROOT,
	  { 0 } },
	{ "/proc/locks", read_locks, { ENODATA }, CONTROL_PLAIN, { 0 } },
	{ "/proc/cmdline", read_kernel_command_line, { ENODATA }, CONTROL_PLAIN, { 0 } },
	{ "/proc/swaps", read_swaps, { ENODATA }, CONTROL_PLAIN, { 0 } },
	{ "/proc/iomem", read_memory_map, { ENODATA }, CONTROL_PLAIN, { WORKS, EACCES, ENODATA } },
	{ "/proc/sys/kernel/core_pattern", write_sysctl, { EACCES, EROFS }, CONTROL_ROOT, { 0 } },
};

ESCAPE_MAIN(acts)
