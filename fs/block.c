#include "fs/block.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "keys/gcm.h"

#define AAD_LEN (FILE_ID_LEN + 8 + 8)

static_assert(GCM_KEY_SIZE <= sizeof(((struct block_key *)NULL)->expanded),
	      "expanded key must fit");
static_assert(AAD_LEN == GCM_AAD_LEN, "additional data of an entry");

struct place {
	uint8_t aad[AAD_LEN];
	uint8_t nonce[32];
};

bool block_suite_available(uint8_t suite)
{
	switch (suite) {
	case SUITE_XCHACHA20:
		return true;
	case SUITE_AES_GCM:
		return crypto_aead_aes256gcm_is_available();
#ifdef HAVE_AEGIS
	case SUITE_AEGIS:
		return true;
#endif
	default:
		return false;
	}
}

static uint32_t tag_len(uint8_t suite)
{
	return suite == SUITE_AEGIS ? 32 : 16;
}

void entry_encode(const struct entry *e, uint8_t out[static ENTRY_SIZE])
{
	memset(out, 0, ENTRY_SIZE);
	le32_store(out, e->epoch);
	le16_store(out + 4, e->len);
	memcpy(out + 16, e->nonce, NONCE_LEN);
	memcpy(out + 32, e->tag, 32);
}

bool entry_is_hole(const uint8_t in[static ENTRY_SIZE])
{
	uint64_t w[ENTRY_SIZE / 8], any = 0;

	memcpy(w, in, sizeof(w));
	for (size_t i = 0; i < ENTRY_SIZE / 8; i++)
		any |= w[i];
	return any == 0;
}

uint32_t entry_epoch(const uint8_t in[static ENTRY_SIZE])
{
	return le32_load(in);
}

uint32_t entry_len(const uint8_t in[static ENTRY_SIZE])
{
	return le16_load(in + 4);
}

int entry_decode(const uint8_t in[static ENTRY_SIZE], uint8_t suite, struct entry *ret)
{
	static const uint8_t zeros[32];

	ret->epoch = le32_load(in);
	ret->len = le16_load(in + 4);
	memcpy(ret->nonce, in + 16, NONCE_LEN);
	memcpy(ret->tag, in + 32, 32);
	if (ret->epoch == 0 || ret->len == 0 || ret->len > BLOCK_SIZE || le16_load(in + 6) != 0 ||
	    memcmp(in + 8, zeros, 8) != 0)
		return -EBADMSG;
	if (tag_len(suite) < 32 && memcmp(ret->tag + 16, zeros, 16) != 0)
		return -EBADMSG;
	return 0;
}

void block_key_wipe(struct block_key *k)
{
	sodium_memzero(k, sizeof(*k));
}

static void make_place(const struct block_ctx *c, uint64_t b, const uint8_t entry8[static 8],
		       const uint8_t nonce[static NONCE_LEN], struct place *p)
{
	memcpy(p->aad, c->file_id, FILE_ID_LEN);
	le64_store(p->aad + FILE_ID_LEN, b);
	memcpy(p->aad + FILE_ID_LEN + 8, entry8, 8);
	memset(p->nonce, 0, sizeof(p->nonce));
	switch (c->suite) {
	case SUITE_AES_GCM: /* LE64(b) || 0^4 */
		le64_store(p->nonce, b);
		break;
	case SUITE_AEGIS: /* nonce16 || LE64(b) || 0^8 */
		memcpy(p->nonce, nonce, NONCE_LEN);
		le64_store(p->nonce + NONCE_LEN, b);
		break;
	default: /* XChaCha20's nonce16 || LE64(b), of which nonce16 is in the key by now */
		le64_store(p->nonce + 4, b);
	}
}

/* HChaCha20(K_b, nonce16), once for all blocks of a request.  For suite 1 that is what XChaCha20
 * does inside; for suite 2 it gives each request a key of its own, because a 96-bit nonce under one
 * key would bound the writes a file may see. */
static void *request_key(const struct block_ctx *c, struct block_key *k,
			 const uint8_t nonce[static NONCE_LEN])
{
	uint8_t derived[32];

	if (k->valid && memcmp(k->nonce, nonce, NONCE_LEN) == 0)
		return k->expanded;
	crypto_core_hchacha20(derived, nonce, c->key, NULL);
	if (c->suite == SUITE_AES_GCM)
		gcm_expand(k->expanded, derived);
	else
		memcpy(k->expanded, derived, sizeof(derived));
	sodium_memzero(derived, sizeof(derived));
	memcpy(k->nonce, nonce, NONCE_LEN);
	k->valid = true;
	return k->expanded;
}

void block_seal(const struct block_ctx *c, struct block_key *k, uint64_t b, uint32_t epoch,
		const uint8_t nonce[static NONCE_LEN], const uint8_t *plain, uint32_t len,
		uint8_t *out, uint8_t entry[static ENTRY_SIZE])
{
	struct entry e = { .epoch = epoch, .len = (uint16_t)len };
	struct place p;

	memcpy(e.nonce, nonce, NONCE_LEN);
	entry_encode(&e, entry);
	make_place(c, b, entry, nonce, &p);
	switch (c->suite) {
	case SUITE_AES_GCM:
		gcm_seal(request_key(c, k, nonce), p.nonce, p.aad, plain, len, out, entry + 32);
		break;
#ifdef HAVE_AEGIS
	case SUITE_AEGIS:
		crypto_aead_aegis256_encrypt_detached(out, entry + 32, NULL, plain, len, p.aad,
						      AAD_LEN, NULL, p.nonce, c->key);
		break;
#endif
	default:
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(
			out, entry + 32, NULL, plain, len, p.aad, AAD_LEN, NULL, p.nonce,
			request_key(c, k, nonce));
	}
}

/* 'out' NULL: verify only. */
static int open_block(const struct block_ctx *c, struct block_key *k, uint64_t b,
		      const uint8_t entry[static ENTRY_SIZE], const uint8_t *data, uint8_t *out)
{
	struct entry e;
	struct place p;
	int r;

	r = entry_decode(entry, c->suite, &e);
	if (r < 0)
		return r;
	make_place(c, b, entry, e.nonce, &p);
	switch (c->suite) {
	case SUITE_XCHACHA20:
		r = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
			out, NULL, data, e.len, e.tag, p.aad, AAD_LEN, p.nonce,
			request_key(c, k, e.nonce));
		break;
	case SUITE_AES_GCM:
		r = gcm_open(request_key(c, k, e.nonce), p.nonce, p.aad, data, e.len, e.tag, out);
		break;
#ifdef HAVE_AEGIS
	case SUITE_AEGIS:
		r = crypto_aead_aegis256_decrypt_detached(out, NULL, data, e.len, e.tag, p.aad,
							  AAD_LEN, p.nonce, c->key);
		break;
#endif
	default:
		return -EOPNOTSUPP;
	}
	return r == 0 ? 0 : -EBADMSG;
}

int block_open(const struct block_ctx *c, struct block_key *k, uint64_t b,
	       const uint8_t entry[static ENTRY_SIZE], uint8_t *data)
{
	return open_block(c, k, b, entry, data, data);
}

int block_verify(const struct block_ctx *c, struct block_key *k, uint64_t b,
		 const uint8_t entry[static ENTRY_SIZE], const uint8_t *data)
{
	return open_block(c, k, b, entry, data, NULL);
}
