/* The sealed config of a volume, and workspace.json beside it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/settings.h"
#include "fs/volume_priv.h"
#include "keys/secret.h"

static json_t *make_body(const struct volume *v)
{
	return json_pack("{s:O, s:O?, s:O, s:b}", "settings", v->settings, "prev", v->prev, "slots",
			 v->slots, "flat", v->flat);
}

static int begin_config(struct volume *v, struct fd_replacement *ret, struct err *err)
{
	autojson json_t *body = make_body(v);
	autofree char *text = body ? json_canonical(body) : NULL;
	autofree uint8_t *raw = NULL;
	size_t len;
	int r;

	r = text ? config_seal(v->keys, v->vol_id, v->counter, text, &raw, &len) : -ENOMEM;
	if (r < 0)
		return err_set(err, r, "seal the config of workspace '%s'", v->path);
	return fd_replace_begin(v->keysfd, CONFIG_FILE, raw, len, 0600, ret, err);
}

static int begin_settings(const struct volume *v, struct fd_replacement *ret, struct err *err)
{
	autofree char *text = json_pretty(v->settings);
	autofree char *line = text ? str_printf("%s\n", text) : NULL;

	if (!line)
		return err_set(err, -ENOMEM, "write '" WS_FILE "'");
	return fd_replace_begin(v->dirfd, WS_FILE, line, strlen(line), 0644, ret, err);
}

int volume_write_config(struct volume *v, struct err *err)
{
	struct fd_replacement n;
	int r = begin_config(v, &n, err);

	return r < 0 ? r : fd_replace_commit(&n, err);
}

int volume_write_settings(const struct volume *v, struct err *err)
{
	struct fd_replacement n;
	int r = begin_settings(v, &n, err);

	return r < 0 ? r : fd_replace_commit(&n, err);
}

static int damaged(const struct volume *v, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG,
		       "workspace '%s': the sealed config has no valid '%s': put " WS_KEYS
		       "/" CONFIG_FILE " back from a backup.",
		       v->path, what);
}

/* Authenticated, but recipients hold V too: shapes are still checked. */
static int take_body(struct volume *v, const char *text, struct err *err)
{
	autojson json_t *body = NULL;
	const char *id;
	json_t *type;
	int r = json_parse(text, strlen(text), "the sealed config", &body, err);

	if (r < 0)
		return -EBADMSG;
	r = settings_validate(json_object_get(body, "settings"), err);
	if (r == -EOPNOTSUPP)
		return r;
	if (r < 0)
		return damaged(v, "settings", err);
	if (!json_is_object(json_object_get(body, "slots")))
		return damaged(v, "slots", err);
	json_object_foreach (json_object_get(body, "slots"), id, type)
		if (!name_is_plain(id) || !json_is_string(type))
			return damaged(v, "slots", err);
	if (json_get_bool(body, "flat", &v->flat, NULL) < 0)
		return damaged(v, "flat", err);
	v->settings = json_incref(json_object_get(body, "settings"));
	v->slots = json_incref(json_object_get(body, "slots"));
	if (json_is_object(json_object_get(body, "prev")))
		v->prev = json_incref(json_object_get(body, "prev"));
	return 0;
}

int volume_read_config(struct volume *v, const uint8_t *raw, size_t len, const uint8_t *key,
		       struct err *err)
{
	autofree char *body = NULL;
	uint8_t id[VOL_ID_LEN];
	int r = config_open(raw, len, key, &v->keys, &v->counter, &body, err);

	if (r == 0)
		r = take_body(v, body, err);
	if (r < 0)
		return err_wrap(err, r, "workspace '%s'", v->path);
	if (json_get_hex(v->settings, "id", id, sizeof(id), NULL) < 0 ||
	    memcmp(id, v->vol_id, sizeof(id)) != 0)
		return damaged(v, "settings.id", err);
	return 0;
}

/* The settings file as it is, NULL if there is none. */
static int read_settings(const struct volume *v, json_t **ret, struct err *err)
{
	autofree char *text = NULL;
	size_t len;
	struct err why = { 0 };
	int r = fd_read_file(v->dirfd, WS_FILE, SETTINGS_MAX, &text, &len, &why);

	*ret = NULL;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = json_parse(text, len, WS_FILE, ret, &why);
	if (r < 0)
		return err_set(err, -EBADMSG,
			       "%s/%s cannot be read: %s Remove the file: it is written anew from "
			       "the sealed settings.",
			       v->path, WS_FILE, why.text);
	return 0;
}

int volume_check_settings(struct volume *v, struct err *err)
{
	autojson json_t *shown = NULL;
	struct settings_difference d, other;
	int r = read_settings(v, &shown, err);

	if (r < 0)
		return r;
	if (shown && !settings_differ(v->settings, shown, &d))
		return 0;
	/* An edit that was cut off between its two files, or a file that somebody removed. */
	if (!shown || (v->prev && !settings_differ(v->prev, shown, &other)))
		return v->read_only ? 0 : volume_write_settings(v, err);
	return err_set(err, -EBADMSG,
		       "%s/%s was edited: %s is %s there, but %s in the sealed settings. Put that "
		       "back, or remove the file (it is written anew), and change settings with: "
		       "sbxctl set.",
		       v->path, WS_FILE, d.field, d.b, d.a);
}

/* Both files are written before the first is put in place: no full disk comes between them. */
static int put_edit(struct volume *v, bool *ret_done, struct err *err)
{
	struct fd_replacement config = { 0 }, shown = { 0 };
	int r = begin_settings(v, &shown, err), t;

	if (r == 0)
		r = begin_config(v, &config, err);
	if (r == 0)
		r = fd_replace_commit(&config, err);
	*ret_done = config.done;
	if (!config.done) {
		fd_replace_abort(&shown);
		return r;
	}
	t = fd_replace_commit(&shown, r < 0 ? NULL : err);
	r = r < 0 ? r : t;
	return r < 0 ? err_wrap(err, r, "the change is made, but a crash may undo it") : 0;
}

int volume_edit(struct volume *v, const json_t *new_settings, struct err *err)
{
	json_t *old = v->settings, *old_prev = v->prev;
	int r = settings_validate(new_settings, err);
	bool done = false;

	if (r == 0)
		r = settings_check_edit(v->settings, new_settings, err);
	if (r < 0)
		return r;
	if (v->read_only)
		return err_set(err, -EROFS, "workspace '%s' is open for reading only.", v->path);
	v->settings = json_deep_copy(new_settings);
	v->prev = old;
	v->counter++;
	r = v->settings ? put_edit(v, &done, err) : err_set(err, -ENOMEM, "change settings");
	if (!done) {
		json_decref(v->settings);
		v->settings = old;
		v->prev = old_prev;
		v->counter--;
		return r;
	}
	json_decref(old_prev);
	return r;
}
