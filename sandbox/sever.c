#include "sandbox/sever.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/plan.h"

#define SEVER_WAIT_MS 500

/* A forced unmount first ends the connection and then tries to unmount: that it may say EBUSY is
 * no failure. */
static int force(const char *path)
{
	return umount2(path, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno != EBUSY ? -errno : 0;
}

/* In a child: nobody comes back from there.  Who owns the user namespace of the mounts may end
 * their connections, also without being root. */
static int sever(const struct plan_workspace *w)
{
	static const char *const names[] = { "datasets", "workspace" };
	char path[4096];
	int r = 0;

	if (!w->host_dir &&
	    (setns(w->userns_fd, CLONE_NEWUSER) < 0 || setns(w->mntns_fd, CLONE_NEWNS) < 0))
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int one;

		snprintf(path, sizeof(path), "%s/%s", w->host_dir ? w->host_dir : "", names[i]);
		one = force(path);
		r = r < 0 ? r : one;
	}
	return r;
}

int sever_workspace(const struct plan_workspace *w)
{
	autoclose int pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		_exit(-sever(w) & 0xff);
	}
	p.fd = pidfd = pidfd_open(pid, 0);
	/* It looks up two names in mounts of a daemon that hangs: not for ever. */
	if (pidfd < 0 || poll(&p, 1, SEVER_WAIT_MS) != 1) {
		kill(pid, SIGKILL);
		return -ETIMEDOUT;
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}
