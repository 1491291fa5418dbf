/* A page of the log, as batch and as state; see fuzz_header.c for why the tag may be made right. */
#include <sodium.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/log_marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static const uint8_t key[32] = { 1 }, vol_id[16] = { 2 };

static void make_right(uint8_t *page, const char *magic, uint32_t clear, uint32_t slen)
{
	uint8_t aad[16 + 24];

	memcpy(page, magic, 8);
	memcpy(aad, vol_id, 16);
	memcpy(aad + 16, page, clear);
	crypto_aead_xchacha20poly1305_ietf_encrypt(page + clear + 24, NULL, page + clear + 24, slen,
						   aad, 16 + clear, NULL, page + clear, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static struct batch b;
	uint8_t page[LOG_PAGE] = { 0 };
	struct mark_record marks;
	struct state st;
	uint32_t slen;

	if (len == 0)
		return 0;
	memcpy(page, in + 1, len - 1 < LOG_PAGE ? len - 1 : LOG_PAGE);
	if (in[0] & 1) {
		slen = 288 + page[20] % 47 * 80;
		le32_store(page + 20, slen);
		make_right(page, "WFSBATC1", 24, slen);
	} else if (in[0] & 2) {
		memcpy(page + 40, vol_id, 16);
		make_right(page, "WFSSTAT1", 16, 72);
	}
	if (batch_open(page, key, vol_id, &b) == 0) {
		if (b.nrec > BATCH_RECORDS || batch_pages(&b) > 1 + BATCH_RECORDS)
			__builtin_trap();
		for (uint32_t i = 0; i < b.nrec; i++) {
			if (b.rec[i].block + b.rec[i].count > BLOCK_LIMIT)
				__builtin_trap();
		}
	}
	if (state_open(page, key, vol_id, &st) == 0 && st.tail >= st.ring)
		__builtin_trap();
	(void)mark_record_open(page, key, vol_id, &marks);
	return 0;
}
