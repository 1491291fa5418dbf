/* Requests of clients and their answers.  One handler each, in a table; a handler fills the answer
 * or the error, the reply is sent in one place. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "config.h"
#include "fs/arch.h"
#include "fs/brake.h"
#include "fs/control_int.h"
#include "fs/fsd.h"
#include "fs/msglog.h"
#include "fs/out.h"
#include "fs/quota.h"
#include "fs/request.h"
#include "fs/session.h"
#include "fs/settings.h"
#include "fs/store.h"
#include "fs/volume.h"
#include "keys/buffer.h"
#include "keys/identity.h"
#include "keys/secret.h"

#define PASSPHRASE_MAX 4096
#define PASSPHRASE_MS  2000

json_t *reply_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *reply_error(int code, const struct err *err)
{
	char text[ERR_TEXT_MAX * 4];

	str_printable(err && err->text[0] ? err->text : strerror(-code), text, sizeof(text));
	return json_pack("{s:b, s:i, s:s}", "ok", 0, "code", -code, "error", text);
}

/* -- what is -------------------------------------------------------------- */

static int do_hello(struct work *w, struct answer *a, struct err *err)
{
	struct fsd *d = w->d;

	json_object_set(a->j, "id", json_object_get(volume_settings(d->vol), "id"));
	json_object_set_new(a->j, "pid", json_integer(getpid()));
	json_object_set_new(a->j, "version", json_string(SBX_VERSION));
	json_object_set_new(a->j, "path", json_string(volume_path(d->vol)));
	json_object_set_new(a->j, "read_only", json_boolean(volume_read_only(d->vol)));
	return 0;
}

json_t *control_settings(const struct fsd *d)
{
	return json_deep_copy(volume_settings(d->vol));
}

static int do_show(struct work *w, struct answer *a, struct err *err)
{
	return json_object_set_new(a->j, "settings", control_settings(w->d)) < 0 ? -ENOMEM : 0;
}

static json_t *session_rows(struct fsd *d)
{
	json_t *rows = json_array();

	for (struct conn *c = d->conns; c; c = c->next)
		if (c->run[0])
			json_array_append_new(rows,
					      json_pack("{s:s, s:i, s:s}", "run", c->run, "pid",
							(int)c->pid, "since", c->since));
	return rows;
}

static json_t *quota_row(const struct fsd *d)
{
	const char *writes = NULL;
	struct quota_usage q;

	quota_get(d->quota, &q);
	/* Only a mount that writes has a way of writing; without a brake it is the strict one. */
	if (d->mounts.kind != MOUNTED_NOT && !volume_read_only(d->vol))
		writes = !d->mounts.brake               ? "strict"
			 : brake_is_on(d->mounts.brake) ? "through"
							: "cached";
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?}", "bytes", (json_int_t)q.bytes, "files",
			 (json_int_t)q.files, "limit_bytes", (json_int_t)q.limit_bytes,
			 "limit_files", (json_int_t)q.limit_files, "refused", (json_int_t)q.refused,
			 "writes", writes);
}

static int do_quota(struct work *w, struct answer *a, struct err *err)
{
	return json_object_set_new(a->j, "quota", quota_row(w->d)) < 0 ? -ENOMEM : 0;
}

static int do_status(struct work *w, struct answer *a, struct err *err)
{
	struct fsd *d = w->d;
	const json_t *s = volume_settings(d->vol);
	struct secret_usage secrets;
	json_t *mounts = json_array();

	if (d->mounts.kind == MOUNTED_HOST)
		json_array_append_new(mounts, json_string(d->mounts.dir));
	secret_usage(&secrets);
	json_object_set(a->j, "id", json_object_get(s, "id"));
	json_object_set_new(a->j, "path", json_string(volume_path(d->vol)));
	json_object_set(a->j, "cipher", json_object_get(s, "cipher"));
	json_object_set_new(a->j, "pid", json_integer(getpid()));
	json_object_set_new(a->j, "read_only",
			    json_boolean(volume_read_only(d->vol) || store_failed(d->store)));
	json_object_set_new(a->j, "keys_locked", json_boolean(secrets.locked));
	json_object_set_new(a->j, "memory_locked", json_boolean(buffer_process_locked()));
	json_object_set_new(a->j, "quota", quota_row(d));
	json_object_set_new(a->j, "sessions", session_rows(d));
	json_object_set_new(a->j, "mounts", mounts);
	json_object_set_new(a->j, "datasets", control_dataset_rows(d));
	json_object_set_new(a->j, "open_files", json_integer(out_open_files(d->out)));
	json_object_set_new(a->j, "requests", mounts_requests(d));
	json_object_set_new(a->j, "messages", msglog_last(d->log));
	return 0;
}

/* -- sessions and mounts -------------------------------------------------- */

static void session_begin(struct conn *c, const char *run)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(c->since, sizeof(c->since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(c->run, sizeof(c->run), "%s", run);
}

static int do_session(struct work *w, struct answer *a, struct err *err)
{
	struct fsd *d = w->d;
	struct mounts *m = &d->mounts;
	bool host = m->kind == MOUNTED_HOST;
	int r = 0;

	if (w->c->run[0])
		return err_set(err, -EALREADY, "this connection has its session already.");
	if (host && (!m->session[MOUNT_DATASETS] || !m->session[MOUNT_WORKSPACE]))
		return err_set(err, -EBUSY,
			       "the workspace is half unmounted from '%s': unmount the rest first.",
			       m->dir);
	if (!host)
		r = mounts_private(d, err);
	if (r < 0)
		return r;
	json_object_set_new(a->j, "kind", json_string(host ? "host" : "private"));
	if (host)
		json_object_set_new(a->j, "host_dir", json_string(m->dir));
	json_object_set_new(a->j, "outer_uid", json_integer(m->uid));
	json_object_set_new(a->j, "outer_gid", json_integer(m->gid));
	if (host && geteuid() == 0 && session_idmapped(m->session[MOUNT_WORKSPACE])) {
		struct out_who owner;

		out_get_owner(d->out, &owner);
		json_object_set_new(a->j, "volume_uid", json_integer(owner.uid));
		json_object_set_new(a->j, "volume_gid", json_integer(owner.gid));
	}
	json_object_set_new(a->j, "settings", control_settings(d));
	json_object_set_new(a->j, "quota", quota_row(d));
	if (!host) {
		a->fds[0] = m->userns_fd;
		a->fds[1] = m->mntns_fd;
		a->nfds = 2;
	}
	session_begin(w->c, w->req->run);
	return 0;
}

static int do_mount(struct work *w, struct answer *a, struct err *err)
{
	int r = mounts_host(w->d, w->req->dir, err);

	if (r == 0)
		json_object_set_new(a->j, "mounted", json_string(w->req->dir));
	return r;
}

static int do_sync(struct work *w, struct answer *a, struct err *err)
{
	int r = store_sync(w->d->store);

	return r < 0 ? err_set(err, r, "make the outputs durable") : 0;
}

/* -- edits ---------------------------------------------------------------- */

static int counter_record(struct fsd *d, struct err *err)
{
	int r = store_set_conf_counter(d->store, volume_conf_counter(d->vol));

	return r < 0 ? err_set(err, r, "record the change in the store") : 0;
}

int control_settings_put(struct fsd *d, const json_t *settings, struct err *err)
{
	int r = volume_edit(d->vol, settings, err);

	return r < 0 ? r : counter_record(d, err);
}

static int do_set(struct work *w, struct answer *a, struct err *err)
{
	struct fsd *d = w->d;
	autojson json_t *s = control_settings(d);
	uint64_t bytes = 0, files = 0, cache = ARCH_CACHE_DEFAULT;
	const char *path;
	json_t *value;
	int r = 0;

	json_object_foreach ((json_t *)w->req->changes, path, value) {
		r = settings_set(s, path, value, err);
		if (r < 0)
			return r;
	}
	r = control_settings_put(d, s, err);
	if (r < 0)
		return r;
	(void)json_get_u64(s, "quota.bytes", &bytes, NULL);
	(void)json_get_u64(s, "quota.files", &files, NULL);
	quota_set_limits(d->quota, bytes, files);
	(void)json_get_u64(s, "quota.cache", &cache, NULL);
	arch_cache_set_bytes(d->archives, cache);
	return do_show(w, a, err);
}

/* -- keys ----------------------------------------------------------------- */

static int do_key_list(struct work *w, struct answer *a, struct err *err)
{
	json_t *slots = NULL;
	int r = volume_key_list(w->d->vol, &slots, err);

	if (r == 0)
		json_object_set_new(a->j, "slots", slots);
	return r;
}

/* There is one thread for all clients: one that keeps its end open and sends nothing must not hold
 * up the others.  The passphrase was typed before it is sent. */
static ssize_t read_within(int fd, uint8_t *buf, size_t size, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec now, until;
	size_t done = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	for (;;) {
		ssize_t n;
		long left;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = ms - (now.tv_sec - until.tv_sec) * 1000 -
		       (now.tv_nsec - until.tv_nsec) / 1000000;
		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = read(fd, buf + done, size - done);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
		if (n == 0 || done == size)
			return (ssize_t)done;
	}
}

static int add_passphrase(struct work *w, char slot[static 64], struct err *err)
{
	autosecret uint8_t *pass = secret_alloc(PASSPHRASE_MAX);
	ssize_t n;

	if (w->fd < 0)
		return err_set(err, -EINVAL, "no descriptor to read the passphrase from.");
	if (!pass)
		return err_set(err, -ENOMEM, "read the passphrase");
	n = read_within(w->fd, pass, PASSPHRASE_MAX, PASSPHRASE_MS);
	if (n < 0)
		return err_set(err, (int)n, "read the passphrase");
	if (n == PASSPHRASE_MAX)
		return err_set(err, -EINVAL, "the passphrase is too long.");
	if (n > 0 && pass[n - 1] == '\n')
		n--;
	if (n == 0)
		return err_set(err, -EINVAL, "the passphrase is empty.");
	return volume_key_add_passphrase(w->d->vol, pass, (size_t)n, slot, err);
}

static int add_recovery(struct work *w, struct answer *a, char slot[static 64], struct err *err)
{
	autosecret char *text = secret_alloc(80);
	int p[2], r;

	if (!text)
		return err_set(err, -ENOMEM, "make a recovery key");
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a recovery key");
	r = volume_key_add_recovery(w->d->vol, text, slot, err);
	if (r == 0)
		r = fd_write_full(p[1], text, strlen(text)); /* fits into the pipe */
	close(p[1]);
	if (r < 0) {
		close(p[0]);
		return r;
	}
	a->fds[0] = a->owned = p[0];
	a->nfds = 1;
	return 0;
}

static int do_key_add(struct work *w, struct answer *a, struct err *err)
{
	const char *type = w->req->type;
	char slot[64] = "";
	int r;

	if (strcmp(type, "passphrase") == 0)
		r = add_passphrase(w, slot, err);
	else if (strcmp(type, "recovery") == 0)
		r = add_recovery(w, a, slot, err);
	else if (strcmp(type, "recipient") == 0 && w->req->public)
		r = volume_key_add_recipient(w->d->vol, w->req->public, slot, err);
	else
		return err_set(err, -EINVAL,
			       "a key is a 'passphrase', a 'recovery' or a 'recipient' with its "
			       "'public' key.");
	if (r < 0)
		return r;
	json_object_set_new(a->j, "slot", json_string(slot));
	return counter_record(w->d, err);
}

static int do_key_remove(struct work *w, struct answer *a, struct err *err)
{
	int r = volume_key_remove(w->d->vol, w->req->slot, err);

	return r < 0 ? r : counter_record(w->d, err);
}

/* -- one request ---------------------------------------------------------- */

static int (*const handlers[])(struct work *w, struct answer *a, struct err *err) = {
	[REQ_HELLO] = do_hello,
	[REQ_SESSION] = do_session,
	[REQ_MOUNT] = do_mount,
	[REQ_STATUS] = do_status,
	[REQ_QUOTA] = do_quota,
	[REQ_SHOW] = do_show,
	[REQ_SET] = do_set,
	[REQ_DATASET_INDEX] = control_dataset_index,
	[REQ_DATASET_PIN] = control_dataset_pin,
	[REQ_DATASET_VERIFY] = control_dataset_verify,
	[REQ_DATASET_ADD] = control_dataset_add,
	[REQ_DATASET_REMOVE] = control_dataset_remove,
	[REQ_DATASET_LIST] = control_dataset_list,
	[REQ_KEY_LIST] = do_key_list,
	[REQ_KEY_ADD] = do_key_add,
	[REQ_KEY_REMOVE] = do_key_remove,
	[REQ_SYNC] = do_sync,
};

static int handle(struct fsd *d, struct conn *c, const struct request *req, int fd,
		  struct answer *a, struct err *err)
{
	struct work w = { .d = d, .c = c, .req = req, .fd = fd };

	if (req->edits && volume_read_only(d->vol))
		return err_set(err, -EROFS,
			       "workspace '%s' is open for reading only: this key, or its place on "
			       "the disk, allows no more.",
			       volume_path(d->vol));
	return handlers[req->op](&w, a, err);
}

/* Never waits: a client that asks and does not read the answers is closed. */
static int answer_send(struct conn *c, const struct answer *a)
{
	autofree char *text = json_canonical(a->j);

	if (!text)
		return -ENOMEM;
	return fd_send(c->fd, text, strlen(text), a->fds, a->nfds);
}

bool control_serve(struct fsd *d, struct conn *c)
{
	autofree char *buf = malloc(REQUEST_MAX);
	struct answer a = { .owned = -1 };
	struct request req = { 0 };
	struct err err = { 0 };
	int fds[FD_PASS_MAX], r;
	size_t nfds = 0;
	ssize_t n;

	if (!buf)
		return false;
	n = fd_recv(c->fd, buf, REQUEST_MAX, fds, &nfds);
	if (n <= 0)
		return n == -EAGAIN;
	a.j = reply_ok();
	r = request_parse(buf, (size_t)n, &req, &err);
	if (r == 0)
		r = handle(d, c, &req, nfds > 0 ? fds[0] : -1, &a, &err);
	request_free(&req);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	if (r < 0) {
		json_decref(a.j);
		a.j = reply_error(r, &err);
		a.nfds = 0;
	}
	r = answer_send(c, &a);
	json_decref(a.j);
	if (a.owned >= 0)
		close(a.owned);
	return r == 0;
}
