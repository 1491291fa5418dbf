/* A file's page 0 as it may be found on disk: clear fields, header, entries.
 *
 * The header's key is known to the fuzzer and the tag is made right for half of the inputs, or
 * nothing behind the authentication would ever be reached. */
#include <sodium.h>
#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/block.h"
#include "fs/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static const uint8_t key[32] = { 1 }, vol_id[16] = { 2 };

/* Seal what the input says as the sealed part. */
static void make_right(uint8_t page[static BLOCK_SIZE])
{
	uint8_t aad[16 + HEAD_CLEAR_LEN];

	memcpy(page, "WFSFILE1\1", 9);
	page[10] = page[11] = 0;
	memcpy(aad, vol_id, 16);
	memcpy(aad + 16, page, HEAD_CLEAR_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(page + 64, NULL, page + 64, 176, aad,
						   sizeof(aad), NULL, page + 40, key);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	uint8_t page[BLOCK_SIZE] = { 0 }, file_key[32], again[HEAD_LEN];
	struct head h, h2;
	struct entry e;

	if (len == 0)
		return 0;
	memcpy(page, in + 1, len - 1 < BLOCK_SIZE ? len - 1 : BLOCK_SIZE);
	if (in[0] & 1)
		make_right(page);
	(void)head_clear_epoch(page);
	(void)head_clear_keygen(page);
	if (head_open(page, key, vol_id, &h, file_key) == 0) {
		if (h.size > PLAIN_SIZE_MAX || h.mapped > blockmap_count(h.size))
			__builtin_trap();
		head_seal(&h, file_key, key, vol_id, again);
		if (head_open(again, key, vol_id, &h2, file_key) != 0 || h2.size != h.size)
			__builtin_trap();
	}
	for (uint32_t i = 0; i < HEAD_BLOCKS; i++) {
		const uint8_t *raw = page + HEAD_ENTRIES_AT + (size_t)i * ENTRY_SIZE;

		if (entry_decode(raw, 1 + i % 3, &e) == 0 && (e.len == 0 || e.len > BLOCK_SIZE))
			__builtin_trap();
	}
	return 0;
}
