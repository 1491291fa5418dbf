#include "fs/tagcache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/blockmap.h"

struct page {
	uint64_t file, group;
	struct page *hash_next;
	struct page *newer, *older;
	uint8_t data[BLOCK_SIZE];
};

struct tagcache {
	pthread_mutex_t lock;
	uint32_t len, max, buckets; /* buckets: a power of two */
	struct page *newest, *oldest;
	struct page **table;
};

struct tagcache *tagcache_new(uint32_t max_pages)
{
	struct tagcache *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->max = max_pages;
	for (t->buckets = 64; t->buckets < max_pages; t->buckets *= 2)
		;
	t->table = calloc(t->buckets, sizeof(*t->table));
	if (!t->table) {
		free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void tagcache_free(struct tagcache *t)
{
	if (!t)
		return;
	while (t->newest) {
		struct page *p = t->newest;

		t->newest = p->older;
		free(p);
	}
	pthread_mutex_destroy(&t->lock);
	free(t->table);
	free(t);
}

static struct page **slot(struct tagcache *t, uint64_t file, uint64_t group)
{
	uint64_t h = (file * UINT64_C(0x9E3779B97F4A7C15)) ^ (group * UINT64_C(0xC2B2AE3D27D4EB4F));
	struct page **p = &t->table[(h >> 20) & (t->buckets - 1)];

	while (*p && ((*p)->file != file || (*p)->group != group))
		p = &(*p)->hash_next;
	return p;
}

static void unlink_lru(struct tagcache *t, struct page *p)
{
	*(p->newer ? &p->newer->older : &t->newest) = p->older;
	*(p->older ? &p->older->newer : &t->oldest) = p->newer;
}

static void link_newest(struct tagcache *t, struct page *p)
{
	p->newer = NULL;
	p->older = t->newest;
	*(t->newest ? &t->newest->newer : &t->oldest) = p;
	t->newest = p;
}

static void touch(struct tagcache *t, struct page *p)
{
	if (t->newest != p) {
		unlink_lru(t, p);
		link_newest(t, p);
	}
}

static struct page *detach(struct tagcache *t, struct page **at)
{
	struct page *p = *at;

	if (p) {
		*at = p->hash_next;
		unlink_lru(t, p);
		t->len--;
	}
	return p;
}

bool tagcache_get(struct tagcache *t, uint64_t file, uint64_t group, uint32_t first, uint32_t count,
		  uint8_t *out)
{
	struct page *p;

	pthread_mutex_lock(&t->lock);
	p = *slot(t, file, group);
	if (p) {
		memcpy(out, p->data + first * ENTRY_SIZE, count * ENTRY_SIZE);
		touch(t, p);
	}
	pthread_mutex_unlock(&t->lock);
	return p;
}

void tagcache_update(struct tagcache *t, uint64_t file, uint64_t group, uint32_t first,
		     uint32_t count, const uint8_t *entries)
{
	struct page *p;

	pthread_mutex_lock(&t->lock);
	p = *slot(t, file, group);
	if (p)
		memcpy(p->data + first * ENTRY_SIZE, entries, count * ENTRY_SIZE);
	pthread_mutex_unlock(&t->lock);
}

void tagcache_put(struct tagcache *t, uint64_t file, uint64_t group, const uint8_t *page)
{
	struct page *p, **at;

	pthread_mutex_lock(&t->lock);
	p = *slot(t, file, group);
	if (!p) {
		if (t->len >= t->max && t->oldest)
			p = detach(t, slot(t, t->oldest->file, t->oldest->group));
		else
			p = malloc(sizeof(*p));
		if (!p)
			goto out;
		p->file = file;
		p->group = group;
		at = slot(t, file, group);
		p->hash_next = *at;
		*at = p;
		link_newest(t, p);
		t->len++;
	}
	memcpy(p->data, page, BLOCK_SIZE);
	touch(t, p);
out:
	pthread_mutex_unlock(&t->lock);
}

void tagcache_drop(struct tagcache *t, uint64_t file, uint64_t group)
{
	pthread_mutex_lock(&t->lock);
	free(detach(t, slot(t, file, group)));
	pthread_mutex_unlock(&t->lock);
}

void tagcache_drop_range(struct tagcache *t, uint64_t file, uint64_t from, uint64_t upto)
{
	pthread_mutex_lock(&t->lock);
	if (upto >= from && upto - from >= t->len) {
		/* Fewer pages than groups: walk the pages. */
		for (struct page *p = t->newest, *next; p; p = next) {
			next = p->older;
			if (p->file == file && p->group >= from)
				free(detach(t, slot(t, p->file, p->group)));
		}
	} else {
		for (uint64_t g = from; g <= upto; g++)
			free(detach(t, slot(t, file, g)));
	}
	pthread_mutex_unlock(&t->lock);
}
