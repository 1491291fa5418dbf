#include "shell/ctl_umount.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "shell/ctl_mounts.h"
#include "shell/sbxctl.h"

#define DAEMON_WAIT_MS 120000 /* a full cache on a slow disk may take that long */

/* The outputs first: their writing back is what may fail. */
static const char *const parts[] = { "workspace", "datasets" };

static bool any_part(const char *dir)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		autofree char *point = str_printf("%s/%s", dir, parts[i]);

		if (point && mounts_has(point))
			return true;
	}
	return false;
}

int umount_resolve(const char *typed, char **ret, struct err *err)
{
	autofree char *dir = realpath(typed, NULL);
	char *slash;

	/* Of a dead mount itself realpath() cannot ask anything, of its parent it can. */
	if (!dir && errno == ENOTCONN) {
		autofree char *up = strdup(typed);

		dir = up ? realpath(dirname(up), NULL) : NULL;
	}
	if (!dir)
		return err_set(err, -errno, "unmount '%s'", typed);
	if (!any_part(dir) && mounts_has(dir)) {
		slash = strrchr(dir, '/');
		slash[slash == dir] = '\0';
	}
	if (!any_part(dir))
		return err_set(err, -EINVAL,
			       "no workspace is mounted at '%s'; 'sbxctl status' lists the mounts.",
			       typed);
	*ret = take_ptr(dir);
	return 0;
}

/* fusermount3 is setuid root: it unmounts what its caller mounted.  Its own words are kept for the
 * sentence. */
static int run_fusermount(const char *point, bool lazy, char *said, size_t size)
{
	char *argv[] = { (char *)"fusermount3",         (char *)"-u",
			 (char *)(lazy ? "-z" : "--"),  (char *)(lazy ? "--" : point),
			 (char *)(lazy ? point : NULL), NULL };
	int p[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(p[1]);
	n = pid < 0 ? 0 : fd_read_full(p[0], said, size - 1);
	close(p[0]);
	if (pid < 0)
		return -EAGAIN;
	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return status == 0 ? 0 : strstr(said, "busy") ? -EBUSY : -EPERM;
}

static int busy(const char *point, const char *dir, struct err *err)
{
	char who[256];

	if (mounts_find_user(point, who, sizeof(who)))
		return err_set(err, -EBUSY,
			       "'%s' is in use by %s; end that and try again, or detach it with "
			       "'sbxctl umount --lazy %s'.",
			       point, who, dir);
	return err_set(
		err, -EBUSY,
		"'%s' is in use by a process that is not visible here; 'sudo fuser -vm %s' names "
		"it, 'sbxctl umount --lazy %s' detaches the mount.",
		point, point, dir);
}

static int umount_one(const char *point, const char *dir, bool lazy, struct err *err)
{
	char said[512] = "";
	int r = 0;

	if (geteuid() != 0 && mounts_owner(point) != geteuid())
		return err_set(
			err, -EPERM,
			"'%s' was mounted by another user (uid %u), who may unmount it, as may "
			"root.",
			point, mounts_owner(point));
	/* A dead mount can only be detached; nothing of it can still be written. */
	lazy = lazy || mounts_is_dead(point);
	if (geteuid() == 0) {
		if (umount2(point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0)
			r = -errno;
	} else {
		r = run_fusermount(point, lazy, said, sizeof(said));
	}
	if (r == 0 || !mounts_has(point))
		return 0;
	if (r == -EBUSY)
		return busy(point, dir, err);
	if (r == -ENOENT)
		return err_set(err, -EOPNOTSUPP,
			       "fusermount3 is not installed, so '%s' cannot be unmounted without "
			       "root: install fuse3.",
			       point);
	if (said[0])
		return err_set(err, r, "unmount '%s': %s.", point, said);
	return err_set(err, r, "unmount '%s'", point);
}

static bool lists(const json_t *array, const char *s)
{
	json_t *v;
	size_t i;

	json_array_foreach (array, i, v)
		if (json_is_string(v) && !strcmp(json_string_value(v), s))
			return true;
	return false;
}

/* The status of the daemon that serves this mount, NULL when it is dead. */
static json_t *daemon_of(const char *dir)
{
	autojson json_t *served = ctl_served();
	json_t *s;
	size_t i;

	json_array_foreach (served, i, s)
		if (lists(json_object_get(s, "mounts"), dir))
			return json_incref(s);
	return NULL;
}

/* Sessions go on: the daemon stays, so ask it to put on disk what it has. */
static int sync_daemon(const char *ws, struct err *err)
{
	struct fsc_options o = { .ws = ws };
	autofsc struct fsc *c = NULL;
	int r = fsc_open(&o, &c, err);

	return r < 0 ? r : ctl_call(c, json_pack("{s:s}", "op", "sync"), NULL, err);
}

static int wait_daemon(const json_t *status, int pidfd, bool *ret_still, struct err *err)
{
	const char *ws = ctl_str(status, "path");
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int r;

	if (json_array_size(json_object_get(status, "sessions")) > 0 ||
	    json_array_size(json_object_get(status, "mounts")) > 1) {
		*ret_still = true;
		return sync_daemon(ws, err);
	}
	do
		r = poll(&p, 1, DAEMON_WAIT_MS);
	while (r < 0 && errno == EINTR);
	if (r > 0)
		return 0;
	*ret_still = true;
	return sync_daemon(ws, err);
}

int umount_dir(const char *dir, bool lazy, bool *ret_still, struct err *err)
{
	autojson json_t *status = daemon_of(dir);
	autoclose int pidfd = -1;
	bool still = false;
	int r = 0;

	if (status)
		pidfd = (int)syscall(SYS_pidfd_open, (pid_t)ctl_u64(status, "pid"), 0);
	for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++) {
		autofree char *point = str_printf("%s/%s", dir, parts[i]);

		if (!point)
			return err_set(err, -ENOMEM, "unmount '%s'", dir);
		if (mounts_has(point))
			r = umount_one(point, dir, lazy, err);
		/* The daemon removes the mount points that it made; a dead one cannot. */
		if (r == 0 && !status)
			(void)rmdir(point);
	}
	if (r == 0 && pidfd >= 0 && !lazy)
		r = wait_daemon(status, pidfd, &still, err);
	if (ret_still)
		*ret_still = still;
	return r;
}
