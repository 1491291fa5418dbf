#include "fs/head.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"

#define MAGIC      "WFSFILE1"
#define VERSION    1
#define AT_NONCE   40
#define AT_SEALED  64
#define SEALED_LEN 176
#define AAD_LEN    (16 + HEAD_CLEAR_LEN)

static_assert(AT_SEALED + SEALED_LEN + 16 == HEAD_LEN, "header layout");

static void make_aad(const uint8_t vol_id[static 16], const uint8_t *clear, uint8_t *aad)
{
	memcpy(aad, vol_id, 16);
	memcpy(aad + 16, clear, HEAD_CLEAR_LEN);
}

void head_seal(const struct head *h, const uint8_t *file_key, const uint8_t *head_key,
	       const uint8_t vol_id[static 16], uint8_t out[static HEAD_LEN])
{
	uint8_t plain[SEALED_LEN] = { 0 }, aad[AAD_LEN];

	memset(out, 0, HEAD_LEN);
	memcpy(out, MAGIC, 8);
	out[8] = VERSION;
	out[9] = h->suite;
	le32_store(out + 12, h->keygen);
	memcpy(out + 16, h->file_id, FILE_ID_LEN);
	le32_store(out + 32, h->epoch);
	randombytes_buf(out + AT_NONCE, 24);

	memcpy(plain, file_key, 32);
	le64_store(plain + 32, h->size);
	le64_store(plain + 40, h->synced);
	le64_store(plain + 48, (uint64_t)h->mtime_ns);
	le32_store(plain + 56, h->flags);
	memcpy(plain + 64, h->root, 32);
	le64_store(plain + 96, h->mapped);

	make_aad(vol_id, out, aad);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + AT_SEALED, NULL, plain, SEALED_LEN, aad,
						   AAD_LEN, NULL, out + AT_NONCE, head_key);
	sodium_memzero(plain, sizeof(plain));
}

static int parse_sealed(const uint8_t plain[static SEALED_LEN], struct head *h)
{
	h->size = le64_load(plain + 32);
	h->synced = le64_load(plain + 40);
	h->mtime_ns = (int64_t)le64_load(plain + 48);
	h->flags = le32_load(plain + 56);
	memcpy(h->root, plain + 64, 32);
	h->mapped = le64_load(plain + 96);
	if (h->flags & ~HEAD_SPARSE)
		return -EOPNOTSUPP;
	if (h->size > PLAIN_SIZE_MAX || h->mapped > blockmap_count(h->size))
		return -EBADMSG;
	return 0;
}

int head_open(const uint8_t in[static HEAD_LEN], const uint8_t *head_key,
	      const uint8_t vol_id[static 16], struct head *ret, uint8_t *ret_file_key)
{
	uint8_t plain[SEALED_LEN], aad[AAD_LEN];
	struct head h = { 0 };
	int r;

	if (!head_has_magic(in))
		return -EBADMSG;
	if (in[8] != VERSION || in[10] != 0 || in[11] != 0)
		return -EOPNOTSUPP;
	make_aad(vol_id, in, aad);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, in + AT_SEALED,
						       SEALED_LEN + 16, aad, AAD_LEN, in + AT_NONCE,
						       head_key) != 0)
		return -EBADMSG;
	h.suite = in[9];
	h.keygen = le32_load(in + 12);
	memcpy(h.file_id, in + 16, FILE_ID_LEN);
	h.epoch = le32_load(in + 32);
	r = parse_sealed(plain, &h);
	if (r == 0 && !block_suite_available(h.suite))
		r = -EOPNOTSUPP;
	if (r == 0) {
		memcpy(ret_file_key, plain, 32);
		*ret = h;
	}
	sodium_memzero(plain, sizeof(plain));
	return r;
}

bool head_has_magic(const uint8_t in[static HEAD_LEN])
{
	return memcmp(in, MAGIC, 8) == 0;
}

uint32_t head_clear_keygen(const uint8_t in[static HEAD_LEN])
{
	return le32_load(in + 12);
}

uint32_t head_clear_epoch(const uint8_t in[static HEAD_LEN])
{
	return le32_load(in + 32);
}
