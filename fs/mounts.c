/* The two mounts of a workspace, in its own namespace or on the host: one place at a time, because
 * two kernel caches over one store would not see each other's writes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "fs/bdi.h"
#include "fs/brake.h"
#include "fs/data.h"
#include "fs/fsd.h"
#include "fs/holder.h"
#include "fs/ops.h"
#include "fs/out.h"
#include "fs/session.h"
#include "fs/store.h"
#include "fs/volume.h"

#define WORKERS_DATASETS  3
#define WORKERS_WORKSPACE 4
#define FLUSH_WAIT_MS     10000 /* for the kernel to write what it holds, once unmounted */

#define PAYLOAD_BASE  2000000000u
#define PAYLOAD_INNER 1000u

/* -- what the brake needs -------------------------------------------------- */

static uint64_t brake_disk_room(void *ctx)
{
	return out_disk_room(((struct fsd *)ctx)->out);
}

static int brake_writers(void *ctx, uint64_t **ret, size_t *ret_n)
{
	return out_writable(((struct fsd *)ctx)->out, ret, ret_n);
}

static void brake_expire(void *mount, uint64_t nodeid)
{
	session_forget_attr(mount, nodeid);
}

static int sync_start(void *ctx)
{
	const struct fsd *d = ctx;

	return mounter_sync(&d->mounter, d->mounts.userns_fd, d->mounts.mntns_fd);
}

static uint64_t brake_bound(void *ctx, uint64_t want)
{
	return bdi_dirty_bound(((struct fsd *)ctx)->mounts.writing_dev, want);
}

static int make_brake(struct fsd *d, uint64_t dev, struct err *err)
{
	struct brake_ops ops = {
		.ctx = d,
		.disk_room = brake_disk_room,
		.writers = brake_writers,
		.expire = brake_expire,
		.sync_start = sync_start,
		.bound = brake_bound,
	};
	bool root_writes = d->mounts.kind == MOUNTED_HOST && geteuid() == 0;
	int r;

	bool strict = false;

	(void)json_get_bool(volume_settings(d->vol), "quota.strict", &strict, NULL);
	out_set_strict(d->out, strict);
	if (strict || out_read_only(d->out))
		return 0;
	d->mounts.writing_dev = dev;
	r = brake_new(d->quota, &ops, root_writes, &d->mounts.brake);
	return r < 0 ? err_set(err, r, "watch the quota") : 0;
}

/* The ops tables are incomplete types here: only ops*.c and session.c know libfuse. */
static int start_session(struct fsd *d, int which, int fd, uint64_t dev, struct err *err)
{
	struct session_params p = {
		.ops = which == MOUNT_DATASETS ? &ops_data : &ops_out,
		.layer = which == MOUNT_DATASETS ? (void *)d->data : (void *)d->out,
		.workers = which == MOUNT_DATASETS ? WORKERS_DATASETS : WORKERS_WORKSPACE,
		.bdi_dev = dev,
		.idmap = which == MOUNT_WORKSPACE && d->mounts.kind == MOUNTED_HOST &&
			 geteuid() == 0,
		.passthrough = which == MOUNT_DATASETS && geteuid() == 0,
	};
	int r = which == MOUNT_WORKSPACE ? make_brake(d, dev, err) : 0;

	if (r < 0) {
		close(fd);
		return r;
	}
	if (which == MOUNT_WORKSPACE) {
		p.brake = d->mounts.brake;
		p.sync_start = sync_start;
		p.sync_ctx = d;
		out_late_start(d->out);
	}
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

/* Sandboxes run as (uid, gid) of the mount's namespace; the datasets are shown as theirs. Owners of
 * outputs live in the store when we are root; else there is one only. */
static void set_owner(struct fsd *d, uid_t uid, gid_t gid)
{
	struct out_ids ids = { OUT_IDS_ONE, uid, gid, 0 };

	if (geteuid() == 0 && d->mounts.kind == MOUNTED_HOST)
		ids = (struct out_ids){ OUT_IDS_ALL, (uid_t)-1, (gid_t)-1, uid };
	else if (geteuid() == 0)
		ids.kind = OUT_IDS_PAIR;
	d->mounts.uid = uid;
	d->mounts.gid = gid;
	out_set_ids(d->out, &ids);
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

	if (m->kind == MOUNTED_PRIVATE && m->session[MOUNT_DATASETS] && m->session[MOUNT_WORKSPACE])
		return 0;
	/* Cut off by the host's administrator (fusectl), or by an error of ours: made anew once
	 * nobody looks at the dead ones. */
	if (m->kind == MOUNTED_PRIVATE && has_sessions(d))
		return err_set(err, -EBUSY,
			       "the mounts of this workspace were cut off under a running "
			       "session: end its runs, then start again.");
	if (m->kind == MOUNTED_PRIVATE)
		mounts_end(d);
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

static int host_one(struct fsd *d, int which, uint64_t *ret_dev, struct err *err)
{
	int fuse = -1;
	int r = mounter_mount(&d->mounter, which, d->mounts.dir, &fuse, ret_dev, err);

	return r < 0 ? r : start_session(d, which, fuse, *ret_dev, err);
}

static int host_check(struct fsd *d, const char *dir, struct err *err)
{
	char source[64];

	if (!path_is_clean_absolute(dir))
		return err_set(err, -EINVAL, "'%s' is not a clean absolute path.", dir);
	/* Its files would be asked of us by ourselves. */
	if (data_has_below(d->data, dir, source))
		return err_set(err, -EINVAL,
			       "dataset '%s' is inside '%s': mount the workspace somewhere else.",
			       source, dir);
	return 0;
}

int mounts_host(struct fsd *d, const char *dir, struct err *err)
{
	struct mounts *m = &d->mounts;
	uint64_t devs[MOUNT_COUNT] = { 0, 0 };
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
	r = host_check(d, dir, err);
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
	r = host_one(d, MOUNT_DATASETS, &devs[0], err);
	if (r == 0)
		r = host_one(d, MOUNT_WORKSPACE, &devs[1], err);
	data_set_own_devices(d->data, (dev_t[]){ devs[0], devs[1] });
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
	free(d->mounts.dir);
	brake_free(d->mounts.brake);
	d->mounts = (struct mounts){ .userns_fd = -1, .mntns_fd = -1 };
}

static void session_gone(struct fsd *d, int which, unsigned wait_ms)
{
	if (!d->mounts.session[which])
		return;
	if (which == MOUNT_WORKSPACE)
		brake_stop(d->mounts.brake);
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
	if (!left && m->kind == MOUNTED_HOST) {
		mounter_forget(&d->mounter);
		mounts_clear(d);
	}
}

void mounts_end(struct fsd *d)
{
	struct mounts *m = &d->mounts;

	if (m->kind == MOUNTED_NOT)
		return;
	if (m->kind == MOUNTED_HOST) {
		mounter_umount(&d->mounter);
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
