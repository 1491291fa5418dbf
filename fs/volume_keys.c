/* Adding, removing and listing the key slots of an open volume. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "fs/volume_priv.h"
#include "keys/secret.h"
#include "keys/text.h"

#define autoslots __attribute__((cleanup(slot_list_free)))

static int refuse_read_only(const struct volume *v, struct err *err)
{
	if (v->read_only)
		return err_set(err, -EROFS, "workspace '%s' is open for reading only.", v->path);
	return 0;
}

static json_t *describe(const struct slot *s, bool listed)
{
	char text[IDENTITY_TEXT_SIZE] = "", cost[48];

	if (s->type == SLOT_RECIPIENT)
		identity_public_text(&s->recipient, text);
	if (s->type == SLOT_PASSPHRASE)
		snprintf(cost, sizeof(cost), "Argon2id, %u passes over %llu MiB", s->ops,
			 (unsigned long long)(s->mem >> 20));
	return json_pack("{s:s, s:s, s:s, s:s}", "slot", s->id, "type", slot_type_name(s->type),
			 "created", s->created, "note",
			 !listed                      ? "not in the sealed config: remove it"
			 : s->type == SLOT_PASSPHRASE ? cost
						      : text);
}

static bool is_listed(const struct volume *v, const char *id)
{
	return json_object_get(v->slots, id) != NULL;
}

int volume_key_list(struct volume *v, json_t **ret, struct err *err)
{
	autoslots struct slot_list l = { 0 };
	autojson json_t *list = json_array();
	int r = slot_list_read(v->keysfd, &l, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++)
		if (json_array_append_new(list, describe(&l.s[i], is_listed(v, l.s[i].id))) < 0)
			return err_set(err, -ENOMEM, "list the key slots");
	*ret = take_ptr(list);
	return 0;
}

/* The file first, then the list in the config: a crash in between leaves a file that opens
 * nothing. 'recipients': new value of the setting, taken, or NULL to keep it. */
static int commit_slots(struct volume *v, json_t *slots, json_t *recipients, struct err *err)
{
	json_t *old_slots = v->slots;
	uint64_t counter = v->counter;
	autojson json_t *settings = NULL;
	int r;

	if (!recipients)
		settings = json_deep_copy(v->settings);
	else if ((settings = json_deep_copy(v->settings)))
		json_object_set_new(settings, "recipients", recipients);
	if (!settings || !slots) {
		json_decref(slots);
		return err_set(err, -ENOMEM, "change the key slots");
	}
	v->slots = slots;
	r = volume_edit(v, settings, err);
	if (v->counter == counter) { /* not done */
		v->slots = old_slots;
		json_decref(slots);
		return r;
	}
	json_decref(old_slots);
	return r;
}

static int add_slot(struct volume *v, const struct slot *s, json_t *recipients, char ret_slot[64],
		    struct err *err)
{
	json_t *slots = json_copy(v->slots);
	char file[SLOT_ID_SIZE + 8];
	int r = -ENOMEM;

	snprintf(file, sizeof(file), "%s.json", s->id);

	if (slots && json_object_set_new(slots, s->id, json_string(slot_type_name(s->type))) == 0)
		r = 0;
	if (r == 0 && json_object_size(slots) > SLOTS_MAX)
		r = err_set(err, -ENOSPC, "there are already %d key slots: remove one first.",
			    SLOTS_MAX);
	if (r == 0) {
		r = slot_write(v->keysfd, s, err);
		if (r < 0)
			unlinkat(v->keysfd, file, 0);
	}
	if (r < 0) {
		json_decref(slots);
		json_decref(recipients);
		return r == -ENOMEM ? err_set(err, r, "add a key slot") : r;
	}
	r = commit_slots(v, slots, recipients, err);
	if (r < 0 && !is_listed(v, s->id))
		unlinkat(v->keysfd, file, 0);
	if (r < 0)
		return r;
	memcpy(ret_slot, s->id, SLOT_ID_SIZE);
	return 0;
}

int volume_key_add_passphrase(struct volume *v, const uint8_t *pass, size_t len, char ret_slot[64],
			      struct err *err)
{
	const struct volume_generation *g = volume_keys_current(v->keys);
	struct slot s;
	int r = refuse_read_only(v, err);

	if (r == 0 && len == 0)
		r = err_set(err, -EINVAL, "an empty passphrase protects nothing.");
	if (r == 0)
		r = slot_wrap_passphrase(v->vol_id, g->keygen, g->v, pass, len, 0, 0, &s, err);
	return r < 0 ? r : add_slot(v, &s, NULL, ret_slot, err);
}

int volume_key_add_recovery(struct volume *v, char ret_text[80], char ret_slot[64], struct err *err)
{
	const struct volume_generation *g = volume_keys_current(v->keys);
	autosecret uint8_t *secret = secret_alloc(RECOVERY_KEY_LEN);
	struct slot s;
	int r = refuse_read_only(v, err);

	if (r < 0)
		return r;
	if (!secret)
		return err_set(err, -ENOMEM, "make a recovery key");
	volume_random(secret, RECOVERY_KEY_LEN);
	r = slot_wrap(SLOT_RECOVERY, v->vol_id, g->keygen, g->v, secret, &s);
	if (r < 0)
		return err_set(err, r, "make a recovery key");
	r = add_slot(v, &s, NULL, ret_slot, err);
	if (r == 0)
		recovery_encode(secret, ret_text);
	return r;
}

static bool has_recipient(const json_t *list, const char *pub)
{
	size_t i;
	json_t *d;

	json_array_foreach ((json_t *)list, i, d) {
		const char *text = json_string_value(json_object_get(d, "public"));

		if (text && strcmp(text, pub) == 0)
			return true;
	}
	return false;
}

/* Recipients trust the owner's signature, so it must be the identity that the user keeps. */
static int sign_for(struct volume *v, const struct identity_public *pub, struct slot *ret,
		    struct err *err)
{
	const struct volume_generation *g = volume_keys_current(v->keys);
	char standard[PATH_MAX];
	struct identity *id = NULL;
	bool created;
	int r = 0;

	if (!v->identity_path)
		r = identity_default_path(standard, sizeof(standard), err);
	if (r == 0)
		r = identity_ensure(v->identity_path ? v->identity_path : standard, &id, &created,
				    err);
	if (r < 0)
		return r;
	slot_wrap_recipient(v->vol_id, g->keygen, g->v, id, pub, ret);
	identity_free(id);
	return 0;
}

int volume_key_add_recipient(struct volume *v, const char *pub, char ret_slot[64], struct err *err)
{
	json_t *recipients;
	struct identity_public key;
	struct slot s;
	int r = refuse_read_only(v, err);

	if (r == 0)
		r = identity_public_parse(pub, &key, err);
	if (r == 0 && has_recipient(json_object_get(v->settings, "recipients"), pub))
		r = err_set(err, -EEXIST, "this recipient is there already.");
	if (r == 0)
		r = sign_for(v, &key, &s, err);
	if (r < 0)
		return r;
	recipients = json_copy(json_object_get(v->settings, "recipients"));
	json_array_append_new(recipients, json_pack("{s:s, s:s}", "public", pub, "slot", s.id));
	return add_slot(v, &s, recipients, ret_slot, err);
}

/* How many slots other than 'id' open the volume for writing? */
static size_t writers_but(const json_t *slots, const char *id)
{
	const char *key;
	json_t *type;
	size_t n = 0;

	json_object_foreach ((json_t *)slots, key, type)
		n += strcmp(key, id) != 0 &&
		     strcmp(json_string_value(type), slot_type_name(SLOT_RECIPIENT)) != 0;
	return n;
}

static json_t *recipients_but(const struct volume *v, const char *id)
{
	json_t *list = json_array(), *d;
	size_t i;

	json_array_foreach (json_object_get(v->settings, "recipients"), i, d) {
		const char *slot = json_string_value(json_object_get(d, "slot"));

		if (!slot || strcmp(slot, id) != 0)
			json_array_append(list, d);
	}
	return list;
}

int volume_key_remove(struct volume *v, const char *slot, struct err *err)
{
	char file[SLOT_ID_SIZE + 8];
	json_t *slots;
	int r = refuse_read_only(v, err);

	if (r < 0)
		return r;
	if (!name_is_plain(slot) || strlen(slot) >= SLOT_ID_SIZE)
		return err_set(err, -ENOENT, "'%.64s' is not the name of a key slot.", slot);
	snprintf(file, sizeof(file), "%s.json", slot);
	if (!is_listed(v, slot)) {
		if (unlinkat(v->keysfd, file, 0) == 0)
			return 0; /* a left-over that opened nothing */
		return err_set(err, -ENOENT,
			       "there is no key slot '%s' (sbxctl key show lists them).", slot);
	}
	if (writers_but(v->slots, slot) == 0)
		return err_set(err, -EPERM,
			       "'%s' is the last key slot that opens this workspace for writing: "
			       "add another one first.",
			       slot);
	/* First the list: a crash in between leaves a file that opens nothing. */
	slots = json_copy(v->slots);
	json_object_del(slots, slot);
	r = commit_slots(v, slots, recipients_but(v, slot), err);
	if (is_listed(v, slot))
		return r;
	if (unlinkat(v->keysfd, file, 0) < 0 && errno != ENOENT && r == 0)
		return err_set(err, -errno, "remove '%s'", file);
	return r;
}
