/* Trials of namespaces and mounts: each makes the real thing, then tries to get past it. */
#include "sandbox/probe_try.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "sandbox/devices.h"
#include "sandbox/mnt.h"
#include "sandbox/netns.h"
#include "sandbox/userns.h"

/* One after the other, so that the sentence can name the one that lacks. */
int probe_try_kinds(struct err *err)
{
	static const struct {
		int flag;
		const char *name;
	} kinds[] = {
		{ CLONE_NEWIPC, "ipc" },
		{ CLONE_NEWUTS, "uts" },
		{ CLONE_NEWCGROUP, "cgroup" },
		{ CLONE_NEWPID, "pid" },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (unshare(kinds[i].flag) < 0)
			return err_set(err, -errno, "make a namespace of the kind '%s'",
				       kinds[i].name);
	}
	if (sethostname("sbx-probe", 9) < 0)
		return err_set(err, -errno, "set the host name in a namespace");
	return 0;
}

/* The limit must stop a third. In the sandbox it is set in a /proc of its own; where that of this
 * host is read-only, the row "private /proc" tells whether there can be one. */
int probe_try_second_level(struct err *err)
{
	autoclose int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = proc < 0 ? err_set(err, -errno, "open /proc") : userns_limit_nested(proc, err);

	bool limited = r == 0;

	if (r == 0 || r == -EROFS)
		r = userns_second_level(1000, err);
	if (r == 0 && limited && unshare(CLONE_NEWUSER) == 0)
		r = err_set(err, -EIO, "a third one could be made although the limit is one.");
	return r;
}

static int make_root(int *ret, struct err *err)
{
	const struct mnt_tmpfs t = { .bytes = 1 << 20, .inodes = 64, .mode = "0755" };
	autoclose int root = -1, here = -1;
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, -errno, "make mounts private");
	root = mnt_new_tmpfs(&t, err);
	if (root < 0)
		return root;
	here = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = here < 0 ? err_set(err, -errno, "open /") : mnt_move(root, here, "/", err);
	if (r == 0)
		*ret = take_fd(&root);
	return r;
}

/* The order of the real thing: private, new root, clones of the host. */
int probe_try_mounts(struct err *err)
{
	autoclose int root = -1, made = -1, null = -1;
	int r = make_root(&root, err);

	if (r == 0)
		r = mnt_show(root, "/usr", "/usr", MNT_BASE | MOUNT_ATTR_RDONLY, err);
	if (r == 0)
		r = devices_dev(root, err);
	if (r < 0)
		return r;
	/* EROFS comes before any question of permission. */
	made = openat(root, "usr/sbx-probe", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (made >= 0) {
		unlinkat(root, "usr/sbx-probe", 0);
		return err_set(err, -EIO, "a read-only mount could be written.");
	}
	if (errno != EROFS)
		return err_set(err, -errno, "write to a read-only mount (to see it refused)");
	null = openat(root, "dev/null", O_WRONLY | O_CLOEXEC);
	return null < 0 ? err_set(err, -errno, "open the new /dev/null") : 0;
}

static int proc_in_child(struct err *err)
{
	autoclose int root = -1, proc = -1;
	char self[16];
	ssize_t n;
	int r = make_root(&root, err);

	if (r < 0)
		return r;
	proc = devices_proc(root, err);
	if (proc < 0)
		return proc;
	n = readlinkat(proc, "self", self, sizeof(self) - 1);
	if (n != 1 || self[0] != '1')
		return err_set(err, -EIO, "a new /proc shows the processes of another namespace.");
	return 0;
}

/* A new /proc belongs to a new pid namespace, which only children are in. */
int probe_try_proc(struct err *err)
{
	if (unshare(CLONE_NEWPID) < 0)
		return err_set(err, -errno, "make a process namespace");
	return probe_in_child(proc_in_child, false, err);
}

int probe_try_network(struct err *err)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = netns_loopback_up(err);

	if (r < 0)
		return r;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_set(err, -errno, "reach the own loopback");
	/* An address for documentation (RFC 5737): a way out would find a route. */
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return err_set(err, -EIO, "a new network namespace has a way out.");
	return 0;
}

/* What leaves the session, ignores signals and stops itself; all of it holds the pipe. */
static _Noreturn void survivor(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	setsid();
	if (fork() == 0)
		raise(SIGSTOP);
	for (;;)
		pause();
}

/* The end of pid 1 must be that of everything. */
int probe_try_end(struct err *err)
{
	struct pollfd p = { .events = POLLIN };
	autoclose int held = -1, here = -1;
	int pipe[2];
	char c;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	here = p.fd = pipe[0];
	held = pipe[1];
	if (unshare(CLONE_NEWPID) < 0)
		return err_set(err, -errno, "make a process namespace");
	pid = fork();
	if (pid < 0)
		return err_set(err, -errno, "start a process in a new namespace");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (int i = 0; i < 2; i++)
			if (fork() == 0)
				survivor();
		/* All are up: the end may come. */
		if (write(held, "u", 1) == 1)
			pause();
		_exit(0);
	}
	close(held);
	held = -1;
	if (read(here, &c, 1) != 1)
		return err_set(err, -EIO, "the first process of a new namespace did not start.");
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (poll(&p, 1, 5000) != 1 || read(here, &c, 1) != 0)
		return err_set(err, -EIO, "processes outlived the end of their namespace.");
	return 0;
}

/* Opened inside: a descriptor from outside would be refused. */
int probe_try_fuse(struct err *err)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char opts[80];

	if (fd < 0)
		return err_set(err, -errno, "open /dev/fuse");
	snprintf(opts, sizeof(opts), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("sbx-probe", "/tmp", "fuse", MS_NOSUID | MS_NODEV, opts) < 0)
		return err_set(err, -errno, "mount a FUSE file system in a user namespace");
	return 0;
}
