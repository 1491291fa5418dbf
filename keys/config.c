#include "keys/config.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "keys/secret.h"

/* file:   magic 8, format u32, keygen u32, vol_id 16 | nonce 24 | sealed | tag 16
 * sealed: N 32, counter u64, count u32, body u32, count x { keygen u32, zero u32, V 32 }, body */
#define MAGIC      "WFSCONF1"
#define FORMAT     1
#define CLEAR_LEN  32 /* authenticated, readable */
#define NONCE_LEN  24
#define SEALED_OFF (CLEAR_LEN + NONCE_LEN)
#define TAG_LEN    16
#define FIXED_LEN  48
#define GEN_LEN    40

static_assert(NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");

int volume_keys_new(struct volume_keys **ret)
{
	struct volume_keys *k = secret_alloc(sizeof(*k));

	if (!k)
		return -ENOMEM;
	*ret = k;
	return 0;
}

int volume_keys_add(struct volume_keys *k, uint32_t keygen, const uint8_t *v)
{
	struct volume_generation *g = &k->gen[k->count];

	if (k->count == VOLUME_GENERATIONS_MAX)
		return -ENOSPC;
	g->keygen = keygen;
	if (v)
		memcpy(g->v, v, sizeof(g->v));
	else
		randombytes_buf(g->v, sizeof(g->v));
	kdf_derive(KDF_HEAD, g->v, g->head);
	kdf_derive(KDF_LOG, g->v, g->log);
	k->count++;
	return 0;
}

const struct volume_generation *volume_keys_find(const struct volume_keys *k, uint32_t keygen)
{
	for (uint32_t i = k->count; i-- > 0;)
		if (k->gen[i].keygen == keygen)
			return &k->gen[i];
	return NULL;
}

const struct volume_generation *volume_keys_current(const struct volume_keys *k)
{
	return k->count ? &k->gen[k->count - 1] : NULL;
}

void volume_random(void *p, size_t len)
{
	randombytes_buf(p, len);
}

static int damaged(struct err *err)
{
	return err_set(err, -EBADMSG,
		       "keys/config is damaged or was edited: put it back from a "
		       "backup of the workspace.");
}

int config_peek(const uint8_t *in, size_t len, uint8_t vol_id[static VOL_ID_LEN],
		uint32_t *ret_keygen, struct err *err)
{
	if (len < SEALED_OFF + FIXED_LEN + GEN_LEN + TAG_LEN || len > CONFIG_MAX ||
	    memcmp(in, MAGIC, 8) != 0)
		return damaged(err);
	if (le32_load(in + 8) != FORMAT)
		return err_set(err, -EOPNOTSUPP,
			       "the workspace has format %u, which needs a newer version of sbx.",
			       le32_load(in + 8));
	*ret_keygen = le32_load(in + 12);
	memcpy(vol_id, in + 16, VOL_ID_LEN);
	return 0;
}

static void put_sealed(const struct volume_keys *k, uint64_t counter, const char *body,
		       size_t body_len, uint8_t *p)
{
	memcpy(p, k->names, KEY_LEN);
	le64_store(p + 32, counter);
	le32_store(p + 40, k->count);
	le32_store(p + 44, (uint32_t)body_len);
	p += FIXED_LEN;
	for (uint32_t i = 0; i < k->count; i++, p += GEN_LEN) {
		le32_store(p, k->gen[i].keygen);
		le32_store(p + 4, 0);
		memcpy(p + 8, k->gen[i].v, KEY_LEN);
	}
	memcpy(p, body, body_len);
}

int config_seal(const struct volume_keys *k, const uint8_t vol_id[static VOL_ID_LEN],
		uint64_t counter, const char *body, uint8_t **ret, size_t *ret_len)
{
	const struct volume_generation *g = volume_keys_current(k);
	size_t body_len = strlen(body);
	size_t plain_len = FIXED_LEN + (size_t)k->count * GEN_LEN + body_len;
	size_t len = SEALED_OFF + plain_len + TAG_LEN;
	autosecret uint8_t *plain = secret_alloc(plain_len);
	autosecret uint8_t *key = secret_alloc(KEY_LEN);
	autofree uint8_t *out = malloc(len);

	if (!plain || !key || !out || !g)
		return -ENOMEM;
	if (len > CONFIG_MAX)
		return -EFBIG;
	memcpy(out, MAGIC, 8);
	le32_store(out + 8, FORMAT);
	le32_store(out + 12, g->keygen);
	memcpy(out + 16, vol_id, VOL_ID_LEN);
	randombytes_buf(out + CLEAR_LEN, NONCE_LEN);
	put_sealed(k, counter, body, body_len, plain);
	kdf_derive(KDF_CONF, g->v, key);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEALED_OFF, NULL, plain, plain_len, out,
						   CLEAR_LEN, NULL, out + CLEAR_LEN, key);
	*ret = take_ptr(out);
	*ret_len = len;
	return 0;
}

/* 'p' was authenticated, but a holder of V (a recipient) may have made it: still checked. */
static int take_sealed(const uint8_t *p, size_t len, uint32_t keygen, const uint8_t *v,
		       struct volume_keys *k, uint64_t *ret_counter, char **ret_body,
		       struct err *err)
{
	uint32_t count = le32_load(p + 40), body_len = le32_load(p + 44);
	const struct volume_generation *g;

	if (count == 0 || count > VOLUME_GENERATIONS_MAX ||
	    len != FIXED_LEN + (size_t)count * GEN_LEN + body_len)
		return damaged(err);
	memcpy(k->names, p, KEY_LEN);
	*ret_counter = le64_load(p + 32);
	p += FIXED_LEN;
	for (uint32_t i = 0; i < count; i++, p += GEN_LEN)
		if (volume_keys_find(k, le32_load(p)) ||
		    volume_keys_add(k, le32_load(p), p + 8) < 0)
			return damaged(err);
	g = volume_keys_current(k);
	if (g->keygen != keygen || sodium_memcmp(g->v, v, KEY_LEN) != 0)
		return damaged(err);
	*ret_body = strndup((const char *)p, body_len);
	if (!*ret_body)
		return err_set(err, -ENOMEM, "read keys/config");
	return 0;
}

int config_open(const uint8_t *in, size_t len, const uint8_t v[static KEY_LEN],
		struct volume_keys **ret_keys, uint64_t *ret_counter, char **ret_body,
		struct err *err)
{
	autosecret struct volume_keys *k = NULL;
	autosecret uint8_t *plain = secret_alloc(len);
	autosecret uint8_t *key = secret_alloc(KEY_LEN);
	uint8_t vol_id[VOL_ID_LEN];
	uint32_t keygen;
	int r = config_peek(in, len, vol_id, &keygen, err);

	if (r < 0)
		return r;
	if (!plain || !key || volume_keys_new(&k) < 0)
		return err_set(err, -ENOMEM, "read keys/config");
	kdf_derive(KDF_CONF, v, key);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, in + SEALED_OFF,
						       len - SEALED_OFF, in, CLEAR_LEN,
						       in + CLEAR_LEN, key) != 0)
		return damaged(err);
	r = take_sealed(plain, len - SEALED_OFF - TAG_LEN, keygen, v, k, ret_counter, ret_body,
			err);
	if (r < 0)
		return r;
	*ret_keys = take_ptr(k);
	return 0;
}
