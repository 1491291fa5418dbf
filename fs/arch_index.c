#include "fs/arch_index.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/arch_index_int.h"
#include "fs/arch_proto.h"

_Static_assert(sizeof(struct arch_head) % 8 == 0, "inodes are aligned");
_Static_assert(sizeof(struct arch_inode) == 48, "no padding");
_Static_assert(sizeof(struct arch_name) == 12, "no padding");

/* Finds flipped and missing bytes; nothing against somebody who means it, who could as well edit
 * the archive. */
uint64_t arch_index_sum(const void *mem, size_t size)
{
	const uint8_t *p = mem;
	uint64_t h = 0x9e3779b97f4a7c15u ^ size, v;

	for (; size >= 8; p += 8, size -= 8) {
		memcpy(&v, p, 8);
		h = (h ^ v) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (; size > 0; p++, size--)
		h = (h ^ *p) * 0x100000001b3u;
	return h ^ h >> 29;
}

static bool within(uint64_t at, uint64_t len, uint64_t all)
{
	return at <= all && len <= all - at;
}

/* Each name once leads to an inode that is there; a directory is named once, in its parent. */
static bool check_dir(const struct arch_index *ix, uint32_t dir)
{
	const struct arch_inode *d = &ix->inodes[dir];
	const struct arch_name *before = NULL;

	if (!within(d->first, d->count, ix->head->nnames))
		return false;
	for (uint32_t i = 0; i < d->count; i++) {
		const struct arch_name *n = &ix->names[d->first + i];
		const char *s = ix->strings + n->at;

		if (n->inode == 0 || n->inode >= ix->head->ninodes || n->len == 0 ||
		    n->len > ARCH_NAME_MAX || !within(n->at, n->len, ix->head->strings) ||
		    memchr(s, '/', n->len) || memchr(s, '\0', n->len) ||
		    (n->len <= 2 && memcmp(s, "..", n->len) == 0))
			return false;
		if (before &&
		    arch_name_compare(ix->strings + before->at, before->len, s, n->len) >= 0)
			return false;
		if (ix->inodes[n->inode].flags & ARCH_INODE_DIR &&
		    (ix->inodes[n->inode].parent != dir || n->inode <= dir))
			return false;
		before = n;
	}
	return true;
}

static bool check_inode(const struct arch_index *ix, uint32_t i)
{
	const struct arch_inode *n = &ix->inodes[i];

	if (n->flags & ARCH_INODE_DIR)
		return n->parent < MAX(i, 1u) && check_dir(ix, i);
	if (i == 0 || n->size > INT64_MAX)
		return false;
	if (n->flags & ARCH_INODE_SYMLINK)
		return n->size <= ARCH_PATH_MAX && within(n->at, n->size, ix->head->strings);
	return within(n->at, n->size,
		      n->flags & ARCH_INODE_PLACE ? ix->head->id.size : ix->head->unpacked);
}

int arch_index_check(const void *mem, size_t size, struct arch_index *ret)
{
	const struct arch_head *h = mem;
	struct arch_index ix = { .head = h };
	uint64_t want;

	if (size < sizeof(*h) || memcmp(h->magic, ARCH_INDEX_MAGIC, 8) != 0 ||
	    h->order != ARCH_INDEX_ORDER || h->ninodes == 0 ||
	    !memchr(h->format, '\0', sizeof(h->format)))
		return -EBADMSG;
	want = sizeof(*h) + (uint64_t)h->ninodes * sizeof(*ix.inodes) +
	       (uint64_t)h->nnames * sizeof(*ix.names) + h->strings;
	if (size != want || arch_index_sum(h + 1, size - sizeof(*h)) != h->check)
		return -EBADMSG;
	ix.inodes = (const void *)(h + 1);
	ix.names = (const void *)(ix.inodes + h->ninodes);
	ix.strings = (const void *)(ix.names + h->nnames);
	for (uint32_t i = 0; i < h->ninodes; i++)
		if (!check_inode(&ix, i))
			return -EBADMSG;
	*ret = ix;
	return 0;
}

int arch_name_compare(const char *a, size_t alen, const char *b, size_t blen)
{
	int c = memcmp(a, b, MIN(alen, blen));

	return c ? c : (alen > blen) - (alen < blen);
}

const struct arch_inode *arch_index_inode(const struct arch_index *ix, uint64_t inode)
{
	return inode < ix->head->ninodes ? &ix->inodes[inode] : NULL;
}

const struct arch_name *arch_index_at(const struct arch_index *ix, uint32_t dir, uint64_t i)
{
	const struct arch_inode *d = arch_index_inode(ix, dir);

	return d && d->flags & ARCH_INODE_DIR && i < d->count ? &ix->names[d->first + i] : NULL;
}

uint32_t arch_index_find(const struct arch_index *ix, uint32_t dir, const char *name, size_t len)
{
	const struct arch_inode *d = arch_index_inode(ix, dir);
	uint32_t low = 0, high = d && d->flags & ARCH_INODE_DIR ? d->count : 0;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct arch_name *n = &ix->names[d->first + mid];
		int c = arch_name_compare(ix->strings + n->at, n->len, name, len);

		if (c == 0)
			return n->inode;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return ARCH_NO_INODE;
}
