/* Bytes of the record of touched files (doc/format.md 7.1): the marks beside a state, and the table
 * of sums behind the ring of the log.  Pure; fed with hostile bytes. */
#pragma once

#include <stdint.h>

#include "fs/log_codec.h"

/* Inodes with neighbouring numbers share a group, and a mark. */
#define MARK_SHIFT  6u
#define MARK_GROUPS 8192u
#define MARK_BYTES  (MARK_GROUPS / 8)
#define MARK_BIND   32u

/* What the quota charges for the inodes of a group, and which they are. */
struct mark_sum {
	uint64_t bytes;
	uint32_t files;
	uint32_t print; /* sum of mark_print() of their numbers */
};

/* The marks of a state. */
struct mark_record {
	uint64_t seq; /* of the table that says how the groups without a mark are */
	uint8_t bits[MARK_BYTES];
};

struct mark_table {
	uint64_t seq;
	uint32_t keygen;
	uint8_t bind[MARK_BIND]; /* the inodes that the numbers are relative to */
	struct mark_sum v[MARK_GROUPS];
};

#define MARK_TABLE_PAGES 33u
#define MARK_TABLE_LEN   (MARK_TABLE_PAGES * LOG_PAGE)

static inline uint32_t mark_group(uint64_t ino)
{
	return (uint32_t)(ino >> MARK_SHIFT) % MARK_GROUPS;
}
uint32_t mark_print(uint64_t ino);

/* Into the page of a sealed state, which they belong to and to no other. */
void mark_record_seal(const struct mark_record *r, const uint8_t key[static LOG_KEY_LEN],
		      const uint8_t vol_id[static 16], uint8_t page[static LOG_PAGE]);
/* -EBADMSG: there are none, or not of this state. */
int mark_record_open(const uint8_t page[static LOG_PAGE], const uint8_t key[static LOG_KEY_LEN],
		     const uint8_t vol_id[static 16], struct mark_record *ret);

void mark_table_seal(const struct mark_table *t, const uint8_t key[static LOG_KEY_LEN],
		     const uint8_t vol_id[static 16], uint8_t out[static MARK_TABLE_LEN]);
/* Clear fields; -EBADMSG when this is no table. */
int mark_table_peek(const uint8_t in[static MARK_TABLE_LEN], uint64_t *ret_seq,
		    uint32_t *ret_keygen);
/* -EBADMSG, -ENOMEM. */
int mark_table_open(const uint8_t in[static MARK_TABLE_LEN], const uint8_t key[static LOG_KEY_LEN],
		    const uint8_t vol_id[static 16], struct mark_table *ret);
