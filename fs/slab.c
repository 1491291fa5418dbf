#include "fs/slab.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"

/* The address sanitizer sees the use of an item that was freed only if it is told. */
#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISON 1
#endif
#endif
#ifdef SLAB_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p))
#endif

#define ITEMS_MAX (SLAB_BYTES / SLAB_ITEM_MIN) /* numbers that a slab has */
#define MAP_WORDS (ITEMS_MAX / 64)

/* Stands at the start of its SLAB_BYTES, which are aligned to their size: an item leads here. */
struct slab {
	struct slab *prev, *next; /* of the same size, with room */
	uint32_t no;              /* index in the table */
	uint16_t size, n, used;
	uint64_t map[MAP_WORDS]; /* living items */
};

static_assert(sizeof(struct slab) % SLAB_STEP == 0, "items are aligned");

static struct slab *slab_of(const void *item)
{
	return (struct slab *)((uintptr_t)item & ~(uintptr_t)(SLAB_BYTES - 1));
}

static char *item_at(const struct slab *b, uint32_t i)
{
	return (char *)b + sizeof(*b) + (size_t)i * b->size;
}

static uint32_t item_index(const struct slab *b, const void *item)
{
	return (uint32_t)((size_t)((const char *)item - (const char *)b - sizeof(*b)) / b->size);
}

/* -- lists of those with room --------------------------------------------- */

static struct slab **room_of(struct slabs *s, const struct slab *b)
{
	return &s->room[b->size / SLAB_STEP];
}

static void room_add(struct slabs *s, struct slab *b)
{
	struct slab **head = room_of(s, b);

	b->prev = NULL;
	b->next = *head;
	if (*head)
		(*head)->prev = b;
	*head = b;
}

static void room_remove(struct slabs *s, struct slab *b)
{
	if (b->next)
		b->next->prev = b->prev;
	if (b->prev)
		b->prev->next = b->next;
	else
		*room_of(s, b) = b->next;
}

/* -- slabs ---------------------------------------------------------------- */

/* Mostly the kernel puts the next one right below the last one. */
static void *map_aligned(void)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *p = mmap(NULL, SLAB_BYTES, prot, flags, -1, 0);
	size_t head;

	if (p == MAP_FAILED || (uintptr_t)p % SLAB_BYTES == 0)
		return p == MAP_FAILED ? NULL : p;
	munmap(p, SLAB_BYTES);
	p = mmap(NULL, 2 * SLAB_BYTES, prot, flags, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	head = (SLAB_BYTES - (uintptr_t)p % SLAB_BYTES) % SLAB_BYTES;
	if (head > 0)
		munmap(p, head);
	munmap(p + head + SLAB_BYTES, SLAB_BYTES - head);
	return p + head;
}

static void unmap(struct slab *b)
{
	ASAN_UNPOISON_MEMORY_REGION(b, SLAB_BYTES);
	munmap(b, SLAB_BYTES);
}

/* The lowest number that is free. */
static int number_slab(struct slabs *s, struct slab *b)
{
	uint32_t i = s->first_free;

	while (i < s->table_size && s->table[i])
		i++;
	if (i == s->table_size) {
		uint32_t size = MAX(2 * s->table_size, 16u);
		struct slab **table;

		if (size > UINT32_MAX / ITEMS_MAX)
			return -1;
		table = reallocarray(s->table, size, sizeof(*table));
		if (!table)
			return -1;
		memset(table + s->table_size, 0, (size - s->table_size) * sizeof(*table));
		s->table = table;
		s->table_size = size;
	}
	s->table[i] = b;
	s->first_free = i + 1;
	b->no = i;
	return 0;
}

static struct slab *slab_new(struct slabs *s, size_t size)
{
	struct slab *b = s->spare ? s->spare : map_aligned();

	if (!b)
		return NULL;
	s->spare = NULL;
	ASAN_UNPOISON_MEMORY_REGION(b, SLAB_BYTES);
	*b = (struct slab){ .size = (uint16_t)size };
	b->n = (uint16_t)((SLAB_BYTES - sizeof(*b)) / size);
	if (number_slab(s, b) < 0) {
		s->spare = b;
		return NULL;
	}
	ASAN_POISON_MEMORY_REGION(b + 1, SLAB_BYTES - sizeof(*b));
	s->nslabs++;
	room_add(s, b);
	return b;
}

static void slab_release(struct slabs *s, struct slab *b)
{
	room_remove(s, b);
	s->table[b->no] = NULL;
	s->first_free = MIN(s->first_free, b->no);
	s->nslabs--;
	if (s->spare)
		unmap(b);
	else
		s->spare = b;
}

/* -- items ---------------------------------------------------------------- */

void *slab_alloc(struct slabs *s, size_t size)
{
	size_t rounded = (MAX(size, SLAB_ITEM_MIN) + SLAB_STEP - 1) / SLAB_STEP * SLAB_STEP;
	struct slab *b;
	uint32_t i = 0;
	char *item;

	assert(rounded <= SLAB_ITEM_MAX);
	b = s->room[rounded / SLAB_STEP];
	if (!b)
		b = slab_new(s, rounded);
	if (!b)
		return NULL;
	while (b->map[i] == UINT64_MAX)
		i++;
	i = i * 64 + (uint32_t)__builtin_ctzll(~b->map[i]);
	b->map[i / 64] |= UINT64_C(1) << i % 64;
	if (++b->used == b->n)
		room_remove(s, b);
	item = item_at(b, i);
	ASAN_UNPOISON_MEMORY_REGION(item, b->size);
	memset(item, 0, b->size);
	return item;
}

void slab_free(struct slabs *s, void *item)
{
	struct slab *b = slab_of(item);
	uint32_t i = item_index(b, item);

	assert(b->map[i / 64] >> i % 64 & 1);
	b->map[i / 64] &= ~(UINT64_C(1) << i % 64);
	ASAN_POISON_MEMORY_REGION(item, b->size);
	if (b->used-- == b->n)
		room_add(s, b);
	if (b->used == 0)
		slab_release(s, b);
}

void slabs_free(struct slabs *s)
{
	for (uint32_t i = 0; i < s->table_size; i++)
		if (s->table[i])
			unmap(s->table[i]);
	if (s->spare)
		unmap(s->spare);
	free(s->table);
	*s = (struct slabs){ 0 };
}

/* -- numbers -------------------------------------------------------------- */

uint32_t slab_number(const void *item)
{
	const struct slab *b = slab_of(item);

	return b->no * ITEMS_MAX + item_index(b, item) + 1;
}

void *slab_at(const struct slabs *s, uint32_t number)
{
	uint32_t no = (number - 1) / ITEMS_MAX, i = (number - 1) % ITEMS_MAX;
	const struct slab *b = no < s->table_size ? s->table[no] : NULL;

	if (number == 0 || !b || !(b->map[i / 64] >> i % 64 & 1))
		return NULL;
	return item_at(b, i);
}

void *slab_next(const struct slabs *s, uint32_t *number)
{
	uint32_t at = *number > 0 ? *number - 1 : 0;

	for (; at / ITEMS_MAX < s->table_size; at = (at / ITEMS_MAX + 1) * ITEMS_MAX) {
		const struct slab *b = s->table[at / ITEMS_MAX];

		for (uint32_t i = at % ITEMS_MAX; b && i < b->n; i++) {
			if (b->map[i / 64] >> i % 64 & 1) {
				*number = at / ITEMS_MAX * ITEMS_MAX + i + 2;
				return item_at(b, i);
			}
		}
	}
	return NULL;
}
