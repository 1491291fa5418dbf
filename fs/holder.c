#include "fs/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define HOLDER_FD 3
#define INNER_ID  1000 /* the second id, inside */

/* What the child sends, with four descriptors when err.code is 0. */
struct message {
	struct err err;
	uint64_t dev[2];
};

/* -- the child ------------------------------------------------------------ */

static int step_unshare(struct err *err)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
		return 0;
	if (errno == EPERM || errno == ENOSPC || errno == EINVAL || errno == ENOSYS)
		return err_set(
			err, -EOPNOTSUPP,
			"this host gives us no user namespace (%s): run sbxctl doctor to see "
			"what to change.",
			strerror(errno));
	return err_set(err, -errno, "make a user namespace");
}

static int step_maps(struct err *err)
{
	char c = 'm';
	int fds[FD_PASS_MAX];
	size_t n;

	if (fd_send(HOLDER_FD, &c, 1, NULL, 0) < 0 || fd_recv(HOLDER_FD, &c, 1, fds, &n) != 1)
		return err_set(err, -EPIPE, "the daemon is gone.");
	return 0;
}

/* While the host's /dev can still be seen, but already as a member of the new namespace. */
static int step_open(int fuse[static 2], struct err *err)
{
	for (int i = 0; i < 2; i++) {
		fuse[i] = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		if (fuse[i] < 0)
			return err_set(
				err, errno == ENOENT || errno == EACCES ? -ENODEV : -errno,
				"/dev/fuse cannot be opened (%s): run sbxctl doctor to see what "
				"to change.",
				strerror(errno));
	}
	return 0;
}

/* A new root over a directory that every host has, made our cwd; /proc is only a place to stand. */
static int step_root(struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, -errno, "separate the mounts");
	if (mount("sbx", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0755,size=64k,nr_inodes=8") < 0)
		return err_set(err, -errno, "make an empty root");
	if (chdir("/proc") < 0 || mkdir("datasets", 0755) < 0 || mkdir("workspace", 0755) < 0)
		return err_set(err, -errno, "make an empty root");
	return 0;
}

static int step_mount(const char *name, int fuse, unsigned long flags, uint64_t *ret_dev,
		      struct err *err)
{
	char options[128];
	struct statx sx;

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse);
	if (mount("sbx", name, "fuse.sbx", MS_NOSUID | MS_NODEV | flags, options) < 0)
		return err_set(err, errno == ENODEV ? -ENODEV : -errno, "mount /%s", name);
	/* From the kernel's cache: nobody serves the mount yet. */
	if (statx(AT_FDCWD, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &sx) == 0)
		*ret_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	return 0;
}

/* The old root is stacked on the new one and cut off: nothing of the host stays reachable. */
static int step_pivot(struct err *err)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_set(err, -errno, "leave the host's root");
	if (mount(NULL, "/", NULL,
		  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_set(err, -errno, "make the root read-only");
	return 0;
}

static int holder_steps(int fds[static 4], uint64_t dev[static 2], struct err *err)
{
	int r = step_unshare(err);

	if (r == 0)
		r = step_maps(err);
	if (r == 0)
		r = step_open(fds, err);
	if (r == 0) { /* before /proc is covered */
		fds[2] = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		fds[3] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (fds[2] < 0 || fds[3] < 0)
			r = err_set(err, -errno, "open the new namespaces");
	}
	if (r == 0)
		r = step_root(err);
	if (r == 0)
		r = step_mount("datasets", fds[0], MS_RDONLY, &dev[0], err);
	if (r == 0)
		r = step_mount("workspace", fds[1], 0, &dev[1], err);
	return r < 0 ? r : step_pivot(err);
}

int holder_main(void)
{
	struct message m = { 0 };
	int fds[4] = { -1, -1, -1, -1 }, r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = holder_steps(fds, m.dev, &m.err);
	m.err.code = r;
	return fd_send(HOLDER_FD, &m, sizeof(m), fds, r < 0 ? 0 : 4) < 0 ? 1 : 0;
}

/* -- the daemon's side ---------------------------------------------------- */

static int write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return fd_write_attr(AT_FDCWD, path, text);
}

/* With one id, whoever is outside is root inside. As root a second one is mapped, for the code. */
static int write_maps(pid_t pid, uid_t second, struct err *err)
{
	char uids[96], gids[96];
	int r = 0;

	if (second) {
		snprintf(uids, sizeof(uids), "0 0 1\n%d %u 1\n", INNER_ID, second);
		strcpy(gids, uids);
	} else {
		snprintf(uids, sizeof(uids), "0 %u 1\n", geteuid());
		snprintf(gids, sizeof(gids), "0 %u 1\n", getegid());
		r = write_map(pid, "setgroups", "deny");
	}
	if (r == 0)
		r = write_map(pid, "gid_map", gids);
	if (r == 0)
		r = write_map(pid, "uid_map", uids);
	return r < 0 ? err_set(err, r, "map ids into the new user namespace") : 0;
}

static pid_t spawn_holder(int sock)
{
	char *argv[] = { (char *)"sbxfsd", (char *)"holder", NULL }, *envp[] = { NULL };
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* Other threads exist in the parent: nothing but system calls until exec. */
	if (sock == HOLDER_FD ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, HOLDER_FD) < 0)
		_exit(127);
	(void)syscall(SYS_close_range, HOLDER_FD + 1, ~0u, 0);
	execve("/proc/self/exe", argv, envp);
	_exit(127);
}

static int talk(int sock, pid_t pid, uid_t second, struct holder_result *ret, struct err *err)
{
	struct message m;
	int fds[FD_PASS_MAX], r;
	size_t nfds;
	ssize_t n = fd_recv(sock, &m, sizeof(m), fds, &nfds);

	if (n == 1) { /* it has its namespaces and wants its ids */
		r = write_maps(pid, second, err);
		if (r < 0)
			return r;
		r = fd_send(sock, "g", 1, NULL, 0);
		n = r < 0 ? r : fd_recv(sock, &m, sizeof(m), fds, &nfds);
	}
	if (n != (ssize_t)sizeof(m))
		return err_set(err, -EIO, "the helper that makes the namespaces ended early.");
	if (m.err.code < 0) {
		m.err.text[sizeof(m.err.text) - 1] = '\0';
		if (err)
			*err = m.err;
		return m.err.code;
	}
	if (nfds != 4)
		return err_set(err, -EIO, "the helper that makes the namespaces sent nothing.");
	*ret = (struct holder_result){ .fuse_fd = { fds[0], fds[1] },
				       .dev = { m.dev[0], m.dev[1] },
				       .userns_fd = fds[2],
				       .mntns_fd = fds[3] };
	return 0;
}

int holder_make(uid_t second, struct holder_result *ret, struct err *err)
{
	int sv[2], r, status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "make the workspace's namespaces");
	pid = spawn_holder(sv[1]);
	close(sv[1]);
	if (pid < 0) {
		r = err_set(err, -errno, "make the workspace's namespaces");
		close(sv[0]);
		return r;
	}
	r = talk(sv[0], pid, second, ret, err);
	close(sv[0]); /* ends a child that waits for ids it will not get */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return r;
}
