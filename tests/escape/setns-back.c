/* Attack 20: join a namespace by a descriptor, inherited or from /proc. */
#include "tests/escape/escape.h"

#include <dirent.h>

static int join(const char *path, int type)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : errno_of(setns(fd, type));
}

static int join_own_net(void)
{
	return join("/proc/self/ns/net", CLONE_NEWNET);
}

static int join_own_mnt(void)
{
	return join("/proc/self/ns/mnt", CLONE_NEWNS);
}

static int join_own_uts(void)
{
	return join("/proc/self/ns/uts", CLONE_NEWUTS);
}

static int join_pid1_user(void)
{
	return join("/proc/1/ns/user", CLONE_NEWUSER);
}

static int join_pid1_mnt(void)
{
	return join("/proc/1/ns/mnt", CLONE_NEWNS);
}

static int join_by_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, in_control ? getpid() : 1, 0);

	return fd < 0 ? errno : errno_of(setns(fd, CLONE_NEWUTS));
}

/* No descriptor but 0, 1, 2 came with us, and none of those is a namespace or a directory. */
static int nothing_inherited(void)
{
	struct stat st;

	for (int fd = 0; fd < 4096; fd++) {
		if (fstat(fd, &st) < 0)
			continue;
		if (fd > 2)
			return EMFILE;
		if (S_ISDIR(st.st_mode))
			return EISDIR;
	}
	return 0;
}

static const struct act acts[] = {
	{ "setns own net", join_own_net, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "setns own mnt", join_own_mnt, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "setns own uts", join_own_uts, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "setns pid 1 user", join_pid1_user, { EPERM, EACCES, ENOENT }, CONTROL_NONE, { 0 } },
	{ "setns pid 1 mnt", join_pid1_mnt, { EPERM, EACCES, ENOENT }, CONTROL_NONE, { 0 } },
	{ "setns by pidfd", join_by_pidfd, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "descriptors inherited", nothing_inherited, { WORKS }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
