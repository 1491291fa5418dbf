/* What the log holds of one file: blocks with data, and ranges that became holes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/blockmap.h"

#define SEQ_OPEN UINT64_MAX /* in the batch that is still being gathered */

struct live {
	uint64_t block;
	uint64_t seq; /* SEQ_OPEN or the batch's number; 0 = empty slot of the table */
	uint32_t pos; /* data page: page in the ring, or index in the open batch */
	uint8_t entry[ENTRY_SIZE];
};

struct live_hole {
	uint64_t start, end; /* a cut ends at UINT64_MAX */
	uint64_t seq;
};

struct livemap {
	struct live *v; /* open addressing */
	size_t cap, len;
	struct live_hole *holes; /* in the order of their records */
	size_t nholes, capholes;
};

void livemap_clear(struct livemap *m);
static inline bool livemap_empty(const struct livemap *m)
{
	return m->len == 0 && m->nholes == 0;
}
struct live *livemap_find(const struct livemap *m, uint64_t block);
/* Find or insert (with seq = SEQ_OPEN). NULL: out of memory. */
struct live *livemap_put(struct livemap *m, uint64_t block);
/* A hole record: data of the range is forgotten. -ENOMEM. */
int livemap_hole(struct livemap *m, uint64_t start, uint64_t end);
/* Newest hole covering 'b', NULL if none. */
const struct live_hole *livemap_in_hole(const struct livemap *m, uint64_t b);
/* Forget what is of batches before 's'. */
void livemap_forget(struct livemap *m, uint64_t s);
