#include "fs/log_marks.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define TAG_LEN   16u
#define NONCE_AT  24u /* of XChaCha20: 24 bytes */
#define VOL_LEN   16u
#define STATE_LEN 128u /* of a page, before the marks */

/* marks, behind the state: magic 8, nonce 24, sealed {seq 8, bits}, tag */
#define R_MAGIC  "WFSMARK1"
#define R_AT     STATE_LEN
#define R_NONCE  (R_AT + 8)
#define R_SEALED (R_NONCE + 24)
#define R_LEN    (8 + MARK_BYTES)

/* table: magic 8, seq 8, keygen 4, zero 4, nonce 24, sealed {bind, groups}, tag */
#define T_MAGIC   "WFSSUMS1"
#define T_CLEAR   24u
#define T_SEALED  48u
#define T_SUM_LEN 16u
#define T_LEN     (MARK_BIND + MARK_GROUPS * T_SUM_LEN)

static_assert(R_SEALED + R_LEN + TAG_LEN <= LOG_PAGE, "the marks fit behind the state");
static_assert(T_SEALED + T_LEN + TAG_LEN <= MARK_TABLE_LEN, "the table fits its pages");

uint32_t mark_print(uint64_t ino)
{
	ino = (ino ^ (ino >> 31)) * UINT64_C(0x9E3779B97F4A7C15);
	ino = (ino ^ (ino >> 29)) * UINT64_C(0xBF58476D1CE4E5B9);
	return (uint32_t)(ino >> 32);
}

void mark_record_seal(const struct mark_record *r, const uint8_t key[static LOG_KEY_LEN],
		      const uint8_t vol_id[static 16], uint8_t page[static LOG_PAGE])
{
	uint8_t aad[VOL_LEN + STATE_LEN], *p = page + R_SEALED;

	memcpy(aad, vol_id, VOL_LEN);
	memcpy(aad + VOL_LEN, page, STATE_LEN);
	memcpy(page + R_AT, R_MAGIC, 8);
	randombytes_buf(page + R_NONCE, 24);
	le64_store(p, r->seq);
	memcpy(p + 8, r->bits, MARK_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p, NULL, p, R_LEN, aad, sizeof(aad), NULL,
						   page + R_NONCE, key);
}

int mark_record_open(const uint8_t page[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
		     const uint8_t vol_id[static 16], struct mark_record *ret)
{
	uint8_t aad[VOL_LEN + STATE_LEN], p[R_LEN];

	if (memcmp(page + R_AT, R_MAGIC, 8) != 0)
		return -EBADMSG;
	memcpy(aad, vol_id, VOL_LEN);
	memcpy(aad + VOL_LEN, page, STATE_LEN);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(p, NULL, NULL, page + R_SEALED,
						       R_LEN + TAG_LEN, aad, sizeof(aad),
						       page + R_NONCE, key) != 0)
		return -EBADMSG;
	ret->seq = le64_load(p);
	memcpy(ret->bits, p + 8, MARK_BYTES);
	return 0;
}

void mark_table_seal(const struct mark_table *t, const uint8_t key[static LOG_KEY_LEN],
		     const uint8_t vol_id[static 16], uint8_t out[static MARK_TABLE_LEN])
{
	uint8_t aad[VOL_LEN + T_CLEAR], *p = out + T_SEALED;

	memset(out, 0, MARK_TABLE_LEN);
	memcpy(out, T_MAGIC, 8);
	le64_store(out + 8, t->seq);
	le32_store(out + 16, t->keygen);
	memcpy(p, t->bind, MARK_BIND);
	p += MARK_BIND;
	for (uint32_t i = 0; i < MARK_GROUPS; i++, p += T_SUM_LEN) {
		le64_store(p, t->v[i].bytes);
		le32_store(p + 8, t->v[i].files);
		le32_store(p + 12, t->v[i].print);
	}
	memcpy(aad, vol_id, VOL_LEN);
	memcpy(aad + VOL_LEN, out, T_CLEAR);
	randombytes_buf(out + NONCE_AT, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + T_SEALED, NULL, out + T_SEALED, T_LEN, aad,
						   sizeof(aad), NULL, out + NONCE_AT, key);
}

int mark_table_peek(const uint8_t in[static MARK_TABLE_LEN], uint64_t *ret_seq,
		    uint32_t *ret_keygen)
{
	if (memcmp(in, T_MAGIC, 8) != 0)
		return -EBADMSG;
	*ret_seq = le64_load(in + 8);
	*ret_keygen = le32_load(in + 16);
	return 0;
}

int mark_table_open(const uint8_t in[static MARK_TABLE_LEN], const uint8_t key[static LOG_KEY_LEN],
		    const uint8_t vol_id[static 16], struct mark_table *ret)
{
	autofree uint8_t *plain = malloc(T_LEN);
	uint8_t aad[VOL_LEN + T_CLEAR];
	const uint8_t *p = plain;

	if (!plain)
		return -ENOMEM;
	if (mark_table_peek(in, &ret->seq, &ret->keygen) < 0)
		return -EBADMSG;
	memcpy(aad, vol_id, VOL_LEN);
	memcpy(aad + VOL_LEN, in, T_CLEAR);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, in + T_SEALED,
						       T_LEN + TAG_LEN, aad, sizeof(aad),
						       in + NONCE_AT, key) != 0)
		return -EBADMSG;
	memcpy(ret->bind, p, MARK_BIND);
	p += MARK_BIND;
	for (uint32_t i = 0; i < MARK_GROUPS; i++, p += T_SUM_LEN)
		ret->v[i] = (struct mark_sum){ le64_load(p), le32_load(p + 8), le32_load(p + 12) };
	return 0;
}
