#include "keys/slot.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "keys/secret.h"

#define LABEL          "WFSslot1"
#define LABEL_SHARE    "WFSrcpt1"
#define LABEL_LEN      8
#define KEK_COMMIT_LEN 64
#define SHARED_LEN     (LABEL_LEN + 16 + 8 + 64 + SLOT_BOX_LEN)
#define AAD_LEN        (LABEL_LEN + 16 + 4 + 4 + 4 + 4 + 8 + 16)

static_assert(SLOT_BOX_LEN == SLOT_KEY_LEN + crypto_box_SEALBYTES, "sealed box");
static_assert(SLOT_WRAPPED_LEN == SLOT_KEY_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
	      "wrapped key");
static_assert(crypto_pwhash_argon2id_SALTBYTES == 16, "salt");

static const char *const type_names[] = {
	[SLOT_OWNER] = "owner",
	[SLOT_PASSPHRASE] = "passphrase",
	[SLOT_RECOVERY] = "recovery",
	[SLOT_RECIPIENT] = "recipient",
};

const char *slot_type_name(enum slot_type t)
{
	return t > 0 && t < ARRAY_LEN(type_names) ? type_names[t] : "unknown";
}

/* JSON ----------------------------------------------------------------------------------------- */

struct hex_field {
	const char *key;
	size_t offset, len;
};
#define FIELD(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct slot, name), sizeof(((struct slot *)0)->name)               \
	}

static const struct hex_field wrap_fields[] = {
	FIELD(salt),
	FIELD(commit),
	FIELD(nonce),
	FIELD(wrapped),
};
static const struct hex_field share_fields[] = {
	FIELD(box),
	FIELD(sig),
};

static int bad(struct err *err, const char *id, const char *field)
{
	return err_set(err, -EBADMSG, "key slot '%s' is damaged or was edited: its '%s' is wrong.",
		       id, field);
}

static int parse_type(const json_t *j, struct slot *s, struct err *err)
{
	const char *name = NULL;
	uint64_t format = 0;

	json_get_u64(j, "format", &format, NULL);
	json_get_str(j, "type", &name, NULL);
	if (format == 0 || !name)
		return bad(err, s->id, format == 0 ? "format" : "type");
	for (size_t i = 1; i < ARRAY_LEN(type_names); i++)
		if (strcmp(name, type_names[i]) == 0)
			s->type = (enum slot_type)i;
	if (format != 1 || !s->type)
		return err_set(err, -EOPNOTSUPP,
			       "key slot '%s' is of a kind that needs a newer version of sbx.",
			       s->id);
	return 0;
}

static int parse_fields(const json_t *j, const struct hex_field *f, size_t n, struct slot *s,
			struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (json_get_hex(j, f[i].key, (uint8_t *)s + f[i].offset, f[i].len, NULL) < 0)
			return bad(err, s->id, f[i].key);
	return 0;
}

/* Bounds before use: a slot that asks for a terabyte of memory must not be obeyed. */
static int parse_cost(const json_t *j, struct slot *s, struct err *err)
{
	uint64_t ops = 0;

	if (s->type != SLOT_PASSPHRASE)
		return 0;
	if (json_get_u64(j, "ops", &ops, NULL) < 0 || ops < crypto_pwhash_argon2id_OPSLIMIT_MIN ||
	    ops > SLOT_OPS_MAX)
		return bad(err, s->id, "ops");
	if (json_get_u64(j, "mem", &s->mem, NULL) < 0 ||
	    s->mem < crypto_pwhash_argon2id_MEMLIMIT_MIN || s->mem > SLOT_MEM_MAX)
		return bad(err, s->id, "mem");
	s->ops = (uint32_t)ops;
	return 0;
}

static int parse_public(const json_t *j, const char *key, struct slot *s,
			struct identity_public *ret, struct err *err)
{
	const char *text;

	if (json_get_str(j, key, &text, NULL) < 0 || identity_public_parse(text, ret, NULL) < 0)
		return bad(err, s->id, key);
	return 0;
}

int slot_parse(const json_t *j, const char *id, struct slot *ret, struct err *err)
{
	struct slot s = { 0 };
	const char *created = "";
	uint64_t keygen;
	int r;

	if ((size_t)snprintf(s.id, sizeof(s.id), "%s", id) >= sizeof(s.id) || !name_is_plain(s.id))
		return err_set(err, -EBADMSG, "a key slot has a name that is none of ours.");
	r = parse_type(j, &s, err);
	if (r < 0)
		return r;
	if (json_get_u64(j, "keygen", &keygen, NULL) < 0 || keygen == 0 || keygen > UINT32_MAX)
		return bad(err, s.id, "keygen");
	s.keygen = (uint32_t)keygen;
	json_get_str(j, "created", &created, NULL);
	if ((size_t)snprintf(s.created, sizeof(s.created), "%s", created) >= sizeof(s.created))
		return bad(err, s.id, "created");
	if (s.type == SLOT_RECIPIENT) {
		r = parse_public(j, "recipient", &s, &s.recipient, err);
		if (r == 0)
			r = parse_public(j, "owner", &s, &s.owner, err);
		if (r == 0)
			r = parse_fields(j, share_fields, ARRAY_LEN(share_fields), &s, err);
	} else {
		r = parse_cost(j, &s, err);
		if (r == 0)
			r = parse_fields(j, wrap_fields, ARRAY_LEN(wrap_fields), &s, err);
	}
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

static int put_fields(json_t *j, const struct hex_field *f, size_t n, const struct slot *s)
{
	for (size_t i = 0; i < n; i++)
		if (json_set_hex(j, f[i].key, (const uint8_t *)s + f[i].offset, f[i].len) < 0)
			return -ENOMEM;
	return 0;
}

json_t *slot_to_json(const struct slot *s)
{
	char recipient[IDENTITY_TEXT_SIZE], owner[IDENTITY_TEXT_SIZE];
	autojson json_t *j =
		json_pack("{s:i, s:s, s:I, s:s}", "format", 1, "type", slot_type_name(s->type),
			  "keygen", (json_int_t)s->keygen, "created", s->created);
	int r = j ? 0 : -1;

	if (s->type == SLOT_RECIPIENT && r == 0) {
		identity_public_text(&s->recipient, recipient);
		identity_public_text(&s->owner, owner);
		r = json_object_set_new(j, "recipient", json_string(recipient)) |
		    json_object_set_new(j, "owner", json_string(owner)) |
		    put_fields(j, share_fields, ARRAY_LEN(share_fields), s);
	} else if (r == 0) {
		r = put_fields(j, wrap_fields, ARRAY_LEN(wrap_fields), s);
		if (s->type == SLOT_PASSPHRASE)
			r |= json_object_set_new(j, "ops", json_integer(s->ops)) |
			     json_object_set_new(j, "mem", json_integer((json_int_t)s->mem));
	}
	return r == 0 ? take_ptr(j) : NULL;
}

/* Wrapping ------------------------------------------------------------------------------------- */

/* label 8, vol_id 16, type u32, keygen u32, ops u32, zero 4, mem u64, salt 16 */
static void make_aad(const struct slot *s, const uint8_t vol_id[static 16],
		     uint8_t out[static AAD_LEN])
{
	memset(out, 0, AAD_LEN);
	memcpy(out, LABEL, LABEL_LEN);
	memcpy(out + 8, vol_id, 16);
	le32_store(out + 24, (uint32_t)s->type);
	le32_store(out + 28, s->keygen);
	le32_store(out + 32, s->ops);
	le64_store(out + 40, s->mem);
	memcpy(out + 48, s->salt, 16);
}

/* KEK || commitment, from a secret that is already random. */
static void stretch_secret(const struct slot *s, const uint8_t vol_id[static 16],
			   const uint8_t secret[static SLOT_KEY_LEN],
			   uint8_t out[static KEK_COMMIT_LEN])
{
	uint8_t text[LABEL_LEN + 16 + 16];

	memcpy(text, LABEL, LABEL_LEN);
	memcpy(text + 8, vol_id, 16);
	memcpy(text + 24, s->salt, 16);
	crypto_generichash(out, KEK_COMMIT_LEN, text, sizeof(text), secret, SLOT_KEY_LEN);
}

static int stretch_passphrase(const struct slot *s, const uint8_t *pass, size_t len,
			      uint8_t out[static KEK_COMMIT_LEN], struct err *err)
{
	if (crypto_pwhash_argon2id(out, KEK_COMMIT_LEN, (const char *)pass, len, s->salt, s->ops,
				   (size_t)s->mem, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return err_set(
			err, -ENOMEM,
			"turn the passphrase into a key: that takes %llu MiB of memory, which "
			"this machine does not give now.",
			(unsigned long long)(s->mem >> 20));
	return 0;
}

static void wrap_with(struct slot *s, const uint8_t vol_id[static 16],
		      const uint8_t kek_commit[static KEK_COMMIT_LEN],
		      const uint8_t key[static SLOT_KEY_LEN])
{
	uint8_t aad[AAD_LEN];

	make_aad(s, vol_id, aad);
	memcpy(s->commit, kek_commit + 32, 32);
	crypto_aead_xchacha20poly1305_ietf_encrypt(s->wrapped, NULL, key, SLOT_KEY_LEN, aad,
						   sizeof(aad), NULL, s->nonce, kek_commit);
}

static int unwrap_with(const struct slot *s, const uint8_t vol_id[static 16],
		       const uint8_t kek_commit[static KEK_COMMIT_LEN],
		       uint8_t key[static SLOT_KEY_LEN])
{
	uint8_t aad[AAD_LEN];

	/* First the commitment: the AEAD alone would open one text under several keys, and a
	 * crafted slot could then test many passphrases with one answer. */
	if (sodium_memcmp(s->commit, kek_commit + 32, 32) != 0)
		return -EKEYREJECTED;
	make_aad(s, vol_id, aad);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(key, NULL, NULL, s->wrapped,
						       sizeof(s->wrapped), aad, sizeof(aad),
						       s->nonce, kek_commit) != 0)
		return -EBADMSG;
	return 0;
}

static void slot_init(struct slot *s, enum slot_type type, uint32_t keygen)
{
	uint8_t tag[4];
	time_t t = time(NULL);
	struct tm tm;

	*s = (struct slot){ .type = type, .keygen = keygen };
	randombytes_buf(tag, sizeof(tag));
	snprintf(s->id, sizeof(s->id), "%s-%02x%02x%02x%02x", slot_type_name(type), tag[0], tag[1],
		 tag[2], tag[3]);
	strftime(s->created, sizeof(s->created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	randombytes_buf(s->salt, sizeof(s->salt));
	randombytes_buf(s->nonce, sizeof(s->nonce));
}

int slot_wrap(enum slot_type type, const uint8_t vol_id[static 16], uint32_t keygen,
	      const uint8_t key[static SLOT_KEY_LEN], const uint8_t secret[static SLOT_KEY_LEN],
	      struct slot *ret)
{
	autosecret uint8_t *kek_commit = secret_alloc(KEK_COMMIT_LEN);

	if (!kek_commit)
		return -ENOMEM;
	slot_init(ret, type, keygen);
	stretch_secret(ret, vol_id, secret, kek_commit);
	wrap_with(ret, vol_id, kek_commit, key);
	return 0;
}

int slot_wrap_passphrase(const uint8_t vol_id[static 16], uint32_t keygen,
			 const uint8_t key[static SLOT_KEY_LEN], const uint8_t *pass, size_t len,
			 uint32_t ops, uint64_t mem, struct slot *ret, struct err *err)
{
	autosecret uint8_t *kek_commit = secret_alloc(KEK_COMMIT_LEN);
	int r;

	if (!kek_commit)
		return err_set(err, -ENOMEM, "make a passphrase slot");
	slot_init(ret, SLOT_PASSPHRASE, keygen);
	ret->ops = ops ? ops : SLOT_OPS_DEFAULT;
	ret->mem = mem ? mem : SLOT_MEM_DEFAULT;
	r = stretch_passphrase(ret, pass, len, kek_commit, err);
	if (r == 0)
		wrap_with(ret, vol_id, kek_commit, key);
	return r;
}

int slot_unwrap(const struct slot *s, const uint8_t vol_id[static 16],
		const uint8_t secret[static SLOT_KEY_LEN], uint8_t key[static SLOT_KEY_LEN])
{
	autosecret uint8_t *kek_commit = secret_alloc(KEK_COMMIT_LEN);

	if (!kek_commit)
		return -ENOMEM;
	if (s->type != SLOT_OWNER && s->type != SLOT_RECOVERY)
		return -EINVAL;
	stretch_secret(s, vol_id, secret, kek_commit);
	return unwrap_with(s, vol_id, kek_commit, key);
}

int slot_unwrap_passphrase(const struct slot *s, const uint8_t vol_id[static 16],
			   const uint8_t *pass, size_t len, uint8_t key[static SLOT_KEY_LEN],
			   struct err *err)
{
	autosecret uint8_t *kek_commit = secret_alloc(KEK_COMMIT_LEN);
	int r;

	if (!kek_commit)
		return err_set(err, -ENOMEM, "open a passphrase slot");
	if (s->type != SLOT_PASSPHRASE)
		return err_set(err, -EINVAL, "key slot '%s' is not a passphrase slot.", s->id);
	r = stretch_passphrase(s, pass, len, kek_commit, err);
	if (r < 0)
		return r;
	r = unwrap_with(s, vol_id, kek_commit, key);
	if (r == -EKEYREJECTED)
		return err_set(err, r, "wrong passphrase.");
	return r < 0 ? bad(err, s->id, "wrapped") : 0;
}

/* Recipients ----------------------------------------------------------------------------------- */

/* label 8, vol_id 16, keygen u32, zero 4, recipient 64, box 80: what the owner signs.  A sealed box
 * names no sender, so without this anybody could put in a volume of their own. */
static void make_shared(const struct slot *s, const uint8_t vol_id[static 16],
			uint8_t out[static SHARED_LEN])
{
	memset(out, 0, SHARED_LEN);
	memcpy(out, LABEL_SHARE, LABEL_LEN);
	memcpy(out + 8, vol_id, 16);
	le32_store(out + 24, s->keygen);
	memcpy(out + 32, s->recipient.box, 32);
	memcpy(out + 64, s->recipient.sign, 32);
	memcpy(out + 96, s->box, SLOT_BOX_LEN);
}

void slot_wrap_recipient(const uint8_t vol_id[static 16], uint32_t keygen,
			 const uint8_t key[static SLOT_KEY_LEN], const struct identity *owner,
			 const struct identity_public *recipient, struct slot *ret)
{
	uint8_t shared[SHARED_LEN];

	slot_init(ret, SLOT_RECIPIENT, keygen);
	ret->recipient = *recipient;
	ret->owner = *identity_public(owner);
	crypto_box_seal(ret->box, key, SLOT_KEY_LEN, recipient->box);
	make_shared(ret, vol_id, shared);
	identity_sign(owner, shared, sizeof(shared), ret->sig);
}

int slot_unwrap_recipient(const struct slot *s, const uint8_t vol_id[static 16],
			  const struct identity *id, uint8_t key[static SLOT_KEY_LEN])
{
	uint8_t shared[SHARED_LEN];

	if (s->type != SLOT_RECIPIENT)
		return -EINVAL;
	if (!identity_public_equal(&s->recipient, identity_public(id)))
		return -EKEYREJECTED;
	make_shared(s, vol_id, shared);
	if (!identity_verify(&s->owner, shared, sizeof(shared), s->sig))
		return -EBADMSG;
	return identity_unseal(id, s->box, sizeof(s->box), key);
}
