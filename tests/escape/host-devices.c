/* Attacks 43 and 44: devices of the host, by name, by number, and a filesystem of one's own. */
#include "tests/escape/escape.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

/* ENOENT: none of them is there. */
static int any_of(const char *const *paths)
{
	for (; *paths; paths++)
		if (open(*paths, O_RDONLY | O_NONBLOCK | O_CLOEXEC) >= 0 || errno != ENOENT)
			return 0;
	return ENOENT;
}

static int memory(void)
{
	static const char *const paths[] = { "/dev/mem",  "/dev/kmem",      "/dev/port",
					     "/dev/kmsg", "/dev/cpu/0/msr", "/dev/hpet",
					     NULL };

	return any_of(paths);
}

static int disks(void)
{
	static const char *const paths[] = {
		"/dev/sda",          "/dev/vda",  "/dev/nvme0n1",        "/dev/xvda", "/dev/loop0",
		"/dev/loop-control", "/dev/dm-0", "/dev/mapper/control", "/dev/ram0", NULL
	};

	return any_of(paths);
}

static int virtual_ones(void)
{
	static const char *const paths[] = { "/dev/kvm",
					     "/dev/net/tun",
					     "/dev/vhost-net",
					     "/dev/vsock",
					     "/dev/uinput",
					     "/dev/input/event0",
					     "/dev/userfaultfd",
					     "/dev/ppp",
					     "/dev/btrfs-control",
					     "/dev/autofs",
					     "/dev/dri/card0",
					     "/dev/snd/timer",
					     "/dev/console",
					     "/dev/tty0",
					     "/dev/tty1",
					     "/dev/mqueue",
					     NULL };

	return any_of(paths);
}

static int fuse(void)
{
	return errno_of(open("/dev/fuse", O_RDWR | O_CLOEXEC));
}

/* Nothing but the six nodes and the terminals of our own. */
static int all_nodes(void)
{
	static const unsigned known[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 },
					     { 1, 8 }, { 1, 9 }, { 5, 0 } };
	DIR *d = opendir("/dev");
	struct dirent *e;
	struct stat st;
	int r = ENOENT;

	while (d && (e = readdir(d))) {
		bool ok = false;

		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
			continue;
		for (size_t i = 0; i < 6; i++)
			ok |= S_ISCHR(st.st_mode) &&
			      st.st_rdev == makedev(known[i][0], known[i][1]);
		if (!ok)
			r = 0;
	}
	return d ? r : 200;
}

/* Everywhere where we can write. */
static int node(mode_t type, unsigned major, unsigned minor)
{
	static const char *const dirs[] = { ".", "/tmp", "/dev/shm", "/home/sbx" };

	for (size_t i = 0; i < (in_control ? 1 : 4); i++) {
		int at = open(dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (mknodat(at, "sbx-node", type | 0600, makedev(major, minor)) == 0) {
			unlinkat(at, "sbx-node", 0);
			return 0;
		}
		if (errno != EPERM && errno != EACCES)
			return errno;
	}
	return EPERM;
}

static int node_memory(void)
{
	return node(S_IFCHR, 1, 1);
}

static int node_disk(void)
{
	return node(S_IFBLK, 8, 0);
}

static int node_fuse(void)
{
	return node(S_IFCHR, 10, 229);
}

static int node_null(void)
{
	return node(S_IFCHR, 1, 3);
}

/* Only outside a file may be changed like that; the arguments of the call are the same. */
static int mount_fuse(void)
{
	char opts[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (in_control) {
		if (fd < 0)
			return 200;
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	}
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fd < 0 ? 0 : fd,
		 geteuid(), getegid());
	return errno_of(mount("x", "/tmp", "fuse", MS_NOSUID | MS_NODEV, opts));
}

static int mount_by_helper(void)
{
	static const char *const helpers[] = { "/usr/bin/fusermount3", "/usr/bin/fusermount",
					       "/usr/bin/mount" };
	int status, tried = 0;

	for (size_t i = 0; i < 3; i++) {
		pid_t pid;

		if (access(helpers[i], X_OK) < 0)
			continue;
		tried++;
		pid = fork();
		if (pid == 0) {
			int null = open("/dev/null", O_RDWR);

			dup2(null, 1);
			dup2(null, 2);
			execl(helpers[i], helpers[i], "-t", "tmpfs", "x", "/tmp", NULL);
			_exit(127);
		}
		if (waitpid(pid, &status, 0) < 0 || status == 0)
			return 0;
	}
	return tried ? EPERM : 200;
}

static const struct act acts[] = {
	{ "memory of the machine", memory, { ENOENT }, CONTROL_ROOT, { 0 } },
	{ "disks", disks, { ENOENT }, CONTROL_ROOT, { 0 } },
	{ "other devices", virtual_ones, { ENOENT }, CONTROL_ROOT, { 0 } },
	{ "all of /dev", all_nodes, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/dev/fuse", fuse, { ENOENT }, CONTROL_PLAIN, { WORKS, EACCES, ENOENT } },
	{ "mknod /dev/mem", node_memory, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "mknod a disk", node_disk, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "mknod /dev/fuse", node_fuse, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "mknod /dev/null", node_null, { EPERM }, CONTROL_ROOT, { WORKS } },
	{ "mount a FUSE filesystem", mount_fuse, { EPERM }, CONTROL_USERNS, { WORKS, ENODEV } },
	{ "mount by a set-user-id helper", mount_by_helper, { EPERM, 200 }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
