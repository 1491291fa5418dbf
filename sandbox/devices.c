#include "sandbox/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/mnt.h"
#include "sandbox/plan.h"

/* Numbers are checked: what lies at the path on the host may have been replaced. */
static const struct {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{ "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *to;
} links[] = {
	{ "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },
};

/* Files and directories of /proc that tell about the machine or take orders.  Most are closed to
 * all but root anyway; covered, they stay closed when that changes.  "locks" lists the open file
 * description locks of everybody on the host, with ranges that could carry a message; "cmdline" and
 * "swaps" name the host's disks and files. */
static const char *const masked[] = {
	"acpi",        "asound",      "bus",          "cmdline",       "config.gz",
	"driver",      "fs",          "iomem",        "ioports",       "irq",
	"kallsyms",    "kcore",       "key-users",    "keys",          "kmsg",
	"kpagecgroup", "kpagecount",  "kpageflags",   "latency_stats", "locks",
	"modules",     "mtrr",        "pagetypeinfo", "sched_debug",   "schedstat",
	"scsi",        "slabinfo",    "swaps",        "sysrq-trigger", "timer_list",
	"timer_stats", "vmallocinfo",
};

static int check_node(int fd, unsigned major, unsigned minor)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(major, minor))
		return -ENXIO;
	return 0;
}

static int put_node(int dev, int host_dev, const char *name, unsigned major, unsigned minor,
		    struct err *err)
{
	autoclose int mnt = mnt_clone_plain(host_dev, name);
	int r = mnt < 0 ? mnt : check_node(mnt, major, minor);

	if (r < 0)
		return err_set(err, r, "take over the device '/dev/%s'", name);
	/* Read-only is about the inode (chmod, utimes), not about writing to the device. */
	r = mnt_set(mnt, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
	return r < 0 ? r : mnt_put(mnt, false, dev, name, err);
}

static int put_devpts(int dev, struct err *err)
{
	static const char *const opts[] = { "newinstance", NULL,  "ptmxmode", "0666",
					    "mode",        "620", NULL };
	autoclose int mnt = mnt_new("devpts", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);

	return mnt < 0 ? mnt : mnt_put(mnt, true, dev, "pts", err);
}

int devices_dev(int root, struct err *err)
{
	autoclose int dev = mnt_target_dir(root, "/dev", err);
	autoclose int host_dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dev < 0)
		return dev;
	if (host_dev < 0)
		return err_set(err, -errno, "open /dev");
	for (size_t i = 0; i < ARRAY_LEN(nodes) && r == 0; i++)
		r = put_node(dev, host_dev, nodes[i].name, nodes[i].major, nodes[i].minor, err);
	for (size_t i = 0; i < ARRAY_LEN(links) && r == 0; i++) {
		if (symlinkat(links[i].to, dev, links[i].name) < 0)
			r = err_set(err, -errno, "make the link /dev/%s", links[i].name);
	}
	return r < 0 ? r : put_devpts(dev, err);
}

int devices_proc(int root, struct err *err)
{
	static const char *const opts[] = { "hidepid", "invisible", NULL };
	autoclose int mnt = mnt_new("proc", opts, MNT_BASE | MOUNT_ATTR_NOEXEC, err);
	autoclose int target = -1;
	struct statfs sf;
	int r;

	if (mnt == -EPERM)
		return err_set(err, -EOPNOTSUPP,
			       "this host gives no fresh /proc, because parts of its own are "
			       "covered, as in many containers; start the container with an "
			       "unmasked /proc (podman: '--security-opt unmask=ALL', docker: "
			       "'--security-opt systempaths=unconfined').");
	if (mnt < 0)
		return mnt;
	target = mnt_target_dir(root, "/proc", err);
	if (target < 0)
		return target;
	r = mnt_move(mnt, target, "/proc", err);
	if (r == 0 && (fstatfs(mnt, &sf) < 0 || sf.f_type != PROC_SUPER_MAGIC))
		r = err_set(err, -ENXIO, "/proc of the sandbox is not a procfs.");
	return r < 0 ? r : take_fd(&mnt);
}

static int mask_one(int proc_fd, const char *name, int null_fd, int empty_fd, struct err *err)
{
	autoclose int cover = -1;
	struct stat st;

	if (fstatat(proc_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "cover /proc/%s", name);
	cover = mnt_clone_plain(S_ISDIR(st.st_mode) ? empty_fd : null_fd, "");
	if (cover < 0)
		return err_set(err, cover, "cover /proc/%s", name);
	/* One part of a path, in a file system that nobody but the kernel writes. */
	if (move_mount(cover, "", proc_fd, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(err, -errno, "cover /proc/%s", name);
	return 0;
}

int devices_mask_proc(int root, int proc_fd, struct err *err)
{
	const struct mnt_tmpfs none = {
		.bytes = 4096,
		.inodes = 2,
		.mode = "0555",
		.attrs = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC,
	};
	autoclose int null = mnt_open_in(root, "/dev/null");
	autoclose int empty = -1, sys = -1, target = -1, sys_at = -1;
	int r = null < 0 ? null : check_node(null, 1, 3);

	/* Covering with something replaceable was a hole in runc: checked, and reached by fd. */
	if (r < 0)
		return err_set(err, r, "open the sandbox's /dev/null");
	target = mnt_target_dir(root, "/run", err);
	empty = target < 0 ? target : mnt_new_tmpfs(&none, err);
	if (empty < 0)
		return empty;
	/* It serves as /run, too: only an attached mount can be cloned (Linux < 6.15). */
	r = mnt_move(empty, target, "/run", err);
	for (size_t i = 0; i < ARRAY_LEN(masked) && r == 0; i++)
		r = mask_one(proc_fd, masked[i], null, empty, err);
	if (r < 0)
		return r;
	sys_at = mnt_open_in(proc_fd, "sys");
	if (sys_at < 0)
		return err_set(err, sys_at, "open the sandbox's /proc/sys");
	sys = mnt_clone(sys_at, "", MNT_BASE | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, err);
	if (sys < 0)
		return sys;
	return mnt_move(sys, sys_at, "/proc/sys", err);
}

int devices_sys(int root, struct err *err)
{
	static const char *const shown[] = {
		"/sys/devices/system/cpu",
		"/sys/devices/system/node",
	};
	const unsigned attrs = MNT_BASE | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC;
	autoclose int dir = mnt_target_dir(root, "/sys", err);

	if (dir < 0)
		return dir;
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		int r = access(shown[i], F_OK) == 0 ? mnt_show(root, shown[i], shown[i], attrs, err)
						    : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* Before the payload runs: it may ask for the size at once, and an erased character of several
 * bytes must go as one. */
static void prepare_pty(const struct sandbox_plan *p, int slave)
{
	struct winsize size = { .ws_row = p->tty_rows, .ws_col = p->tty_cols };
	struct termios t;

	if (size.ws_row && size.ws_col)
		ioctl(slave, TIOCSWINSZ, &size);
	if (tcgetattr(slave, &t) == 0) {
		t.c_iflag |= IUTF8;
		tcsetattr(slave, TCSANOW, &t);
	}
}

int devices_open_pty(const struct sandbox_plan *p, int *ret_master, int *ret_slave, struct err *err)
{
	autoclose int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int zero = 0, slave;

	if (master < 0)
		return err_set(err, -errno, "open a terminal in the sandbox");
	if (ioctl(master, TIOCSPTLCK, &zero) < 0)
		return err_set(err, -errno, "unlock the terminal of the sandbox");
	/* By descriptor: no name under /dev/pts has to be trusted. */
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_set(err, -errno, "open the inner end of the terminal");
	prepare_pty(p, slave);
	*ret_master = take_fd(&master);
	*ret_slave = slave;
	return 0;
}
