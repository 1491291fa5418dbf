/* sbxctl mount: the plain view on the host. */
#include "shell/sbxctl.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "shell/ctl_mounts.h"
#include "shell/ctl_umount.h"

struct mount_opts {
	struct ctl_common common;
	bool foreground;
};

static const struct opt mount_table[] = {
	{ "foreground", 'f', OPT_FLAG, offsetof(struct mount_opts, foreground), NULL, NULL,
	  .help = "Stay until unmounted; Ctrl-C unmounts. The daemon's log goes to stderr." },
	CTL_OPT_JSON,
	CTL_OPT_KEYS,
	CTL_OPT_END,
};

static bool is_empty_dir(const char *path)
{
	autoclosedir DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return false;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return true;
}

/* Only an empty directory is mounted on, so that nothing is hidden under it; the empty mount points
 * that a killed daemon left do not count. */
static int check_empty(const char *dir, struct err *err)
{
	autoclosedir DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return err_set(err, -errno, "read directory '%s'", dir);
	while ((e = readdir(d))) {
		autofree char *sub = str_printf("%s/%s", dir, e->d_name);

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (sub && (!strcmp(e->d_name, "datasets") || !strcmp(e->d_name, "workspace")) &&
		    is_empty_dir(sub))
			continue;
		return err_set(err, -ENOTEMPTY,
			       "'%s' is not empty (it has '%s'): mount on an empty directory.", dir,
			       e->d_name);
	}
	return 0;
}

static int check_not_mounted(const char *dir, struct err *err)
{
	static const char *const parts[] = { "workspace", "datasets", "." };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		autofree char *point =
			i < 2 ? str_printf("%s/%s", dir, parts[i]) : str_printf("%s", dir);

		if (!point || !mounts_has(point))
			continue;
		if (mounts_is_dead(point))
			return err_set(
				err, -EBUSY,
				"the daemon of an earlier mount on '%s' was killed; clear it with "
				"'sbxctl umount %s' first.",
				dir, dir);
		return err_set(err, -EBUSY, "a workspace is already mounted on '%s'.", dir);
	}
	return 0;
}

static int check_dir(const char *typed, const char *ws, char **ret, struct err *err)
{
	autofree char *dir = realpath(typed, NULL), *wsdir = NULL;
	struct stat st;
	size_t len;
	int r;

	if (!dir && errno == ENOENT)
		return err_set(err, -ENOENT,
			       "there is no directory '%s': make it first with 'mkdir %s'.", typed,
			       typed);
	if (!dir || stat(dir, &st) < 0)
		return err_set(err, -errno, "mount on '%s'", typed);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "mount on '%s'", typed);
	wsdir = realpath(ws, NULL);
	len = wsdir ? strlen(wsdir) : 0;
	if (len && !strncmp(dir, wsdir, len) && (!dir[len] || dir[len] == '/'))
		return err_set(err, -EINVAL,
			       "'%s' is inside the workspace: mount it somewhere else.", typed);
	r = check_not_mounted(dir, err);
	if (r == 0)
		r = check_empty(dir, err);
	if (r == 0)
		*ret = take_ptr(dir);
	return r;
}

/* Wait until somebody unmounts or the daemon ends; at Ctrl-C unmount. */
static int stay(const char *dir, pid_t daemon, const sigset_t *stop, struct err *err)
{
	autoclose int sig = signalfd(-1, stop, SFD_CLOEXEC);
	autoclose int pidfd = (int)syscall(SYS_pidfd_open, daemon, 0);
	struct pollfd p[] = { { .fd = sig, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
	struct signalfd_siginfo si;
	int r;

	if (sig < 0 || pidfd < 0)
		return err_set(err, -errno, "watch the mount");
	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_set(err, -errno, "watch the mount");
		if (p[1].revents)
			return 0;
		if (!p[0].revents)
			continue;
		if (read(sig, &si, sizeof(si)) < 0)
			return err_set(err, -errno, "watch the mount");
		r = umount_dir(dir, false, NULL, err);
		if (r == 0)
			return 0;
		/* Busy: say so and stay, the next Ctrl-C tries again. */
		log_err(r, err);
	}
}

static int do_mount(const struct mount_opts *o, const char *ws, const char *dir, pid_t *ret_daemon,
		    struct err *err)
{
	struct fsc_options fo = {
		.ws = ws,
		.passphrase_file = o->common.passphrase_file,
		.recovery_file = o->common.recovery_file,
		.start = true,
		.foreground = o->foreground,
	};
	autofsc struct fsc *c = NULL;
	int r = ctl_check_workspace(ws, err);

	if (r == 0)
		r = fsc_open(&fo, &c, err);
	if (r == 0)
		r = ctl_call(c, json_pack("{s:s, s:s}", "op", "mount", "dir", dir), NULL, err);
	if (r == 0)
		*ret_daemon = fsc_pid(c);
	return r;
}

static void print_mounted(const struct mount_opts *o, const char *typed, const char *dir)
{
	autojson json_t *j = json_pack("{s:s}", "mounted", dir);

	if (o->common.json)
		out_json(j);
	else
		printf("Mounted on %s%s%s: the outputs are in %s/workspace, the datasets in "
		       "%s/datasets\nTake it away with: sbxctl umount %s%s\n",
		       out_on(OUT_BOLD), dir, out_off(), typed, typed, typed,
		       o->foreground ? " (or Ctrl-C here)" : "");
	fflush(stdout);
}

static int mount_run(void *opts, int argc, char **argv)
{
	const struct mount_opts *o = opts;
	autofree char *dir = NULL;
	struct err err = { 0 };
	sigset_t stop;
	pid_t daemon = -1;
	int sig, r = check_dir(argv[1], argv[0], &dir, &err);

	(void)argc;
	if (r < 0)
		return ctl_fail(r, &err);
	/* Blocked from before the mount: a Ctrl-C while it is made is answered by unmounting, so
	 * that no mount is left that nobody was told of. */
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	r = do_mount(o, argv[0], dir, &daemon, &err);
	if (r < 0)
		return ctl_fail(r, &err);
	sig = o->foreground ? -1 : sigtimedwait(&stop, NULL, &(struct timespec){ 0 });
	if (sig > 0) {
		r = umount_dir(dir, false, NULL, &err);
		return r < 0 ? ctl_fail(r, &err) : 128 + sig;
	}
	print_mounted(o, argv[1], dir);
	if (o->foreground)
		r = stay(dir, daemon, &stop, &err);
	return r < 0 ? ctl_fail(r, &err) : CTL_OK;
}

static const struct opt_example mount_examples[] = {
	{ "sbxctl mount ws view", "Afterwards view/workspace and view/datasets can be read." },
	{ NULL, NULL },
};

const struct opt_command cmd_mount = {
	.name = "mount",
	.args = "WS DIR",
	.summary = "show the outputs and datasets in the clear on the host",
	.description =
		"Mounts the workspace on the empty directory DIR: DIR/workspace holds the outputs, "
		"to read and write, DIR/datasets the datasets, read-only. Mounted by root, owners, "
		"groups and modes are those of each file and hold for all users; mounted by "
		"another "
		"user, everything is that user's and chown to others is refused. Unprivileged "
		"users need "
		"fusermount3 (package fuse3). Runs that start later use the same view; while "
		"private "
		"runs are going on, mounting is refused.",
	.opts = mount_table,
	.examples = mount_examples,
	.min_args = 2,
	.max_args = 2,
	.run = mount_run,
	.opts_size = sizeof(struct mount_opts),
};
