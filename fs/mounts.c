/* The two mounts of a workspace, in its own namespace or on the host: one place at a time, because
 * two kernel caches over one store would not see each other's writes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/data.h"
#include "fs/fsd.h"
#include "fs/holder.h"
#include "fs/msglog.h"
#include "fs/ops.h"
#include "fs/out.h"
#include "fs/session.h"
#include "fs/store.h"

#define WORKERS_DATASETS  3
#define WORKERS_WORKSPACE 4
#define FLUSH_WAIT_MS     10000 /* for the kernel to write what it holds, once unmounted */

#define PAYLOAD_BASE  2000000000u
#define PAYLOAD_INNER 1000u

static const char *const mount_names[MOUNT_COUNT] = { "datasets", "workspace" };

/* The ops tables are incomplete types here: only ops*.c and session.c know libfuse. */
static int start_session(struct fsd *d, int which, int fd, uint64_t dev, struct err *err)
{
	struct session_params p = {
		.ops = which == MOUNT_DATASETS ? &ops_data : &ops_out,
		.layer = which == MOUNT_DATASETS ? (void *)d->data : (void *)d->out,
		.workers = which == MOUNT_DATASETS ? WORKERS_DATASETS : WORKERS_WORKSPACE,
		.bdi_dev = dev,
	};

	return session_start(fd, &p, &d->mounts.session[which], err);
}

/* -- ids ------------------------------------------------------------------ */

/* Is 'id' mapped here, and which is the highest that is? From /proc/self/uid_map or gid_map. */
static bool id_mapped(const char *file, uint64_t id, uint64_t *ret_highest)
{
	autofree char *text = NULL;
	bool found = false;

	*ret_highest = 0;
	if (fd_read_attr(AT_FDCWD, file, &text) < 0)
		return false;
	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		unsigned long long first, outer, count;

		if (*line == '\n')
			line++;
		if (sscanf(line, "%llu %llu %llu", &first, &outer, &count) != 3 || count == 0)
			break;
		if (id >= first && id - first < count)
			found = true;
		if (first + count - 1 > *ret_highest)
			*ret_highest = first + count - 1;
	}
	return found;
}

bool payload_id(const uint8_t vol_id[static 16], uid_t *ret)
{
	uint64_t id = PAYLOAD_BASE + le16_load(vol_id), uids, gids;
	bool uid_ok, gid_ok;

	if (geteuid() != 0)
		return false;
	uid_ok = id_mapped("/proc/self/uid_map", id, &uids);
	gid_ok = id_mapped("/proc/self/gid_map", id, &gids);
	if (!uid_ok || !gid_ok)
		id = MIN(uids, gids);
	if (id == 0 || id >= UINT32_MAX)
		return false;
	*ret = (uid_t)id;
	return true;
}

static void set_owner(struct fsd *d, uid_t uid, gid_t gid)
{
	d->mounts.uid = uid;
	d->mounts.gid = gid;
	out_set_owner(d->out, uid, gid);
	data_set_owner(d->data, uid, gid);
}

bool has_sessions(const struct fsd *d)
{
	for (const struct conn *c = d->conns; c; c = c->next)
		if (c->run[0])
			return true;
	return false;
}

/* -- private -------------------------------------------------------------- */

int mounts_private(struct fsd *d, struct err *err)
{
	struct mounts *m = &d->mounts;
	struct holder_result h;
	uid_t payload = 0;
	int r;

	if (m->kind == MOUNTED_PRIVATE)
		return 0;
	if (m->kind == MOUNTED_HOST)
		return err_set(err, -EBUSY, "the workspace is mounted on '%s'.", m->dir);
	if (!payload_id(store_get_params(d->store)->vol_id, &payload))
		payload = 0;
	r = holder_make(payload, &h, err);
	if (r < 0)
		return r;
	m->kind = MOUNTED_PRIVATE;
	m->userns_fd = h.userns_fd;
	m->mntns_fd = h.mntns_fd;
	set_owner(d, payload ? PAYLOAD_INNER : 0, payload ? PAYLOAD_INNER : 0);
	r = start_session(d, MOUNT_DATASETS, h.fuse_fd[0], h.dev[0], err);
	if (r == 0)
		r = start_session(d, MOUNT_WORKSPACE, h.fuse_fd[1], h.dev[1], err);
	else
		close(h.fuse_fd[1]);
	if (r < 0)
		mounts_end(d);
	return r;
}

/* -- on the host ---------------------------------------------------------- */

/* mount(2) through a descriptor of the mount point: nobody can exchange it meanwhile. */
static int mount_as_root(int point, int which, int *ret_fuse, struct err *err)
{
	char target[64], options[128];
	autoclose int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	unsigned long flags = MS_NOSUID | MS_NODEV;

	if (fuse < 0)
		return err_set(err, -ENODEV, "/dev/fuse cannot be opened (%s): run sbxctl doctor.",
			       strerror(errno));
	if (which == MOUNT_DATASETS)
		flags |= MS_RDONLY;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", point);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fuse);
	if (mount("sbx", target, "fuse.sbx", flags, options) < 0)
		return err_set(err, -errno, "mount '%s'", mount_names[which]);
	*ret_fuse = take_fd(&fuse);
	return 0;
}

static pid_t spawn_fusermount(char *const *argv, int comm)
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
	execvpe("fusermount3", argv, envp);
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
		which == MOUNT_DATASETS
			? "ro,nosuid,nodev,default_permissions,fsname=sbx,subtype=sbx"
			: "rw,nosuid,nodev,default_permissions,fsname=sbx,subtype=sbx";
	const char *argv[] = { "fusermount3", "-o", options, "--", path, NULL };
	int sv[2], fds[FD_PASS_MAX], r;
	size_t nfds = 0;
	char c;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return err_set(err, -errno, "mount '%s'", path);
	pid = spawn_fusermount((char *const *)argv, sv[1]);
	close(sv[1]);
	r = pid < 0 ? -EAGAIN : 0;
	if (r == 0 && (fd_recv(sv[0], &c, 1, fds, &nfds) < 0 || nfds != 1))
		r = -EIO;
	close(sv[0]);
	if (pid > 0 && r < 0) {
		r = wait_exit(pid);
		if (r == -ENOENT)
			return err_set(err, -ENODEV,
				       "fusermount3 is not installed: install the package fuse3 to "
				       "mount on the host.");
		return err_set(err, -EIO,
			       "fusermount3 could not mount on '%s' (its message is in the "
			       "log; sbxctl doctor looks further).",
			       path);
	}
	if (r < 0)
		return err_set(err, r, "start fusermount3");
	(void)wait_exit(pid);
	*ret_fuse = fds[0];
	return 0;
}

static void umount_host(const char *path)
{
	const char *argv[] = { "fusermount3", "-u", "-z", "-q", "--", path, NULL };

	if (geteuid() == 0) {
		(void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return;
	}
	(void)wait_exit(spawn_fusermount((char *const *)argv, -1));
}

static char *point_path(const struct mounts *m, int which)
{
	return str_printf("%s/%s", m->dir, mount_names[which]);
}

/* The mount point, made if it is missing. */
static int point_open(struct mounts *m, int dirfd, int which, int *ret, struct err *err)
{
	const char *name = mount_names[which];
	int fd;

	if (mkdirat(dirfd, name, 0755) == 0)
		m->made_dir[which] = true;
	else if (errno != EEXIST)
		return err_set(err, -errno, "make '%s/%s'", m->dir, name);
	fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '%s/%s'", m->dir, name);
	*ret = fd;
	return 0;
}

static int host_one(struct fsd *d, int dirfd, int which, dev_t *ret_dev, struct err *err)
{
	struct mounts *m = &d->mounts;
	autofree char *path = point_path(m, which);
	autoclose int point = -1;
	struct statx sx;
	int fuse = -1, r;

	if (!path)
		return err_set(err, -ENOMEM, "mount");
	r = point_open(m, dirfd, which, &point, err);
	if (r < 0)
		return r;
	r = geteuid() == 0 ? mount_as_root(point, which, &fuse, err)
			   : mount_as_user(path, which, &fuse, err);
	if (r < 0)
		return r;
	*ret_dev = 0;
	/* From the kernel's cache: nobody serves it yet. */
	if (statx(dirfd, mount_names[which], AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO,
		  &sx) == 0)
		*ret_dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	return start_session(d, which, fuse, *ret_dev, err);
}

static int host_dir(struct fsd *d, const char *dir, int *ret_fd, struct err *err)
{
	char source[64];
	int fd;

	if (!path_is_clean_absolute(dir))
		return err_set(err, -EINVAL, "'%s' is not a clean absolute path.", dir);
	/* Its files would be asked of us by ourselves. */
	if (data_has_below(d->data, dir, source))
		return err_set(err, -EINVAL,
			       "dataset '%s' is inside '%s': mount the workspace somewhere else.",
			       source, dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open '%s'", dir);
	*ret_fd = fd;
	return 0;
}

int mounts_host(struct fsd *d, const char *dir, struct err *err)
{
	struct mounts *m = &d->mounts;
	autoclose int dirfd = -1;
	dev_t devs[2] = { 0, 0 };
	uid_t uid = geteuid();
	int r;

	if (m->kind == MOUNTED_HOST)
		return err_set(err, -EBUSY, "the workspace is already mounted on '%s'.", m->dir);
	for (const struct conn *c = d->conns; c; c = c->next)
		if (c->run[0])
			return err_set(
				err, -EBUSY,
				"run %s (process %d) uses the workspace: mount it after the run "
				"has ended, or before starting it.",
				c->run, (int)c->pid);
	mounts_end(d); /* namespaces of earlier sessions */
	r = host_dir(d, dir, &dirfd, err);
	if (r < 0)
		return r;
	m->dir = strdup(dir);
	if (!m->dir)
		return err_set(err, -ENOMEM, "mount");
	m->kind = MOUNTED_HOST;
	if (payload_id(store_get_params(d->store)->vol_id, &uid))
		set_owner(d, uid, uid);
	else
		set_owner(d, geteuid(), getegid());
	r = host_one(d, dirfd, MOUNT_DATASETS, &devs[0], err);
	if (r == 0)
		r = host_one(d, dirfd, MOUNT_WORKSPACE, &devs[1], err);
	data_set_own_devices(d->data, devs);
	if (r < 0)
		mounts_end(d);
	return r;
}

/* -- the end -------------------------------------------------------------- */

static void layer_reset(struct fsd *d, int which)
{
	if (which == MOUNT_DATASETS)
		data_reset(d->data);
	else
		out_reset(d->out);
}

static void mounts_clear(struct fsd *d)
{
	struct mounts *m = &d->mounts;

	for (int i = 0; i < MOUNT_COUNT; i++) {
		autofree char *path = m->dir ? point_path(m, i) : NULL;

		if (path && m->made_dir[i])
			(void)rmdir(path);
	}
	free(m->dir);
	*m = (struct mounts){ .userns_fd = -1, .mntns_fd = -1 };
}

static void session_gone(struct fsd *d, int which, unsigned wait_ms)
{
	if (!d->mounts.session[which])
		return;
	session_end(d->mounts.session[which], wait_ms);
	d->mounts.session[which] = NULL;
	layer_reset(d, which);
}

void mounts_collect(struct fsd *d)
{
	struct mounts *m = &d->mounts;
	bool left = false;

	for (int i = 0; i < MOUNT_COUNT; i++) {
		struct pollfd p = { .events = POLLIN };

		if (!m->session[i])
			continue;
		p.fd = session_ended_fd(m->session[i]);
		if (poll(&p, 1, 0) > 0)
			session_gone(d, i, 0);
		else
			left = true;
	}
	if (!left && m->kind == MOUNTED_HOST)
		mounts_clear(d);
}

void mounts_end(struct fsd *d)
{
	struct mounts *m = &d->mounts;

	if (m->kind == MOUNTED_NOT)
		return;
	if (m->kind == MOUNTED_HOST) {
		for (int i = 0; i < MOUNT_COUNT; i++) {
			autofree char *path = m->session[i] ? point_path(m, i) : NULL;

			if (path)
				umount_host(path);
		}
	} else {
		/* The last references to U1: the kernel unmounts, and writes what it still holds.
		 */
		close(m->mntns_fd);
		close(m->userns_fd);
	}
	for (int i = 0; i < MOUNT_COUNT; i++)
		session_gone(d, i, FLUSH_WAIT_MS);
	mounts_clear(d);
}
