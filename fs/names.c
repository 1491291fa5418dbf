#include "fs/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SLOTS_MAX (UINT32_MAX / 2)

/* -- slots: a pointer, or a cookie with its lowest bit set ----------------- */

static struct dentry *slot_dentry(uint64_t slot)
{
	return slot & 1 ? NULL : (struct dentry *)(uintptr_t)slot;
}

static uint64_t slot_cookie(uint64_t slot)
{
	return slot & 1 ? slot >> 1 : slot_dentry(slot)->cookie;
}

static uint64_t slot_gone(uint64_t cookie)
{
	return cookie << 1 | 1;
}

/* -- index: upper half of the hash, number of the slot + 1; 0 is free ------ */

static uint32_t row_home(uint64_t row, uint32_t size)
{
	return (uint32_t)((row >> 32) * size >> 32);
}

static uint32_t row_slot(uint64_t row)
{
	return (uint32_t)row - 1;
}

static uint64_t row_make(uint64_t hash, uint32_t slot)
{
	return (hash & ~(uint64_t)UINT32_MAX) | (slot + 1);
}

static uint32_t after(uint32_t i, uint32_t size)
{
	return i + 1 == size ? 0 : i + 1;
}

static void index_put(uint64_t *index, uint32_t size, uint64_t row)
{
	uint32_t i = row_home(row, size);

	while (index[i])
		i = after(i, size);
	index[i] = row;
}

/* The row of a slot that is there. */
static uint32_t index_find(const struct names *n, uint64_t hash, const struct dentry *d)
{
	uint32_t i = row_home(hash, n->index_size);

	while (slot_dentry(n->slots[row_slot(n->index[i])]) != d)
		i = after(i, n->index_size);
	return i;
}

/* Rows after the hole move into it unless they would come before their home. */
static void index_remove(struct names *n, uint32_t hole)
{
	uint32_t size = n->index_size;

	for (uint32_t i = after(hole, size); n->index[i]; i = after(i, size)) {
		uint32_t home = row_home(n->index[i], size);
		uint32_t from_home = i >= home ? i - home : i + size - home;
		uint32_t from_hole = i >= hole ? i - hole : i + size - hole;

		if (from_home >= from_hole) {
			n->index[hole] = n->index[i];
			hole = i;
		}
	}
	n->index[hole] = 0;
}

/* Into a new table; 'moved', if there is one, has the new numbers of the slots. */
static int index_rebuild(struct names *n, uint32_t size, const uint32_t *moved)
{
	uint64_t *index = calloc(size, sizeof(*index));

	if (!index)
		return -1;
	for (uint32_t i = 0; i < n->index_size; i++) {
		uint64_t row = n->index[i];

		if (row && moved)
			row = row_make(row, moved[row_slot(row)]);
		if (row)
			index_put(index, size, row);
	}
	free(n->index);
	n->index = index;
	n->index_size = size;
	return 0;
}

/* -- growing and shrinking ------------------------------------------------ */

static uint32_t grown(uint32_t size)
{
	return size < 8 ? 8 : size < 1024 ? 2 * size : size + size / 4;
}

static int make_room(struct names *n)
{
	if (n->nslots >= SLOTS_MAX)
		return -1;
	if (n->nslots == n->slots_size) {
		uint32_t size = grown(n->slots_size);
		uint64_t *slots = reallocarray(n->slots, size, sizeof(*slots));

		if (!slots)
			return -1;
		n->slots = slots;
		n->slots_size = size;
	}
	/* At most four fifths full: a name that is not there is looked for in some ten rows, which
	 * are side by side. */
	if (((uint64_t)n->count + 1) * 5 <= (uint64_t)n->index_size * 4)
		return 0;
	return index_rebuild(n, grown(n->index_size), NULL);
}

/* Slots of names that are gone are squeezed out when they are half of all. */
static void compact(struct names *n)
{
	autofree uint32_t *moved = NULL;
	uint32_t live = 0;
	uint64_t *slots;

	if (n->nslots < 64 || n->count > n->nslots / 2)
		return;
	moved = malloc(n->nslots * sizeof(*moved));
	if (!moved)
		return; /* it stays as it is */
	for (uint32_t i = 0; i < n->nslots; i++)
		moved[i] = n->slots[i] & 1 ? 0 : live++;
	if (index_rebuild(n, MAX(n->count + n->count / 2, 8u), moved) < 0)
		return;
	for (uint32_t i = 0; i < n->nslots; i++)
		if (!(n->slots[i] & 1))
			n->slots[moved[i]] = n->slots[i];
	n->nslots = live;
	slots = reallocarray(n->slots, MAX(live + live / 4, 8u), sizeof(*slots));
	if (slots) {
		n->slots = slots;
		n->slots_size = MAX(live + live / 4, 8u);
	}
}

/* -- names ---------------------------------------------------------------- */

struct dentry *names_find(const struct names *n, uint64_t hash, const char *name, size_t len)
{
	if (n->count == 0)
		return NULL;
	for (uint32_t i = row_home(hash, n->index_size); n->index[i]; i = after(i, n->index_size)) {
		struct dentry *d;

		if (n->index[i] >> 32 != hash >> 32)
			continue;
		d = slot_dentry(n->slots[row_slot(n->index[i])]);
		if (d->len == len && memcmp(d->name, name, len) == 0)
			return d;
	}
	return NULL;
}

int names_add(struct names *n, uint64_t hash, struct dentry *d)
{
	if (make_room(n) < 0)
		return -1;
	d->cookie = ++n->last_cookie;
	index_put(n->index, n->index_size, row_make(hash, n->nslots));
	n->slots[n->nslots++] = (uintptr_t)d;
	n->count++;
	return 0;
}

void names_remove(struct names *n, uint64_t hash, const struct dentry *d)
{
	uint32_t row = index_find(n, hash, d);

	n->slots[row_slot(n->index[row])] = slot_gone(d->cookie);
	index_remove(n, row);
	n->count--;
	compact(n);
}

void names_free(struct names *n)
{
	free(n->slots);
	free(n->index);
	*n = (struct names){ 0 };
}

size_t names_seek(const struct names *n, uint64_t cookie)
{
	size_t lo = 0, hi = n->nslots;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (slot_cookie(n->slots[mid]) <= cookie)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct dentry *names_next(const struct names *n, size_t *slot)
{
	while (*slot < n->nslots) {
		struct dentry *d = slot_dentry(n->slots[(*slot)++]);

		if (d)
			return d;
	}
	return NULL;
}
