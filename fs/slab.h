/* Memory for a million small things of few sizes: slabs of equal items with nothing between them,
 * given back to the system when their last item goes (malloc() has 8 bytes before each, rounds up
 * to 16, and keeps a page as long as anything on it lives).  Not thread-safe: the owner locks.
 *
 * An item has a number, from 1 on, that is its own while it lives and leads back to it. */
#pragma once

#include <stdint.h>
#include <stddef.h>

#define SLAB_BYTES    65536u
#define SLAB_ITEM_MIN 32u
#define SLAB_ITEM_MAX 320u
#define SLAB_STEP     8u /* sizes are rounded up to this */

struct slab;

/* All zeros: empty. */
struct slabs {
	struct slab *room[SLAB_ITEM_MAX / SLAB_STEP + 1]; /* by size: lists of those with room */
	struct slab **table;                              /* by number; NULL: free number */
	uint32_t table_size, first_free;
	struct slab *spare; /* one is kept, so that a single item to and fro costs nothing */
	size_t nslabs;      /* without the spare one */
};

/* SLAB_ITEM_MIN..SLAB_ITEM_MAX bytes, zeroed, aligned for pointers. NULL: no memory. */
void *slab_alloc(struct slabs *s, size_t size);
void slab_free(struct slabs *s, void *item);
/* Gives everything back, living items too. */
void slabs_free(struct slabs *s);

uint32_t slab_number(const void *item);
/* NULL: no living item has this number. */
void *slab_at(const struct slabs *s, uint32_t number);
/* The first living item with a number >= '*number', which becomes the next one to ask for.
 * NULL: there are no more.  What is made or freed meanwhile may be seen or not; the others are seen
 * once. */
void *slab_next(const struct slabs *s, uint32_t *number);

/* What it occupies. */
static inline size_t slabs_bytes(const struct slabs *s)
{
	return (s->nslabs + (s->spare != NULL)) * SLAB_BYTES + s->table_size * sizeof(*s->table);
}
