#include "fs/livemap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void livemap_clear(struct livemap *m)
{
	free(m->v);
	free(m->holes);
	*m = (struct livemap){ 0 };
}

static size_t home_slot(const struct livemap *m, uint64_t block)
{
	return (size_t)((block * UINT64_C(0x9E3779B97F4A7C15)) >> 24) & (m->cap - 1);
}

static struct live *probe(const struct livemap *m, uint64_t block)
{
	size_t i = home_slot(m, block);

	while (m->v[i].seq != 0 && m->v[i].block != block)
		i = (i + 1) & (m->cap - 1);
	return &m->v[i];
}

struct live *livemap_find(const struct livemap *m, uint64_t block)
{
	struct live *l;

	if (m->len == 0)
		return NULL;
	l = probe(m, block);
	return l->seq ? l : NULL;
}

/* A new table with those of 'keep' (seq >= s). */
static int rebuild(struct livemap *m, size_t cap, uint64_t s)
{
	struct livemap n = { .cap = cap };

	n.v = calloc(cap, sizeof(*n.v));
	if (!n.v)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		if (m->v[i].seq != 0 && m->v[i].seq >= s) {
			*probe(&n, m->v[i].block) = m->v[i];
			n.len++;
		}
	}
	free(m->v);
	m->v = n.v;
	m->cap = n.cap;
	m->len = n.len;
	return 0;
}

struct live *livemap_put(struct livemap *m, uint64_t block)
{
	struct live *l;

	if (m->len + 1 > m->cap / 4 * 3 && rebuild(m, m->cap ? m->cap * 2 : 8, 1) < 0)
		return NULL;
	l = probe(m, block);
	if (l->seq == 0) {
		l->block = block;
		m->len++;
	}
	l->seq = SEQ_OPEN;
	return l;
}

/* Linear probing: close the gap, or later probes would stop at it. */
static void delete_at(struct livemap *m, size_t i)
{
	size_t j = i;

	for (;;) {
		size_t h;

		j = (j + 1) & (m->cap - 1);
		if (m->v[j].seq == 0)
			break;
		h = home_slot(m, m->v[j].block);
		if (((j - h) & (m->cap - 1)) >= ((j - i) & (m->cap - 1))) {
			m->v[i] = m->v[j];
			i = j;
		}
	}
	m->v[i].seq = 0;
	m->len--;
}

static void delete_range(struct livemap *m, uint64_t start, uint64_t end)
{
	if (m->len == 0)
		return;
	if (end - start < m->cap) {
		for (uint64_t b = start; b < end; b++) {
			struct live *l = probe(m, b);

			if (l->seq)
				delete_at(m, (size_t)(l - m->v));
		}
		return;
	}
	/* A deletion may move a later one into slot i: look at i again. */
	for (size_t i = 0; i < m->cap;) {
		if (m->v[i].seq && m->v[i].block >= start && m->v[i].block < end)
			delete_at(m, i);
		else
			i++;
	}
}

int livemap_hole(struct livemap *m, uint64_t start, uint64_t end)
{
	size_t k = 0;

	if (m->nholes == m->capholes) {
		size_t cap = m->capholes ? m->capholes * 2 : 4;
		struct live_hole *v = realloc(m->holes, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		m->holes = v;
		m->capholes = cap;
	}
	delete_range(m, start, end);
	/* Older ones within the new one say nothing any more. */
	for (size_t i = 0; i < m->nholes; i++) {
		if (m->holes[i].start < start || m->holes[i].end > end)
			m->holes[k++] = m->holes[i];
	}
	m->nholes = k;
	m->holes[m->nholes++] = (struct live_hole){ start, end, SEQ_OPEN };
	return 0;
}

const struct live_hole *livemap_in_hole(const struct livemap *m, uint64_t b)
{
	for (size_t i = m->nholes; i-- > 0;) {
		if (m->holes[i].start <= b && b < m->holes[i].end)
			return &m->holes[i];
	}
	return NULL;
}

void livemap_forget(struct livemap *m, uint64_t s)
{
	size_t left = 0, k = 0, cap = 8;

	for (size_t i = 0; i < m->cap; i++)
		left += m->v[i].seq != 0 && m->v[i].seq >= s;
	for (size_t i = 0; i < m->nholes; i++) {
		if (m->holes[i].seq >= s)
			m->holes[k++] = m->holes[i];
	}
	m->nholes = k;
	if (left == 0) {
		free(m->v);
		m->v = NULL;
		m->cap = m->len = 0;
	} else if (left < m->len) {
		while (left + 1 > cap / 4 * 3)
			cap *= 2;
		/* Without memory the old ones stay: they go to the log once more, no harm. */
		(void)rebuild(m, cap, s);
	}
	if (m->nholes == 0) {
		free(m->holes);
		m->holes = NULL;
		m->capholes = 0;
	}
}
