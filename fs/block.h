/* One 4096-byte block: its entry (nonce, tag, length, epoch), sealing and opening.  No I/O.
 *
 * The message of a block has 'len' bytes, 1..4096; plaintext bytes beyond are zeros.  The AAD is
 * file_id || LE64(block) || entry[0,8).  doc/format.md section 4. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/blockmap.h"

enum suite {
	SUITE_XCHACHA20 = 1,
	SUITE_AES_GCM = 2,
	SUITE_AEGIS = 3,
};

#define NONCE_LEN   16 /* of one write request; the block number is the rest */
#define FILE_ID_LEN 16

/* Can this machine and build use the suite? */
bool block_suite_available(uint8_t suite);

/* What is common to the blocks of one file. 'key' (K_b, 32 bytes) and 'file_id' are borrowed. */
struct block_ctx {
	uint8_t suite;
	const uint8_t *key;
	const uint8_t *file_id;
};

struct entry {
	uint32_t epoch; /* never 0 in an entry that was written */
	uint16_t len;   /* 1..4096 */
	uint8_t nonce[NONCE_LEN];
	uint8_t tag[32];
};

void entry_encode(const struct entry *e, uint8_t out[static ENTRY_SIZE]);
/* -EBADMSG when a field is out of its range. All-zero is a hole: test first. */
int entry_decode(const uint8_t in[static ENTRY_SIZE], uint8_t suite, struct entry *ret);
bool entry_is_hole(const uint8_t in[static ENTRY_SIZE]);
uint32_t entry_epoch(const uint8_t in[static ENTRY_SIZE]);
uint32_t entry_len(const uint8_t in[static ENTRY_SIZE]);

/* The key of a request (suites 1 and 2) is derived once and kept here from block to block.
 * Zero-initialise; wipe with block_key_wipe(). */
struct block_key {
	bool valid;
	uint8_t nonce[NONCE_LEN];
	_Alignas(16) uint8_t expanded[512];
};
void block_key_wipe(struct block_key *k);

/* Seal 'len' bytes as block 'b': ciphertext of the same length to 'out' (may equal 'plain'), 64
 * bytes of entry to 'entry'. */
void block_seal(const struct block_ctx *c, struct block_key *k, uint64_t b, uint32_t epoch,
		const uint8_t nonce[static NONCE_LEN], const uint8_t *plain, uint32_t len,
		uint8_t *out, uint8_t entry[static ENTRY_SIZE]);
/* Open entry_len() bytes in place.  -EBADMSG: entry or data do not verify; 'data' is then garbage
 * that the caller must not hand out. */
int block_open(const struct block_ctx *c, struct block_key *k, uint64_t b,
	       const uint8_t entry[static ENTRY_SIZE], uint8_t *data);
/* The same check without a plaintext: 'data' is not changed. */
int block_verify(const struct block_ctx *c, struct block_key *k, uint64_t b,
		 const uint8_t entry[static ENTRY_SIZE], const uint8_t *data);
