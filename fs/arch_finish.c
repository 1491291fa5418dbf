/* The end of making an index: what can be reached, in its final order, in one block. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/arch_index_int.h"
#include "fs/arch_proto.h"

struct finish {
	const struct arch_build *b;
	uint32_t *order; /* names that are still there, by directory and bytes */
	uint32_t norder;
	uint32_t *first; /* of each inode of 'b': where its names begin in 'order' */
	uint32_t *to;    /* its number in the index, or ARCH_NO_INODE */
	uint32_t *queue; /* inodes of 'b' by that number */
	struct arch_head *head;
	struct arch_inode *inodes;
};

static int compare(const void *pa, const void *pb, void *ctx)
{
	const struct arch_build *b = ctx;
	const struct build_name *x = &b->names[*(const uint32_t *)pa];
	const struct build_name *y = &b->names[*(const uint32_t *)pb];

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return arch_name_compare(b->strings + x->at, x->len, b->strings + y->at, y->len);
}

static void sort_names(struct finish *f)
{
	const struct arch_build *b = f->b;

	for (uint32_t i = 0; i < b->nnames; i++)
		if (!b->names[i].gone)
			f->order[f->norder++] = i;
	qsort_r(f->order, f->norder, sizeof(*f->order), compare, (void *)b);
	for (uint32_t i = f->norder; i-- > 0;)
		f->first[b->names[f->order[i]].dir] = i;
}

/* From the top down, so that a directory has a higher number than the one it is in. */
static uint32_t number(struct finish *f)
{
	const struct arch_build *b = f->b;
	uint32_t n = 1;

	memset(f->to, 0xff, b->ninodes * sizeof(*f->to));
	f->to[0] = 0;
	f->queue[0] = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct arch_inode *d = &b->inodes[f->queue[i]];

		for (uint32_t k = 0; d->flags & ARCH_INODE_DIR && k < d->count; k++) {
			uint32_t in = b->names[f->order[f->first[f->queue[i]] + k]].inode;

			if (f->to[in] != ARCH_NO_INODE)
				continue;
			f->to[in] = n;
			f->queue[n++] = in;
		}
	}
	return n;
}

static void fill_inodes(struct finish *f)
{
	struct arch_head *h = f->head;

	for (uint32_t i = 0; i < h->ninodes; i++) {
		struct arch_inode *n = &f->inodes[i];

		*n = f->b->inodes[f->queue[i]];
		if (n->flags & ARCH_INODE_DIR) {
			n->first = n->count ? f->first[f->queue[i]] : 0;
			n->parent = f->to[n->parent];
			n->nlink = 2;
			if (n->mtime == 0) /* the archive has no entry for it */
				n->mtime = h->id.mtime;
			if (i > 0)
				f->inodes[n->parent].nlink++;
			continue;
		}
		h->files++;
		if (!(n->flags & ARCH_INODE_SYMLINK))
			h->bytes += n->size;
	}
}

static void fill_names(struct finish *f, struct arch_name *names)
{
	for (uint32_t i = 0; i < f->norder; i++) {
		const struct build_name *n = &f->b->names[f->order[i]];

		names[i] = (struct arch_name){
			.inode = f->to[n->inode],
			.at = n->at,
			.len = n->len,
		};
	}
}

static void fill_head(struct finish *f, const struct arch_id *id, uint32_t flags,
		      const char *format)
{
	const struct arch_build *b = f->b;

	*f->head = (struct arch_head){
		.magic = ARCH_INDEX_MAGIC,
		.order = ARCH_INDEX_ORDER,
		.flags = flags,
		.id = *id,
		.unpacked = b->unpacked,
		.nnames = f->norder,
		.strings = b->nstrings,
		.left_names = b->left_names,
		.left_kinds = b->left_kinds,
		.left_links = b->left_links,
		.replaced = b->replaced,
	};
	snprintf(f->head->format, sizeof(f->head->format), "%s", format);
}

static int finish(struct finish *f, const struct arch_id *id, uint32_t flags, const char *format,
		  void **ret, size_t *ret_size)
{
	const struct arch_build *b = f->b;
	uint32_t ninodes;
	size_t size;
	uint8_t *mem;

	sort_names(f);
	ninodes = number(f);
	size = sizeof(struct arch_head) + ninodes * sizeof(struct arch_inode) +
	       f->norder * sizeof(struct arch_name) + b->nstrings;
	mem = malloc(size);
	if (!mem)
		return -ENOMEM;
	f->head = (struct arch_head *)mem;
	f->inodes = (struct arch_inode *)(f->head + 1);
	fill_head(f, id, flags, format);
	f->head->ninodes = ninodes;
	fill_inodes(f);
	fill_names(f, (struct arch_name *)(f->inodes + ninodes));
	if (b->nstrings)
		memcpy(mem + size - b->nstrings, b->strings, b->nstrings);
	f->head->check = arch_index_sum(f->head + 1, size - sizeof(*f->head));
	*ret = mem;
	*ret_size = size;
	return 0;
}

int arch_build_finish(struct arch_build *b, const struct arch_id *id, uint32_t flags,
		      const char *format, void **ret, size_t *ret_size)
{
	autofree uint32_t *order = calloc((size_t)b->nnames + 1, sizeof(*order));
	autofree uint32_t *first = calloc((size_t)b->ninodes + 1, sizeof(*first));
	autofree uint32_t *to = calloc((size_t)b->ninodes + 1, sizeof(*to));
	autofree uint32_t *queue = calloc((size_t)b->ninodes + 1, sizeof(*queue));
	struct finish f = { .b = b, .order = order, .first = first, .to = to, .queue = queue };

	if (!order || !first || !to || !queue)
		return -ENOMEM;
	return finish(&f, id, flags, format, ret, ret_size);
}
