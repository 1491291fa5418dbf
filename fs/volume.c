#include "fs/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/name.h"
#include "fs/settings.h"
#include "fs/store.h"
#include "fs/volume_priv.h"
#include "keys/cipher.h"
#include "keys/secret.h"

int volume_new(struct volume **ret)
{
	struct volume *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->dirfd = v->keysfd = v->lockfd = -1;
	*ret = v;
	return 0;
}

void volume_close(struct volume *v)
{
	if (!v)
		return;
	/* Emptied, so that nobody asks a process that is gone.  Never removed: two daemons could
	 * then hold locks on two files of that name. */
	if (v->announced && ftruncate(v->lockfd, 0) < 0) {
		/* A stale line is harmless: the lock itself is what counts. */
	}
	for (int *fd = (int[]){ v->lockfd, v->keysfd, v->dirfd, -2 }; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	secret_release(v->keys);
	secret_release(v->names);
	json_decref(v->settings);
	json_decref(v->prev);
	json_decref(v->slots);
	free(v->identity_path);
	free(v->path);
	free(v);
}

static void cleanup_volume(struct volume **v)
{
	volume_close(*v);
}
#define autovolume __attribute__((cleanup(cleanup_volume)))

int volume_derive_names(struct volume *v)
{
	struct name_keys *n = secret_alloc(sizeof(*n));

	if (!n)
		return -ENOMEM;
	memcpy(n->vol_id, v->vol_id, sizeof(n->vol_id));
	kdf_derive(KDF_NAME_MAC, v->keys->names, n->nm);
	kdf_derive(KDF_NAME_STREAM, v->keys->names, n->ne);
	kdf_derive(KDF_DIRID, v->keys->names, n->dir);
	kdf_derive(KDF_SYMLINK, v->keys->names, n->sl);
	kdf_derive(KDF_XNAME_MAC, v->keys->names, n->xm);
	kdf_derive(KDF_XNAME_STREAM, v->keys->names, n->xe);
	kdf_derive(KDF_XVALUE, v->keys->names, n->xv);
	v->names = n;
	return 0;
}

/* Lock ----------------------------------------------------------------------------------------- */

static int busy(const struct volume *v, struct err *err)
{
	autofree char *text = NULL;
	autojson json_t *j = NULL;
	uint64_t pid = 0;
	size_t len;

	if (fd_read_file(v->dirfd, WS_LOCK, 4096, &text, &len, NULL) == 0 &&
	    json_parse(text, len, WS_LOCK, &j, NULL) == 0)
		json_get_u64(j, "pid", &pid, NULL);
	if (pid && json_is_true(json_object_get(j, "check")))
		return err_set(
			err, -EBUSY,
			"workspace '%s' is being checked by process %llu (sbxctl fsck): wait "
			"for it to end.",
			v->path, (unsigned long long)pid);
	if (pid == 0)
		return err_set(err, -EBUSY,
			       "workspace '%s' is in use by another process: wait for it to end, "
			       "or look who it is with: sbxctl ps.",
			       v->path);
	return err_set(err, -EBUSY,
		       "workspace '%s' is in use by process %llu: leave its sessions and unmount "
		       "it first (sbxctl ps, sbxctl umount).",
		       v->path, (unsigned long long)pid);
}

/* Where we may not write there is nobody to exclude with a file that we cannot make: a store on
 * read-only media, or another user's, is opened for reading only. */
static int volume_lock(struct volume *v, struct err *err)
{
	int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	v->lockfd = openat(v->dirfd, WS_LOCK, O_RDWR | O_CREAT | flags, 0600);
	if (v->lockfd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM)) {
		v->read_only = true;
		v->lockfd = openat(v->dirfd, WS_LOCK, O_RDONLY | flags);
		if (v->lockfd < 0 && (errno == EACCES || errno == ENOENT))
			return 0;
	}
	if (v->lockfd < 0)
		return err_set(err, -errno, "open the lock of workspace '%s'", v->path);
	if (fstat(v->lockfd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "'%s/" WS_LOCK "' is not a regular file: remove it.",
			       v->path);
	v->locked = flock(v->lockfd, LOCK_EX | LOCK_NB) == 0;
	if (v->locked)
		return 0;
	if (errno == EWOULDBLOCK)
		return busy(v, err);
	return err_set(err, -errno, "lock workspace '%s'", v->path);
}

int volume_announce(struct volume *v, const char *socket_name, struct err *err)
{
	autofree char *text = NULL;
	int r;

	if (v->read_only || !v->locked)
		return 0;
	if (socket_name)
		text = str_printf("{\"pid\":%ld,\"socket\":\"%s\"}\n", (long)getpid(), socket_name);
	else
		text = str_printf("{%s\"pid\":%ld}\n", v->check ? "\"check\":true," : "",
				  (long)getpid());
	if (!text)
		return err_set(err, -ENOMEM, "write the lock file");
	v->announced = true;
	r = ftruncate(v->lockfd, 0) < 0 ? -errno : 0;
	if (r == 0)
		r = fd_pwrite_full(v->lockfd, text, strlen(text), 0);
	return r < 0 ? err_set(err, r, "write the lock of workspace '%s'", v->path) : 0;
}

/* Open ----------------------------------------------------------------------------------------- */

static int open_directories(struct volume *v, const char *path, struct err *err)
{
	v->path = realpath(path, NULL);
	if (!v->path)
		return err_set(err, -errno, "open workspace '%s'", path);
	v->dirfd = open(v->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->dirfd < 0)
		return err_set(err, errno == ENOTDIR ? -ENOENT : -errno, "open workspace '%s'",
			       v->path);
	/* workspace.json is moved last (volume_create.c): with it all is there. */
	if (faccessat(v->dirfd, WS_NEW, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    faccessat(v->dirfd, WS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, -ENOENT,
			       "'%s' is no workspace yet: its creation is under way or was "
			       "interrupted; create it again with: sbxctl init.",
			       v->path);
	v->keysfd = openat(v->dirfd, WS_KEYS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (v->keysfd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return err_set(err, -ENOENT,
			       "'%s' is not a workspace (there is no directory '" WS_KEYS
			       "' in it): create one with: sbxctl init.",
			       v->path);
	if (v->keysfd < 0)
		return err_set(err, -errno, "open '%s/" WS_KEYS "'", v->path);
	return 0;
}

static int check_cipher(const struct volume *v, struct err *err)
{
	const char *why;

	if (!cipher_available(volume_suite(v), &why))
		return err_set(
			err, -EOPNOTSUPP,
			"workspace '%s' uses the cipher %s, which is not available here: %s.",
			v->path, cipher_name(volume_suite(v)), why);
	return 0;
}

/* A slot that the sealed config does not list is a left-over of a change that was cut off, or was
 * put back after its removal. */
static int check_listed(const struct volume *v, const struct slot *s, struct err *err)
{
	const char *type = json_string_value(json_object_get(v->slots, s->id));

	if (!type || strcmp(type, slot_type_name(s->type)) != 0)
		return err_set(err, -EBADMSG,
			       "key slot '%s' of workspace '%s' was removed, or never finished: "
			       "delete '" WS_KEYS "/%s.json' and use another key.",
			       s->id, v->path, s->id);
	return 0;
}

static int unlock(struct volume *v, const struct volume_unlock *u, struct err *err)
{
	__attribute__((cleanup(slot_list_free))) struct slot_list list = { 0 };
	autosecret uint8_t *key = secret_alloc(KEY_LEN);
	autofree char *raw = NULL;
	const struct slot *slot;
	uint32_t keygen;
	size_t len;
	int r;

	if (!key)
		return err_set(err, -ENOMEM, "open workspace '%s'", v->path);
	r = fd_read_file(v->keysfd, CONFIG_FILE, CONFIG_MAX, &raw, &len, err);
	if (r == -ENOENT)
		return err_set(err, -ENOENT,
			       "'%s' is not a workspace ('" WS_KEYS "/" CONFIG_FILE
			       "' is missing): create one with: sbxctl init.",
			       v->path);
	if (r == 0)
		r = config_peek((uint8_t *)raw, len, v->vol_id, &keygen, err);
	if (r == 0)
		r = slot_list_read(v->keysfd, &list, err);
	if (r == 0)
		r = volume_unlock_key(v, &list, keygen, u, key, &slot, err);
	if (r == 0)
		r = volume_read_config(v, (uint8_t *)raw, len, key, err);
	if (r == 0)
		r = check_listed(v, slot, err);
	if (r == 0 && slot->type == SLOT_RECIPIENT)
		v->read_only = true;
	return r;
}

int volume_open(const char *path, const struct volume_unlock *u, struct volume **ret,
		struct err *err)
{
	autovolume struct volume *v = NULL;
	int r = secret_setup(err);

	if (r == 0)
		r = volume_new(&v);
	if (r < 0)
		return err_set(err, r, "open workspace '%s'", path);
	r = open_directories(v, path, err);
	if (r == 0)
		r = volume_lock(v, err);
	v->check = u->check;
	if (r == 0 && u->look_only) {
		r = volume_announce(v, NULL, err);
		v->read_only = true;
	}
	if (r == 0 && u->identity_path && !(v->identity_path = strdup(u->identity_path)))
		r = err_set(err, -ENOMEM, "open workspace '%s'", path);
	if (r == 0)
		r = unlock(v, u, err);
	if (r == 0)
		r = volume_check_settings(v, err);
	if (r == 0)
		r = check_cipher(v, err);
	if (r == 0 && volume_derive_names(v) < 0)
		r = err_set(err, -ENOMEM, "open workspace '%s'", path);
	if (r == 0)
		r = volume_announce(v, NULL, err);
	if (r < 0)
		return r;
	*ret = take_ptr(v);
	return 0;
}

/* What it knows -------------------------------------------------------------------------------- */

int volume_dirfd(const struct volume *v)
{
	return v->dirfd;
}

const char *volume_path(const struct volume *v)
{
	return v->path;
}

const json_t *volume_settings(const struct volume *v)
{
	return v->settings;
}

bool volume_read_only(const struct volume *v)
{
	return v->read_only;
}

bool volume_flat(const struct volume *v)
{
	return v->flat;
}

const struct name_keys *volume_name_keys(const struct volume *v)
{
	return v->names;
}

uint64_t volume_conf_counter(const struct volume *v)
{
	return v->counter;
}

uint8_t volume_suite(const struct volume *v)
{
	const char *name = json_string_value(json_object_get(v->settings, "cipher"));

	return name ? cipher_by_name(name) : 0;
}

static const uint8_t *head_key(void *ctx, uint32_t keygen)
{
	const struct volume_generation *g = volume_keys_find(ctx, keygen);

	return g ? g->head : NULL;
}

static const uint8_t *log_key(void *ctx, uint32_t keygen)
{
	const struct volume_generation *g = volume_keys_find(ctx, keygen);

	return g ? g->log : NULL;
}

void volume_store_params(const struct volume *v, struct store_params *ret)
{
	memcpy(ret->vol_id, v->vol_id, sizeof(ret->vol_id));
	ret->suite = volume_suite(v);
	ret->pad = json_is_true(json_object_get(v->settings, "pad"));
	ret->keygen = volume_keys_current(v->keys)->keygen;
	ret->conf_counter = v->counter;
	ret->read_only = v->read_only;
	ret->head_key = head_key;
	ret->log_key = log_key;
	ret->key_ctx = v->keys;
}
