/* Recovery of what was touched: which inodes a mount after a crash looks at (doc/format.md 7.1).
 *
 * Those of marked groups.  The others are as they were when the store was clean, unless an inode is
 * there that was not: made right before the crash, before it could be marked.  No inode of an
 * unmarked group can have gone, so the group then holds more of them than the table says; names of
 * inodes are read for this, and nothing else of them. */
#include "fs/recover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/quota.h"

int recover_count_begin(struct recovery *rc)
{
	const struct marks *m = &rc->s->marks;

	rc->partial = rc->keep_inos = m->on;
	rc->sums = calloc(MARK_GROUPS, sizeof(*rc->sums));
	if (!rc->sums)
		return -ENOMEM;
	if (!rc->partial)
		return 0;
	memcpy(rc->wanted, m->next, sizeof(rc->wanted));
	for (uint32_t g = 0; g < MARK_GROUPS; g++) {
		if (marks_in(rc->wanted, g))
			continue;
		rc->sums[g] = m->v[g];
		rc->bytes += m->v[g].bytes;
		rc->files += m->v[g].files;
	}
	return 0;
}

void recover_count(struct recovery *rc, uint64_t ino, uint64_t bytes, unsigned files)
{
	struct mark_sum *sum;

	ino = marks_ino(rc->s, ino);
	sum = &rc->sums[mark_group(ino)];
	rc->bytes += bytes;
	rc->files += files;
	sum->bytes += bytes;
	sum->files += files;
	sum->print += files * mark_print(ino);
}

int recover_note_ino(struct recovery *rc, uint64_t ino)
{
	if (!rc->keep_inos)
		return 0;
	if (rc->ninos == rc->capinos) {
		size_t cap = rc->capinos ? rc->capinos * 2 : 4096;
		uint64_t *v = reallocarray(rc->inos, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		rc->inos = v;
		rc->capinos = cap;
	}
	rc->inos[rc->ninos++] = marks_ino(rc->s, ino);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* How many inodes of each group there are, and which. */
static void count_inos(struct recovery *rc, struct mark_sum *v)
{
	qsort(rc->inos, rc->ninos, sizeof(*rc->inos), by_number);
	for (size_t i = 0; i < rc->ninos; i++) {
		struct mark_sum *sum = &v[mark_group(rc->inos[i])];

		if (i > 0 && rc->inos[i] == rc->inos[i - 1])
			continue; /* another name of it */
		sum->files++;
		sum->print += mark_print(rc->inos[i]);
	}
}

int recover_find_strange(struct recovery *rc)
{
	autofree struct mark_sum *now = NULL;
	struct marks *m = &rc->s->marks;
	int any = 0;

	if (!rc->partial)
		return 0;
	now = calloc(MARK_GROUPS, sizeof(*now));
	if (!now)
		return -ENOMEM;
	if (rc->ninos)
		count_inos(rc, now);
	memset(rc->wanted, 0, sizeof(rc->wanted));
	rc->keep_inos = false;
	for (uint32_t g = 0; g < MARK_GROUPS; g++) {
		if (marks_in(m->next, g) ||
		    (now[g].files == rc->sums[g].files && now[g].print == rc->sums[g].print))
			continue;
		any = 1;
		marks_put(rc->wanted, g);
		marks_put(m->next, g); /* a second crash need not find it again */
		rc->bytes -= rc->sums[g].bytes;
		rc->files -= rc->sums[g].files;
		rc->sums[g] = (struct mark_sum){ 0 };
	}
	return any;
}

void recover_count_end(struct recovery *rc)
{
	struct store *s = rc->s;

	quota_set_used(s->p.quota, rc->bytes, rc->files);
	if (marks_begin(s))
		memcpy(s->marks.v, rc->sums, MARK_GROUPS * sizeof(*rc->sums));
}
