/* Attack 18: change what is mounted: old calls, new calls, chroot. */
#include "tests/escape/escape.h"

#include <linux/mount.h>
#include <sys/mount.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* Only outside: so that what is tried does not depend on what is mounted there. */
static void private_mounts(void)
{
	if (in_control)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int mount_tmpfs(void)
{
	private_mounts();
	return errno_of(mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
}

static int mount_bind(void)
{
	private_mounts();
	return errno_of(mount("/usr", "/tmp", NULL, MS_BIND | MS_REC, NULL));
}

static int remount_rw(void)
{
	const char *what = in_control ? "/tmp" : "/usr";

	private_mounts();
	if (in_control && mount("tmpfs", "/tmp", "tmpfs", MS_RDONLY, NULL) < 0)
		return errno;
	return errno_of(mount(NULL, what, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int unmount(void)
{
	private_mounts();
	if (in_control && mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		return errno;
	return errno_of(umount2(in_control ? "/tmp" : "/datasets", MNT_DETACH));
}

static int pivot(void)
{
	private_mounts();
	if (in_control && (mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0 || chdir("/tmp") < 0))
		return errno;
	return errno_of(syscall(SYS_pivot_root, ".", "."));
}

static int change_root(void)
{
	return errno_of(chroot("/tmp"));
}

static int new_fsopen(void)
{
	return errno_of(syscall(SYS_fsopen, "tmpfs", 0));
}

static int new_open_tree(void)
{
	return errno_of(syscall(SYS_open_tree, AT_FDCWD, "/usr", 0x8001 /* clone, recursive */));
}

static int new_move_mount(void)
{
	int fd;

	private_mounts();
	if (!in_control)
		return errno_of(
			syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/workspace", 0));
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/usr", 1);
	return fd < 0 ? errno : errno_of(syscall(SYS_move_mount, fd, "", AT_FDCWD, "/tmp", 4));
}

static int new_setattr(void)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

	private_mounts();
	if (in_control && mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0)
		return errno;
	return errno_of(syscall(SYS_mount_setattr, AT_FDCWD, in_control ? "/tmp" : "/usr", 0, &attr,
				sizeof(attr)));
}

static const struct act acts[] = {
	{ "mount a tmpfs", mount_tmpfs, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "bind mount", mount_bind, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "remount read-write", remount_rw, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "umount2", unmount, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "pivot_root", pivot, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "chroot", change_root, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "fsopen", new_fsopen, { EPERM, ENOSYS }, CONTROL_USERNS, { 0 } },
	{ "open_tree", new_open_tree, { EPERM, ENOSYS }, CONTROL_USERNS, { 0 } },
	{ "move_mount", new_move_mount, { EPERM, ENOSYS }, CONTROL_USERNS, { 0 } },
	{ "mount_setattr", new_setattr, { EPERM, ENOSYS }, CONTROL_USERNS, { 0 } },
};

ESCAPE_MAIN(acts)
