/* Making a new workspace.
 *
 * Everything is made and synced inside WS/.sbx-new; then its pieces are renamed into WS,
 * workspace.json last, and the directory removed.  While it exists WS is no workspace
 * (volume_open() says so), and whoever finds it unlocked may clear all of it away: it is what a
 * killed init left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "fs/quota.h"
#include "fs/settings.h"
#include "fs/store.h"
#include "fs/volume_priv.h"
#include "keys/cipher.h"
#include "keys/secret.h"

#define MEASURE_MS      5
#define MEASURE_ROUNDS  3
#define QUOTA_BYTES_MIN 65536u

/* In the order in which they are moved into place. */
static const char *const pieces[] = { WS_STORE, WS_RUNS, WS_LOCK, WS_KEYS, WS_FILE };

struct creation {
	const struct volume_options *o;
	struct volume *v;
	int wsfd, newfd; /* WS, WS/.sbx-new */
	bool made_ws;    /* the directory WS is ours to remove */
	bool flat;
	uint8_t suite;
	json_t *measured, *slots, *report_identity;
	json_t *recipients;
	struct identity *id;
	char id_path[PATH_MAX];
};

/* Where -------------------------------------------------------------------------------------- */

/* What a killed init can have left, and nothing else, goes.  workspace.json is moved last: where it
 * stands, a whole workspace stands, and only the marker is removed. */
static int clear_leftovers(struct creation *c, struct err *err)
{
	autoclose int old =
		openat(c->wsfd, WS_NEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (old < 0)
		return errno == ENOENT ? 0
				       : err_set(err, -errno, "open '%s/" WS_NEW "'", c->o->path);
	if (flock(old, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -EBUSY, "workspace '%s' is being created by another process.",
			       c->o->path);
	if (faccessat(c->wsfd, WS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
			if (remove_tree(c->wsfd, pieces[i]) < 0)
				return err_set(err, -errno, "clear '%s/%s' away", c->o->path,
					       pieces[i]);
	if (remove_tree(c->wsfd, WS_NEW) < 0)
		return err_set(err, -errno, "clear '%s/" WS_NEW "' away", c->o->path);
	return 0;
}

static int check_empty(const struct creation *c, struct err *err)
{
	int fd = openat(c->wsfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (!dir)
		return err_set(err, -errno, "read '%s'", c->o->path);
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    !strcmp(e->d_name, "lost+found")) /* of a filesystem of its own */
			continue;
		if (faccessat(c->wsfd, WS_KEYS "/" CONFIG_FILE, F_OK, 0) == 0)
			return err_set(err, -EEXIST,
				       "'%s' is a workspace already: use it, or name another "
				       "directory.",
				       c->o->path);
		return err_set(err, -EEXIST,
			       "'%s' is not empty (it holds '%s'): name a new or empty directory.",
			       c->o->path, e->d_name);
	}
	return 0;
}

static int open_place(struct creation *c, struct err *err)
{
	int r;

	if (mkdir(c->o->path, 0700) == 0)
		c->made_ws = true;
	else if (errno != EEXIST)
		return err_set(err, -errno, "create '%s'", c->o->path);
	c->wsfd = open(c->o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->wsfd < 0 && errno == ENOTDIR)
		return err_set(err, -EEXIST, "'%s' is there and is no directory.", c->o->path);
	if (c->wsfd < 0)
		return err_set(err, -errno, "open '%s'", c->o->path);
	r = clear_leftovers(c, err);
	if (r == 0)
		r = check_empty(c, err);
	if (r < 0)
		return r;
	if (mkdirat(c->wsfd, WS_NEW, 0700) < 0)
		return err_set(err, -errno, "create '%s/" WS_NEW "'", c->o->path);
	c->newfd = openat(c->wsfd, WS_NEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->newfd < 0 || flock(c->newfd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -errno, "open '%s/" WS_NEW "'", c->o->path);
	r = volume_probe(c->newfd, &c->flat, err);
	return r < 0 ? err_wrap(err, r, "create workspace '%s'", c->o->path) : 0;
}

/* What ---------------------------------------------------------------------------------------- */

static int measure_all(struct creation *c)
{
	unsigned best = 0;

	c->measured = json_object();
	if (!c->measured)
		return -ENOMEM;
	for (uint8_t s = 1; s <= CIPHER_MAX; s++) {
		unsigned speed = 0;
		char key[32];

		if (!cipher_available(s, NULL))
			continue;
		/* The best of a few short rounds: another process may have had the processor. */
		for (int i = 0; i < MEASURE_ROUNDS; i++)
			speed = MAX(speed, cipher_measure(s, MEASURE_MS));
		snprintf(key, sizeof(key), "%s_mbps", cipher_name(s));
		json_object_set_new(c->measured, key, json_integer(speed));
		/* A tenth is noise; ties go to the lower number, which runs everywhere. */
		if (speed > best + best / 10) {
			best = speed;
			c->suite = s;
		}
	}
	return 0;
}

static int choose_cipher(struct creation *c, struct err *err)
{
	const char *name = c->o->cipher ? c->o->cipher : "auto", *why;

	if (strcmp(name, "auto") == 0)
		return measure_all(c) < 0 ? err_set(err, -ENOMEM, "measure the ciphers") : 0;
	c->suite = cipher_by_name(name);
	if (!c->suite)
		return err_set(err, -EINVAL,
			       "there is no cipher '%.32s': auto, xchacha20, aes-gcm and aegis are "
			       "known.",
			       name);
	if (!cipher_available(c->suite, &why))
		return err_set(err, -EOPNOTSUPP, "cipher %s cannot be used here: %s.", name, why);
	return 0;
}

/* The identity is made (and kept, whatever becomes of this) when it is needed: for the owner slot,
 * and to sign for recipients. */
static int need_identity(struct creation *c, struct err *err)
{
	char text[IDENTITY_TEXT_SIZE];
	bool created;
	int r = 0;

	if (c->o->passphrase && c->o->nrecipients == 0)
		return 0;
	if (c->o->identity_path)
		snprintf(c->id_path, sizeof(c->id_path), "%s", c->o->identity_path);
	else
		r = identity_default_path(c->id_path, sizeof(c->id_path), err);
	if (r == 0)
		r = identity_ensure(c->id_path, &c->id, &created, err);
	if (r < 0)
		return r;
	identity_public_text(identity_public(c->id), text);
	c->report_identity = json_pack("{s:s, s:s, s:b}", "path", c->id_path, "public", text,
				       "created", created);
	return c->report_identity ? 0 : err_set(err, -ENOMEM, "report the identity");
}

static int make_keys(struct creation *c, struct err *err)
{
	struct volume *v = c->v;
	int r = volume_keys_new(&v->keys);

	if (r == 0)
		r = volume_keys_add(v->keys, 1, NULL);
	if (r < 0)
		return err_set(err, r, "make the keys of workspace '%s'", c->o->path);
	volume_random(v->keys->names, sizeof(v->keys->names));
	volume_random(v->vol_id, sizeof(v->vol_id));
	v->counter = 1;
	v->flat = c->flat;
	v->slots = json_object();
	v->settings = settings_new(v->vol_id, cipher_name(c->suite), c->o->pad, c->o->quota_bytes,
				   c->o->quota_files);
	if (!v->slots || !v->settings)
		return err_set(err, -ENOMEM, "make the settings of workspace '%s'", c->o->path);
	return 0;
}

static int keep_slot(struct creation *c, const struct slot *s, struct err *err)
{
	int r = slot_write(c->v->keysfd, s, err);

	if (r < 0)
		return r;
	json_object_set_new(c->v->slots, s->id, json_string(slot_type_name(s->type)));
	json_array_append_new(
		c->slots, json_pack("{s:s, s:s}", "slot", s->id, "type", slot_type_name(s->type)));
	return 0;
}

static int make_slots(struct creation *c, struct err *err)
{
	const struct volume_options *o = c->o;
	const struct volume_generation *g = volume_keys_current(c->v->keys);
	json_t *recipients = json_object_get(c->v->settings, "recipients");
	struct slot s;
	int r;

	if (o->passphrase)
		r = slot_wrap_passphrase(c->v->vol_id, 1, g->v, o->passphrase, o->passphrase_len,
					 o->pass_ops, o->pass_mem, &s, err);
	else if ((r = slot_wrap(SLOT_OWNER, c->v->vol_id, 1, g->v, identity_owner_secret(c->id),
				&s)) < 0)
		err_set(err, r, "make the owner's key slot");
	if (r == 0)
		r = keep_slot(c, &s, err);
	for (size_t i = 0; i < o->nrecipients && r == 0; i++) {
		struct identity_public pub;

		r = identity_public_parse(o->recipients[i], &pub, err);
		if (r < 0)
			break;
		slot_wrap_recipient(c->v->vol_id, 1, g->v, c->id, &pub, &s);
		json_array_append_new(recipients, json_pack("{s:s, s:s}", "public",
							    o->recipients[i], "slot", s.id));
		r = keep_slot(c, &s, err);
	}
	return r == 0 ? settings_validate(c->v->settings, err) : r;
}

/* Files --------------------------------------------------------------------------------------- */

static int make_directory(int parent, const char *name, int *ret, struct err *err)
{
	if (mkdirat(parent, name, 0700) < 0)
		return err_set(err, -errno, "create the directory '%s'", name);
	*ret = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_set(err, -errno, "open the directory '%s'", name) : 0;
}

static int make_store(struct creation *c, struct err *err)
{
	struct store_params p = { 0 };
	autoclose int fd = -1;
	struct quota *q = NULL;
	int r = make_directory(c->newfd, WS_STORE, &fd, err);

	if (r < 0)
		return r;
	volume_store_params(c->v, &p);
	r = quota_new(c->o->quota_bytes, c->o->quota_files, &q);
	if (r < 0)
		return err_set(err, r, "create the store");
	p.quota = q;
	r = store_create(fd, &p, c->o->ring_pages ? c->o->ring_pages : RING_PAGES_DEFAULT, err);
	quota_free(q);
	return r;
}

static int make_files(struct creation *c, struct err *err)
{
	autoclose int runs = -1, lock = -1;
	int r = make_directory(c->newfd, WS_KEYS, &c->v->keysfd, err);

	if (r == 0)
		r = make_slots(c, err);
	if (r == 0)
		r = make_directory(c->newfd, WS_RUNS, &runs, err);
	if (r == 0)
		r = make_store(c, err);
	if (r < 0)
		return r;
	lock = openat(c->newfd, WS_LOCK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (lock < 0)
		return err_set(err, -errno, "create '" WS_LOCK "'");
	c->v->dirfd = c->newfd; /* borrowed: finish() takes it back */
	r = volume_write_config(c->v, err);
	if (r == 0)
		r = volume_write_settings(c->v, err);
	c->v->dirfd = -1;
	return r;
}

static int publish(struct creation *c, struct err *err)
{
	if (syncfs(c->newfd) < 0)
		return err_set(err, -errno, "sync the new workspace '%s'", c->o->path);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		if (renameat(c->newfd, pieces[i], c->wsfd, pieces[i]) < 0)
			return err_set(err, -errno, "move '%s' into place", pieces[i]);
	/* Synced once with the marker and once without: a crash in between is cleared away. */
	if (fsync(c->wsfd) < 0 || unlinkat(c->wsfd, WS_NEW, AT_REMOVEDIR) < 0 || fsync(c->wsfd) < 0)
		return err_set(err, -errno, "sync the new workspace '%s'", c->o->path);
	return 0;
}

static void undo(struct creation *c)
{
	if (c->newfd >= 0) {
		for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
			remove_tree(c->wsfd, pieces[i]);
		remove_tree(c->wsfd, WS_NEW);
	}
	if (c->made_ws)
		rmdir(c->o->path);
}

static void creation_end(struct creation *c)
{
	if (c->newfd >= 0)
		close(c->newfd);
	if (c->wsfd >= 0)
		close(c->wsfd);
	identity_free(c->id);
	volume_close(c->v);
	json_decref(c->measured);
	json_decref(c->slots);
	json_decref(c->report_identity);
}

static json_t *make_report(const struct creation *c)
{
	return json_pack("{s:O, s:s, s:O*, s:O*, s:O, s:b}", "id",
			 json_object_get(c->v->settings, "id"), "cipher", cipher_name(c->suite),
			 "measured", c->measured, "identity", c->report_identity, "slots", c->slots,
			 "flat", c->flat);
}

static int check_options(const struct volume_options *o, struct err *err)
{
	struct identity_public pub;

	if (o->passphrase && o->passphrase_len == 0)
		return err_set(err, -EINVAL, "an empty passphrase protects nothing.");
	if (o->quota_bytes && o->quota_bytes < QUOTA_BYTES_MIN)
		return err_set(err, -EINVAL,
			       "a quota of %llu bytes holds no file: give at least %u.",
			       (unsigned long long)o->quota_bytes, QUOTA_BYTES_MIN);
	if (o->quota_bytes > INT64_MAX || o->quota_files > INT64_MAX)
		return err_set(err, -EINVAL, "the quota is too large.");
	for (size_t i = 0; i < o->nrecipients; i++) {
		int r = identity_public_parse(o->recipients[i], &pub, err);

		if (r < 0)
			return err_wrap(err, r, "recipient %zu", i + 1);
	}
	return 0;
}

int volume_create(const struct volume_options *o, json_t **ret_report, struct err *err)
{
	struct creation c = { .o = o, .wsfd = -1, .newfd = -1, .suite = CIPHER_XCHACHA20 };
	int r = secret_setup(err);

	if (r == 0)
		r = check_options(o, err);
	if (r == 0)
		r = choose_cipher(&c, err);
	c.slots = json_array();
	if (r == 0 && (!c.slots || volume_new(&c.v) < 0))
		r = err_set(err, -ENOMEM, "create workspace '%s'", o->path);
	if (r == 0)
		r = open_place(&c, err);
	if (r == 0)
		r = need_identity(&c, err);
	if (r == 0)
		r = make_keys(&c, err);
	if (r == 0)
		r = make_files(&c, err);
	if (r == 0)
		r = publish(&c, err);
	if (r == 0 && !(*ret_report = make_report(&c)))
		r = err_set(err, -ENOMEM, "report on workspace '%s'", o->path);
	if (r < 0)
		undo(&c);
	creation_end(&c);
	return r;
}
