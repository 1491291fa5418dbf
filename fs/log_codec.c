#include "fs/log_codec.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"

#define TAG_LEN 16

/* descriptor: magic 8, seq 8, keygen 4, slen 4, nonce 24, sealed slen, tag */
#define B_MAGIC    "WFSBATC1"
#define B_CLEAR    24
#define B_SEALED   48
#define B_FIXED    288
#define RECORD_LEN 80

/* state: magic 8, keygen 4, zero 4, nonce 24, sealed 72, tag */
#define S_MAGIC  "WFSSTAT1"
#define S_CLEAR  16
#define S_SEALED 40
#define S_LEN    72

static_assert(B_SEALED + B_FIXED + BATCH_RECORDS * RECORD_LEN + TAG_LEN <= LOG_PAGE,
	      "a full batch fits its page");

/* AEAD with AAD = vol_id || clear bytes before the nonce, which sits between them and 'sealed'. */
static void page_seal(uint8_t *page, uint32_t clear, uint32_t sealed, uint32_t len,
		      const uint8_t *key, const uint8_t *vol_id)
{
	uint8_t aad[16 + B_CLEAR];

	randombytes_buf(page + clear, 24);
	memcpy(aad, vol_id, 16);
	memcpy(aad + 16, page, clear);
	crypto_aead_xchacha20poly1305_ietf_encrypt(page + sealed, NULL, page + sealed, len, aad,
						   16 + clear, NULL, page + clear, key);
}

static int page_open(const uint8_t *page, uint32_t clear, uint32_t sealed, uint32_t len,
		     const uint8_t *key, const uint8_t *vol_id, uint8_t *out)
{
	uint8_t aad[16 + B_CLEAR];

	memcpy(aad, vol_id, 16);
	memcpy(aad + 16, page, clear);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, page + sealed,
						       len + TAG_LEN, aad, 16 + clear, page + clear,
						       key) != 0)
		return -EBADMSG;
	return 0;
}

uint32_t batch_pages(const struct batch *b)
{
	uint32_t n = 1;

	for (uint32_t i = 0; i < b->nrec; i++)
		n += b->rec[i].kind == RECORD_DATA;
	return n;
}

void batch_seal(const struct batch *b, const uint8_t key[static LOG_KEY_LEN],
		const uint8_t vol_id[static 16], uint8_t out[static LOG_PAGE])
{
	uint32_t slen = B_FIXED + b->nrec * RECORD_LEN;
	uint8_t *p = out + B_SEALED;

	memset(out, 0, LOG_PAGE);
	memcpy(out, B_MAGIC, 8);
	le64_store(out + 8, b->seq);
	le32_store(out + 16, b->keygen);
	le32_store(out + 20, slen);
	memcpy(p, b->file_id, FILE_ID_LEN);
	le32_store(p + 16, b->flags);
	le32_store(p + 20, b->nrec);
	le64_store(p + 24, b->cut);
	memcpy(p + 32, b->image, HEAD_LEN);
	p += B_FIXED;
	for (uint32_t i = 0; i < b->nrec; i++, p += RECORD_LEN) {
		le64_store(p, b->rec[i].block);
		le32_store(p + 8, b->rec[i].count);
		le32_store(p + 12, b->rec[i].kind);
		memcpy(p + 16, b->rec[i].entry, ENTRY_SIZE);
	}
	page_seal(out, B_CLEAR, B_SEALED, slen, key, vol_id);
}

bool batch_peek(const uint8_t in[static LOG_PAGE], uint64_t *ret_seq, uint32_t *ret_keygen)
{
	if (memcmp(in, B_MAGIC, 8) != 0)
		return false;
	*ret_seq = le64_load(in + 8);
	*ret_keygen = le32_load(in + 16);
	return true;
}

static int parse_record(const uint8_t *p, struct record *r)
{
	r->block = le64_load(p);
	r->count = le32_load(p + 8);
	r->kind = le32_load(p + 12);
	memcpy(r->entry, p + 16, ENTRY_SIZE);
	if (r->kind != RECORD_DATA && r->kind != RECORD_HOLE)
		return -EBADMSG;
	if (r->count == 0 || (r->kind == RECORD_DATA && r->count != 1))
		return -EBADMSG;
	if (r->block >= BLOCK_LIMIT || r->count > BLOCK_LIMIT - r->block)
		return -EBADMSG;
	return 0;
}

int batch_open(const uint8_t in[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
	       const uint8_t vol_id[static 16], struct batch *ret)
{
	uint8_t plain[LOG_PAGE];
	const uint8_t *p = plain;
	uint32_t slen;
	int r;

	if (!batch_peek(in, &ret->seq, &ret->keygen))
		return -EBADMSG;
	slen = le32_load(in + 20);
	if (slen < B_FIXED || slen > B_FIXED + BATCH_RECORDS * RECORD_LEN ||
	    (slen - B_FIXED) % RECORD_LEN != 0)
		return -EBADMSG;
	r = page_open(in, B_CLEAR, B_SEALED, slen, key, vol_id, plain);
	if (r < 0)
		return r;
	memcpy(ret->file_id, p, FILE_ID_LEN);
	ret->flags = le32_load(p + 16);
	ret->nrec = le32_load(p + 20);
	ret->cut = le64_load(p + 24);
	memcpy(ret->image, p + 32, HEAD_LEN);
	if (ret->nrec != (slen - B_FIXED) / RECORD_LEN || (ret->flags & ~(BATCH_CUT | BATCH_DEAD)))
		return -EBADMSG;
	if ((ret->flags & BATCH_CUT) && ret->cut > BLOCK_LIMIT)
		return -EBADMSG;
	for (uint32_t i = 0; i < ret->nrec && r == 0; i++)
		r = parse_record(p + B_FIXED + i * RECORD_LEN, &ret->rec[i]);
	return r;
}

void state_seal(const struct state *st, const uint8_t key[static LOG_KEY_LEN],
		const uint8_t vol_id[static 16], uint8_t out[static LOG_PAGE])
{
	uint8_t *p = out + S_SEALED;

	memset(out, 0, LOG_PAGE);
	memcpy(out, S_MAGIC, 8);
	le32_store(out + 8, st->keygen);
	memcpy(p, vol_id, 16);
	le64_store(p + 16, st->counter);
	le64_store(p + 24, st->conf_counter);
	le32_store(p + 32, st->epoch);
	le32_store(p + 36, st->clean);
	le32_store(p + 40, st->ring);
	le32_store(p + 44, st->tail);
	le64_store(p + 48, st->tail_seq);
	le64_store(p + 56, st->used_bytes);
	le64_store(p + 64, st->used_files);
	page_seal(out, S_CLEAR, S_SEALED, S_LEN, key, vol_id);
}

bool state_peek(const uint8_t in[static LOG_PAGE], uint32_t *ret_keygen)
{
	if (memcmp(in, S_MAGIC, 8) != 0)
		return false;
	*ret_keygen = le32_load(in + 8);
	return true;
}

int state_open(const uint8_t in[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
	       const uint8_t vol_id[static 16], struct state *ret)
{
	uint8_t p[S_LEN];
	struct state st = { 0 };
	int r;

	if (!state_peek(in, &st.keygen))
		return -EBADMSG;
	r = page_open(in, S_CLEAR, S_SEALED, S_LEN, key, vol_id, p);
	if (r < 0)
		return r;
	if (memcmp(p, vol_id, 16) != 0)
		return -EBADMSG;
	st.counter = le64_load(p + 16);
	st.conf_counter = le64_load(p + 24);
	st.epoch = le32_load(p + 32);
	st.clean = le32_load(p + 36);
	st.ring = le32_load(p + 40);
	st.tail = le32_load(p + 44);
	st.tail_seq = le64_load(p + 48);
	st.used_bytes = le64_load(p + 56);
	st.used_files = le64_load(p + 64);
	if (st.epoch == 0 || st.clean > 1 || st.ring == 0 || st.ring > RING_MAX ||
	    st.tail >= st.ring || st.tail_seq == 0)
		return -EBADMSG;
	*ret = st;
	return 0;
}
