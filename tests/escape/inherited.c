/* Attack 42: what the caller left open, its directory, its environment (runc, CVE-2024-21626).  The
 * driver starts us, and sbx-shell, with descriptors 3 to 1023 open, two of them directories of the
 * host, with SECRET_OF_HOST set, and in a directory that the sandbox does not show. */
#include "tests/escape/escape.h"

#include <limits.h>
#include <sys/resource.h>

static int found_open(void)
{
	int n = 0;

	for (int fd = 3; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n ? 0 : EBADF;
}

static int use_directories(void)
{
	for (int fd = 0; fd < 4096; fd++)
		if (openat(fd, "..", O_PATH | O_CLOEXEC) >= 0 || fchdir(fd) == 0)
			return 0;
	return EBADF;
}

/* ENOENT: the directory is one that we can name, hence one of ours. */
static int directory_outside(void)
{
	const char *host = getenv("HOST_DIR");
	char cwd[PATH_MAX];
	struct stat a, b;

	if (syscall(SYS_getcwd, cwd, sizeof(cwd)) < 0)
		return errno == ENOENT ? 0 : 200;
	if (cwd[0] != '/')
		return 0;
	if (stat(".", &a) < 0 || stat(cwd, &b) < 0)
		return errno;
	if (a.st_ino != b.st_ino || a.st_dev != b.st_dev)
		return 0;
	return host && strcmp(cwd, host) == 0 ? 0 : ENOENT;
}

static int environment(void)
{
	return getenv("SECRET_OF_HOST") || getenv("LD_PRELOAD") || getenv("LD_LIBRARY_PATH") ||
			       getenv("SSH_AUTH_SOCK") || getenv("PYTHONPATH")
		       ? 0
		       : ENOENT;
}

/* The kernel's copy of the arguments of pid 1 is still the supervisor's: hidden. */
static int arguments_of_pid1(void)
{
	return errno_of(
		open(in_control ? "/proc/self/cmdline" : "/proc/1/cmdline", O_RDONLY | O_CLOEXEC));
}

static int standard_three(void)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
			return ENOTSUP;
	return 0;
}

static const struct act acts[] = {
	{ "descriptors 3 to 4095", found_open, { EBADF }, CONTROL_PLAIN, { 0 } },
	{ "out by a descriptor", use_directories, { EBADF }, CONTROL_PLAIN, { 0 } },
	{ "a working directory outside", directory_outside, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "the caller's environment", environment, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "the arguments of pid 1", arguments_of_pid1, { EACCES, ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "0, 1, 2 are streams", standard_three, { WORKS }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
