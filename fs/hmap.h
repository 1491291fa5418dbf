/* A hash table of things that carry their own link: no allocation per entry, entries never move.
 *
 *   struct thing { struct hlink link; ... };
 *   hmap_insert(&map, &thing->link, hash);
 *   for (struct hlink *l = hmap_first(&map, hash); l; l = hmap_next(l)) ... same hash only
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct hlink {
	struct hlink *next;
	uint64_t hash;
};

struct hmap {
	struct hlink **slots;
	size_t size; /* 0 or a power of two */
	size_t count;
};

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

static inline void hmap_free(struct hmap *m)
{
	free(m->slots);
	*m = (struct hmap){ 0 };
}

static inline struct hlink **hmap_slot(const struct hmap *m, uint64_t hash)
{
	return &m->slots[hash & (m->size - 1)];
}

/* Room for one more. -1 when out of memory and no insert is possible. */
static inline int hmap_reserve(struct hmap *m)
{
	size_t size = m->size ? m->size * 2 : 8;
	struct hlink **slots;

	if (m->count < m->size)
		return 0;
	slots = calloc(size, sizeof(*slots));
	if (!slots)
		return m->size ? 0 : -1; /* longer chains are slow, not wrong */
	for (size_t i = 0; i < m->size; i++) {
		for (struct hlink *l = m->slots[i], *next; l; l = next) {
			next = l->next;
			l->next = slots[l->hash & (size - 1)];
			slots[l->hash & (size - 1)] = l;
		}
	}
	free(m->slots);
	m->slots = slots;
	m->size = size;
	return 0;
}

static inline int hmap_insert(struct hmap *m, struct hlink *l, uint64_t hash)
{
	struct hlink **slot;

	if (hmap_reserve(m) < 0)
		return -1;
	slot = hmap_slot(m, hash);
	l->hash = hash;
	l->next = *slot;
	*slot = l;
	m->count++;
	return 0;
}

static inline void hmap_remove(struct hmap *m, struct hlink *l)
{
	struct hlink **p;

	if (!m->size)
		return;
	for (p = hmap_slot(m, l->hash); *p; p = &(*p)->next) {
		if (*p == l) {
			*p = l->next;
			l->next = NULL;
			m->count--;
			return;
		}
	}
}

static inline struct hlink *hmap_chain(struct hlink *l, uint64_t hash)
{
	while (l && l->hash != hash)
		l = l->next;
	return l;
}

static inline struct hlink *hmap_first(const struct hmap *m, uint64_t hash)
{
	return m->size ? hmap_chain(*hmap_slot(m, hash), hash) : NULL;
}

static inline struct hlink *hmap_next(const struct hlink *l)
{
	return hmap_chain(l->next, l->hash);
}

/* Spread of small consecutive numbers. */
static inline uint64_t hmap_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x;
}
