#include "fs/idset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct idset_row *row_of(const struct idset *s, struct idset_row *v, size_t cap,
				const uint8_t id[static 16])
{
	uint64_t h;
	size_t i;

	memcpy(&h, id, sizeof(h));
	i = (size_t)(h * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (cap - 1);
	while (v[i].ino != 0 && memcmp(v[i].id, id, 16) != 0)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int idset_grow(struct idset *s)
{
	size_t cap = s->cap ? s->cap * 2 : 256;
	struct idset_row *v = calloc(cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++) {
		if (s->v[i].ino != 0)
			*row_of(s, v, cap, s->v[i].id) = s->v[i];
	}
	free(s->v);
	s->v = v;
	s->cap = cap;
	return 0;
}

int idset_note(struct idset *s, const uint8_t id[static 16], uint64_t ino, uint64_t *ret_before)
{
	struct idset_row *row;

	if (s->len + 1 > s->cap / 4 * 3 && idset_grow(s) < 0)
		return -ENOMEM;
	row = row_of(s, s->v, s->cap, id);
	*ret_before = row->ino;
	if (row->ino == 0) {
		memcpy(row->id, id, sizeof(row->id));
		row->ino = ino;
		s->len++;
	}
	return 0;
}

bool idset_has(const struct idset *s, const uint8_t id[static 16])
{
	return s->cap && row_of(s, s->v, s->cap, id)->ino != 0;
}

int idset_met(struct idset *s, const struct stat *st, bool *ret)
{
	uint8_t id[16];
	uint64_t before = 0, dev = st->st_dev, ino = st->st_ino;
	int r = 0;

	if (st->st_nlink > 1) {
		memcpy(id, &ino, 8);
		memcpy(id + 8, &dev, 8);
		r = idset_note(s, id, ino, &before);
	}
	*ret = before != 0;
	return r;
}

void idset_free(struct idset *s)
{
	free(s->v);
	*s = (struct idset){ 0 };
}
