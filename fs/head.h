/* The header of a file: bytes [0,256) of its page 0.  Sealing and opening; no I/O. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/block.h"

#define HEAD_LEN       256
#define HEAD_CLEAR_LEN 40 /* authenticated, readable */

#define HEAD_SPARSE 1u

struct head {
	uint8_t suite;
	uint32_t keygen;
	uint32_t epoch;
	uint8_t file_id[FILE_ID_LEN];
	uint64_t size;
	uint64_t synced; /* size at the last finished barrier */
	int64_t mtime_ns;
	uint32_t flags;
	uint8_t root[32];
	uint64_t mapped; /* blocks that are no holes */
};

/* 'file_key' is F, 32 bytes; a fresh random nonce is drawn. */
void head_seal(const struct head *h, const uint8_t *file_key, const uint8_t *head_key,
	       const uint8_t vol_id[static 16], uint8_t out[static HEAD_LEN]);
/* -EBADMSG: not ours or changed; -EOPNOTSUPP: a newer version, suite or feature. 'ret_file_key'
 * receives 32 bytes (guarded memory). */
int head_open(const uint8_t in[static HEAD_LEN], const uint8_t *head_key,
	      const uint8_t vol_id[static 16], struct head *ret, uint8_t *ret_file_key);

/* Clear fields, before authentication. */
bool head_has_magic(const uint8_t in[static HEAD_LEN]);
uint32_t head_clear_keygen(const uint8_t in[static HEAD_LEN]);
uint32_t head_clear_epoch(const uint8_t in[static HEAD_LEN]);
static inline const uint8_t *head_clear_file_id(const uint8_t in[static HEAD_LEN])
{
	return in + 16;
}
