#include "fs/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ranges_clear(struct ranges *r)
{
	free(r->v);
	*r = (struct ranges){ 0 };
}

/* The first range that ends at or after 'b'. */
static size_t find(const struct ranges *r, uint64_t b)
{
	size_t lo = 0, hi = r->len;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r->v[mid].end < b)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int grow(struct ranges *r)
{
	size_t cap = r->cap ? r->cap * 2 : 4;
	struct range *v;

	if (r->len < r->cap)
		return 0;
	v = realloc(r->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	r->v = v;
	r->cap = cap;
	return 0;
}

static void replace(struct ranges *r, size_t at, size_t old, const struct range *with, size_t n)
{
	memmove(r->v + at + n, r->v + at + old, (r->len - at - old) * sizeof(*r->v));
	if (n)
		memcpy(r->v + at, with, n * sizeof(*with));
	r->len = r->len - old + n;
}

int ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	size_t first = find(r, start), last = first;
	struct range m = { start, end };
	uint64_t had = 0;
	int ret;

	for (; last < r->len && r->v[last].start <= end; last++) {
		had += r->v[last].end - r->v[last].start;
		if (r->v[last].start < m.start)
			m.start = r->v[last].start;
		if (r->v[last].end > m.end)
			m.end = r->v[last].end;
	}
	if (last == first) {
		ret = grow(r);
		if (ret < 0)
			return ret;
	}
	replace(r, first, last - first, &m, 1);
	r->count += m.end - m.start - had;
	return 0;
}

void ranges_remove(struct ranges *r, uint64_t start, uint64_t end)
{
	size_t i = find(r, start);

	while (i < r->len && r->v[i].start < end) {
		struct range old = r->v[i], keep[2];
		size_t n = 0;

		if (old.end <= start) {
			i++;
			continue;
		}
		if (old.start < start)
			keep[n++] = (struct range){ old.start, start };
		if (old.end > end)
			keep[n++] = (struct range){ end, old.end };
		/* Without room for the second piece, forgetting it is the safe side. */
		if (n == 2 && grow(r) < 0)
			n = 1;
		replace(r, i, 1, keep, n);
		r->count -= old.end - old.start;
		for (size_t k = 0; k < n; k++)
			r->count += keep[k].end - keep[k].start;
		i += n;
	}
}

bool ranges_has(const struct ranges *r, uint64_t b, uint64_t *ret_until)
{
	size_t i = find(r, b + 1);

	if (i < r->len && r->v[i].start <= b) {
		*ret_until = r->v[i].end;
		return true;
	}
	*ret_until = i < r->len ? r->v[i].start : UINT64_MAX;
	return false;
}
