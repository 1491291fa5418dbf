/* Bytes of the log: the state page and the batch descriptor.  Pure; fed with hostile bytes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/block.h"
#include "fs/head.h"

#define LOG_PAGE      4096u
#define LOG_RING_AT   2u /* pages 0 and 1 are the state slots */
#define RING_MIN      128u
#define RING_MAX      (1u << 24)
#define BATCH_RECORDS 46u
#define LOG_KEY_LEN   32

#define BATCH_CUT  1u
#define BATCH_DEAD 2u

enum record_kind { RECORD_DATA = 1, RECORD_HOLE = 2 };

struct record {
	uint64_t block;
	uint32_t count; /* 1 for data */
	uint32_t kind;
	uint8_t entry[ENTRY_SIZE];
};

struct batch {
	uint64_t seq;
	uint32_t keygen;
	uint8_t file_id[FILE_ID_LEN];
	uint32_t flags;
	uint32_t nrec;
	uint64_t cut; /* CUT: first block cut off; DEAD: first sequence number still needed */
	uint8_t image[HEAD_LEN];
	struct record rec[BATCH_RECORDS];
};

/* Pages in the ring: the descriptor and one for each data record. */
uint32_t batch_pages(const struct batch *b);
/* 'out' is a whole page; a fresh nonce is drawn. */
void batch_seal(const struct batch *b, const uint8_t key[static LOG_KEY_LEN],
		const uint8_t vol_id[static 16], uint8_t out[static LOG_PAGE]);
/* Clear fields; false when this is no descriptor. */
bool batch_peek(const uint8_t in[static LOG_PAGE], uint64_t *ret_seq, uint32_t *ret_keygen);
/* -EBADMSG unless it opens and every field is in its range. */
int batch_open(const uint8_t in[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
	       const uint8_t vol_id[static 16], struct batch *ret);

struct state {
	uint32_t keygen;
	uint64_t counter;
	uint64_t conf_counter;
	uint32_t epoch;
	uint32_t clean;
	uint32_t ring;                   /* pages of the ring */
	uint32_t tail;                   /* first page still needed */
	uint64_t tail_seq;               /* its batch */
	uint64_t used_bytes, used_files; /* of the quota; valid when clean */
};

void state_seal(const struct state *st, const uint8_t key[static LOG_KEY_LEN],
		const uint8_t vol_id[static 16], uint8_t out[static LOG_PAGE]);
bool state_peek(const uint8_t in[static LOG_PAGE], uint32_t *ret_keygen);
int state_open(const uint8_t in[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
	       const uint8_t vol_id[static 16], struct state *ret);
