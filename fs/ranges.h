/* A set of block numbers kept as sorted, disjoint ranges: the blocks of a file that were written
 * directly since its last barrier.  Sequential writing keeps it at one range. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* [start, end) */
};

struct ranges {
	struct range *v;
	size_t len, cap;
	uint64_t count; /* blocks in the set */
};

void ranges_clear(struct ranges *r); /* and gives the memory back */
/* -ENOMEM: the set is unchanged. */
int ranges_add(struct ranges *r, uint64_t start, uint64_t end);
void ranges_remove(struct ranges *r, uint64_t start, uint64_t end);
/* Is 'b' in the set? '*ret_until' is the first block past it for which the answer differs. */
bool ranges_has(const struct ranges *r, uint64_t b, uint64_t *ret_until);
