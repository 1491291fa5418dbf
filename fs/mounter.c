#include "fs/mounter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "base/str.h"

enum command { DO_MOUNT, DO_UMOUNT, DO_FORGET, DO_SYNC };

struct request {
	enum command command;
	int which;
	char dir[PATH_MAX];
};

struct reply {
	struct err err;
	uint64_t dev;
};

static const char *const names[MOUNTER_COUNT] = { "datasets", "workspace" };

/* -- the process ---------------------------------------------------------- */

struct point {
	bool mounted, made;
	char path[PATH_MAX + 16];
};

/* mount(2) through a descriptor of the mount point: nobody can exchange it meanwhile. */
static int mount_as_root(int fd, int which, int *ret_fuse, struct err *err)
{
	char target[64], options[128];
	autoclose int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	unsigned long flags = MS_NOSUID | MS_NODEV;

	if (fuse < 0)
		return err_set(err, -ENODEV, "/dev/fuse cannot be opened (%s): run sbxctl doctor.",
			       strerror(errno));
	if (which == MOUNTER_DATASETS)
		flags |= MS_RDONLY;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse);
	if (mount("sbx", target, "fuse.sbx", flags, options) < 0)
		return err_set(err, -errno, "mount '%s'", names[which]);
	*ret_fuse = take_fd(&fuse);
	return 0;
}

static pid_t spawn_fusermount(const char *const *argv, int comm)
{
	char value[48];
	char *envp[] = { (char *)"PATH=/usr/bin:/bin:/usr/local/bin", value, NULL };
	pid_t pid;

	snprintf(value, sizeof(value), "_FUSE_COMMFD=%d", comm);
	pid = fork();
	if (pid != 0)
		return pid;
	if (comm >= 0 && fcntl(comm, F_SETFD, 0) < 0)
		_exit(127);
	execvpe("fusermount3", (char *const *)argv, envp);
	_exit(127);
}

static int wait_exit(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* As an ordinary user: the setuid helper mounts and sends us the descriptor. */
static int mount_as_user(const char *path, int which, int *ret_fuse, struct err *err)
{
	const char *options =
		which == MOUNTER_DATASETS
			? "ro,nosuid,nodev,default_permissions,fsname=sbx,subtype=sbx"
			: "rw,nosuid,nodev,default_permissions,fsname=sbx,subtype=sbx";
	const char *argv[] = { "fusermount3", "-o", options, "--", path, NULL };
	int sv[2], fds[FD_PASS_MAX], r;
	size_t nfds = 0;
	pid_t pid;
	char c;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "mount '%s'", path);
	pid = spawn_fusermount(argv, sv[1]);
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return err_set(err, -EAGAIN, "start fusermount3");
	}
	r = fd_recv(sv[0], &c, 1, fds, &nfds) < 0 || nfds != 1 ? -EIO : 0;
	close(sv[0]);
	if (wait_exit(pid) == -ENOENT)
		return err_set(err, -ENODEV,
			       "fusermount3 is not installed: install the package fuse3 to mount "
			       "on the host.");
	if (r < 0)
		return err_set(err, -EIO,
			       "fusermount3 could not mount on '%s': is the directory yours, and "
			       "may users mount here? (sbxctl doctor looks further)",
			       path);
	*ret_fuse = fds[0];
	return 0;
}

static void point_umount(struct point *p)
{
	const char *argv[] = { "fusermount3", "-u", "-z", "-q", "--", p->path, NULL };
	pid_t pid;

	if (!p->mounted)
		return;
	p->mounted = false;
	if (geteuid() == 0) {
		(void)umount2(p->path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return;
	}
	pid = spawn_fusermount(argv, -1);
	if (pid > 0)
		(void)wait_exit(pid);
}

static void point_forget(struct point *p)
{
	if (p->made)
		(void)rmdir(p->path);
	*p = (struct point){ 0 };
}

static int point_open(struct point *p, const char *dir, int which, int *ret, struct err *err)
{
	autoclose int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (dirfd < 0)
		return err_set(err, -errno, "open '%s'", dir);
	snprintf(p->path, sizeof(p->path), "%s/%s", dir, names[which]);
	if (mkdirat(dirfd, names[which], 0755) == 0)
		p->made = true;
	else if (errno != EEXIST)
		return err_set(err, -errno, "make '%s'", p->path);
	fd = openat(dirfd, names[which], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '%s'", p->path);
	*ret = fd;
	return 0;
}

static int do_mount(struct point *p, const struct request *q, int *ret_fuse, uint64_t *ret_dev,
		    struct err *err)
{
	autoclose int fd = -1;
	struct statx sx;
	int r = point_open(p, q->dir, q->which, &fd, err);

	if (r == 0)
		r = geteuid() == 0 ? mount_as_root(fd, q->which, ret_fuse, err)
				   : mount_as_user(p->path, q->which, ret_fuse, err);
	if (r < 0) {
		point_forget(p);
		return r;
	}
	p->mounted = true;
	/* From the kernel's cache: nobody serves it yet. */
	if (statx(AT_FDCWD, p->path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &sx) == 0)
		*ret_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	return 0;
}

/* In a process of its own, for it may wait as long as the daemon does.  The daemon never waits for
 * the kernel to write what only the daemon can take: killed meanwhile, it would leave everybody
 * stuck, this one included.  We hold none of its descriptors of /dev/fuse, so its end ends that. */
static _Noreturn void sync_main(const struct point *p, const int *fds, size_t nfds)
{
	const char *path = p->path;
	int dir;

	if (nfds == 3) { /* into the namespaces of a private mount */
		path = "/workspace";
		if (setns(fds[1], CLONE_NEWUSER) < 0 || setns(fds[2], CLONE_NEWNS) < 0)
			_exit(1);
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_exit(dir >= 0 && syncfs(dir) == 0 ? 0 : 1);
}

/* fds[0] closes with the process that does it. */
static void do_sync(const struct point *p, const int *fds, size_t nfds)
{
	pid_t pid = nfds > 0 ? fork() : -1;

	if (pid == 0) {
		pid_t grandchild = fork(); /* nobody of us waits for it */

		if (grandchild == 0)
			sync_main(p, fds, nfds);
		_exit(0);
	}
	if (pid > 0)
		(void)wait_exit(pid);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

static void serve_one(struct point *points, const struct request *q, int sock)
{
	struct reply a = { .dev = 0 };
	int fuse = -1, r = 0;

	for (int i = 0; i < MOUNTER_COUNT && q->command != DO_MOUNT; i++) {
		if (q->command == DO_UMOUNT)
			point_umount(&points[i]);
		point_forget(&points[i]);
	}
	if (q->command == DO_MOUNT)
		r = do_mount(&points[q->which], q, &fuse, &a.dev, &a.err);
	a.err.code = r;
	(void)fd_send(sock, &a, sizeof(a), &fuse, fuse >= 0 ? 1 : 0);
	if (fuse >= 0)
		close(fuse);
}

static _Noreturn void mounter_main(int sock, bool foreground)
{
	static struct point points[MOUNTER_COUNT];
	static struct request q;
	int fds[FD_PASS_MAX], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t nfds;

	/* It ends with its socket and not by signals meant for the daemon or its terminal. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	(void)prctl(PR_SET_NAME, "sbxfsd-mounts");
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)setsid();
	if (chdir("/") < 0)
		_exit(1);
	sock = dup2(sock, 3); /* nothing else stays open */
	(void)fcntl(sock, F_SETFD, FD_CLOEXEC);
	(void)syscall(SYS_close_range, 4, ~0u, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (!(fd == 2 && foreground))
			(void)dup2(null, fd);
	while (fd_recv(sock, &q, sizeof(q), fds, &nfds) == (ssize_t)sizeof(q)) {
		if (q.command == DO_SYNC)
			do_sync(&points[MOUNTER_WORKSPACE], fds, nfds);
		else
			serve_one(points, &q, sock);
	}
	for (int i = 0; i < MOUNTER_COUNT; i++) {
		point_umount(&points[i]);
		point_forget(&points[i]);
	}
	_exit(0);
}

/* -- the daemon's side ---------------------------------------------------- */

int mounter_start(bool foreground, struct mounter *ret, struct err *err)
{
	int sv[2];
	pid_t pid;

	*ret = (struct mounter){ .sock = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "start the helper for mounts");
	pid = fork();
	if (pid < 0) {
		int r = err_set(err, -errno, "start the helper for mounts");

		close(sv[0]);
		close(sv[1]);
		return r;
	}
	if (pid == 0)
		mounter_main(sv[1], foreground);
	close(sv[1]);
	*ret = (struct mounter){ .sock = sv[0], .pid = pid };
	return 0;
}

static int ask(struct mounter *m, const struct request *q, int *ret_fuse, uint64_t *ret_dev,
	       struct err *err)
{
	int fds[FD_PASS_MAX], r = fd_send(m->sock, q, sizeof(*q), NULL, 0);
	struct reply a;
	size_t nfds = 0;

	if (r < 0 || fd_recv(m->sock, &a, sizeof(a), fds, &nfds) != (ssize_t)sizeof(a))
		return err_set(err, -EIO, "the helper for mounts is gone.");
	if (a.err.code < 0) {
		a.err.text[sizeof(a.err.text) - 1] = '\0';
		if (err)
			*err = a.err;
		return a.err.code;
	}
	if (ret_fuse && nfds != 1)
		return err_set(err, -EIO, "the helper for mounts sent nothing.");
	if (ret_fuse) {
		*ret_fuse = fds[0];
		*ret_dev = a.dev;
	}
	return 0;
}

int mounter_mount(struct mounter *m, int which, const char *dir, int *ret_fuse, uint64_t *ret_dev,
		  struct err *err)
{
	struct request q = { .command = DO_MOUNT, .which = which };

	if (strlen(dir) >= sizeof(q.dir))
		return err_set(err, -ENAMETOOLONG, "mount on '%s'", dir);
	strcpy(q.dir, dir);
	return ask(m, &q, ret_fuse, ret_dev, err);
}

void mounter_umount(struct mounter *m)
{
	struct request q = { .command = DO_UMOUNT };

	(void)ask(m, &q, NULL, NULL, NULL);
}

void mounter_forget(struct mounter *m)
{
	struct request q = { .command = DO_FORGET };

	(void)ask(m, &q, NULL, NULL, NULL);
}

int mounter_sync(const struct mounter *m, int userns_fd, int mntns_fd)
{
	struct request q = { .command = DO_SYNC };
	int p[2], fds[3], r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	fds[0] = p[1];
	fds[1] = userns_fd;
	fds[2] = mntns_fd;
	r = fd_send(m->sock, &q, sizeof(q), fds, userns_fd >= 0 ? 3 : 1);
	close(p[1]);
	if (r < 0) {
		close(p[0]);
		return r;
	}
	return p[0];
}

void mounter_end(struct mounter *m)
{
	if (m->sock < 0)
		return;
	close(m->sock);
	m->sock = -1;
	while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
