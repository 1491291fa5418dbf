#include "tests/lib/fake_workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define PAYLOAD_ID 2000000001u

static int build(int root)
{
	const char *opts = root ? "mode=755,uid=1000,gid=1000" : "mode=755";
	int fd;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("t", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 ||
	    mkdir("/mnt/datasets", 0755) < 0 || mkdir("/mnt/workspace", 0755) < 0 ||
	    mount("t", "/mnt/datasets", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0 ||
	    mount("t", "/mnt/workspace", "tmpfs", MS_NOSUID | MS_NODEV, opts) < 0)
		return -errno;
	fd = open("/mnt/datasets/hello.txt", O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || fd_write_full(fd, "hello\n", 6) < 0)
		return -errno;
	close(fd);
	if (chdir("/mnt") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0)
		return -errno;
	return 0;
}

static _Noreturn void holder(int up, int down)
{
	char c = 'x';

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (fd_write_full(up, &c, 1) < 0 || fd_read_full(down, &c, 1) != 1)
		_exit(1);
	if (build(geteuid() == 0 && access("/proc/self/setgroups", F_OK) == 0 && c == 'r') < 0)
		_exit(1);
	if (fd_write_full(up, &c, 1) < 0)
		_exit(1);
	fd_read_full(down, &c, 1);
	_exit(0);
}

static int write_maps(pid_t pid, int root)
{
	char path[64], map[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	if (!root)
		r = fd_write_attr(AT_FDCWD, path, "deny");
	for (int i = 0; i < 2 && r == 0; i++) {
		unsigned id = i ? geteuid() : getegid();

		snprintf(path, sizeof(path), "/proc/%d/%s_map", (int)pid, i ? "uid" : "gid");
		if (root)
			snprintf(map, sizeof(map), "0 0 1\n1000 %u 1\n", PAYLOAD_ID);
		else
			snprintf(map, sizeof(map), "0 %u 1\n", id);
		r = fd_write_attr(AT_FDCWD, path, map);
	}
	return r;
}

int fake_workspace_open(struct plan_workspace *ret)
{
	const int root = geteuid() == 0;
	int up[2], down[2];
	char path[64], c = root ? 'r' : 'u';
	pid_t pid;
	int r;

	if (pipe2(up, O_CLOEXEC) < 0 || pipe2(down, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(up[0]);
		close(down[1]);
		holder(up[1], down[0]);
	}
	close(up[1]);
	close(down[0]);
	r = fd_read_full(up[0], &path, 1) == 1 ? write_maps(pid, root) : -EIO;
	if (r == 0)
		r = fd_write_full(down[1], &c, 1);
	if (r == 0 && fd_read_full(up[0], &path, 1) != 1)
		r = -EIO;
	*ret = (struct plan_workspace){ .outer_uid = root ? 1000 : 0,
					.outer_gid = root ? 1000 : 0 };
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	ret->userns_fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	ret->mntns_fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	close(down[1]);
	close(up[0]);
	waitpid(pid, NULL, 0);
	if (r == 0 && (ret->userns_fd < 0 || ret->mntns_fd < 0))
		r = -EIO;
	return r;
}

void fake_workspace_close(struct plan_workspace *w)
{
	if (w->userns_fd >= 0)
		close(w->userns_fd);
	if (w->mntns_fd >= 0)
		close(w->mntns_fd);
	w->userns_fd = w->mntns_fd = -1;
}

struct sandbox_plan fake_plan(const struct plan_workspace *w, char *const *argv)
{
	static char *const env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/sbx",
				     "TERM=xterm", "LANG=C.UTF-8", NULL };

	return (struct sandbox_plan){
		.workspace = *w,
		.uid = 1000,
		.hostname = "sandbox",
		.cwd = "/workspace",
		.argv = argv,
		.envp = env,
		.limits = {
			.pids = 64,
			.tmp_bytes = 16 << 20,
			.shm_bytes = 16 << 20,
			.home_bytes = 16 << 20,
			.nofile = 256,
		},
		.stdio = { 0, 1, 2 },
		.run_id = "20260101T000000Z-test",
	};
}
