/* Making an index from the entries of an archive, in their order.
 *
 * Inodes and names are arrays; a table finds a name by its directory and bytes.  What a later entry
 * replaces stays in the arrays until the end: an inode that nobody names any more keeps its bytes
 * among the unpacked ones, for those are laid out as the archive has them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "fs/arch_index_int.h"
#include "fs/arch_proto.h"

#define DEPTH_MAX 200u

/* -- arrays ---------------------------------------------------------------- */

static int grow(void **p, uint32_t *size, uint64_t need, size_t one)
{
	uint64_t to = MAX((uint64_t)*size * 2, MAX(need, 64u));
	void *q;

	if (need <= *size)
		return 0;
	if (need > UINT32_MAX / 2)
		return -EFBIG;
	q = realloc(*p, to * one);
	if (!q)
		return -ENOMEM;
	*p = q;
	*size = (uint32_t)MIN(to, UINT32_MAX / 2);
	return 0;
}

static int add_string(struct arch_build *b, const char *s, size_t len, uint32_t *ret)
{
	int r = grow((void **)&b->strings, &b->strings_size, (uint64_t)b->nstrings + len, 1);

	if (r < 0)
		return r;
	memcpy(b->strings + b->nstrings, s, len);
	*ret = b->nstrings;
	b->nstrings += (uint32_t)len;
	return 0;
}

static int add_inode(struct arch_build *b, const struct arch_inode *n, uint32_t *ret)
{
	int r = grow((void **)&b->inodes, &b->inodes_size, (uint64_t)b->ninodes + 1,
		     sizeof(*b->inodes));

	if (r < 0)
		return r;
	*ret = b->ninodes;
	b->inodes[b->ninodes++] = *n;
	return 0;
}

/* -- names ----------------------------------------------------------------- */

static uint64_t name_hash(const struct arch_build *b, uint32_t dir, const char *s, size_t len)
{
	uint64_t h = b->seed ^ dir * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < len; i++) {
		h = (h ^ (uint8_t)s[i]) * 0xff51afd7ed558ccdu;
		h ^= h >> 29;
	}
	return h ^ h >> 32;
}

/* The slot of a name, or the free one where it would be. */
static uint32_t *slot_of(struct arch_build *b, uint32_t dir, const char *s, size_t len)
{
	uint64_t h = name_hash(b, dir, s, len);

	for (;; h++) {
		uint32_t *slot = &b->table[h & (b->table_size - 1)];
		const struct build_name *n = *slot ? &b->names[*slot - 1] : NULL;

		if (!n ||
		    (n->dir == dir && n->len == len && memcmp(b->strings + n->at, s, len) == 0))
			return slot;
	}
}

static int table_grow(struct arch_build *b)
{
	uint32_t size = b->table_size ? b->table_size * 2 : 64, *old = b->table;

	if ((uint64_t)(b->nnames + 1) * 2 <= b->table_size)
		return 0;
	b->table = calloc(size, sizeof(*b->table));
	if (!b->table) {
		b->table = old;
		return -ENOMEM;
	}
	b->table_size = size;
	for (uint32_t i = 0; i < b->nnames; i++) {
		const struct build_name *n = &b->names[i];

		*slot_of(b, n->dir, b->strings + n->at, n->len) = i + 1;
	}
	free(old);
	return 0;
}

static struct build_name *name_find(struct arch_build *b, uint32_t dir, const char *s, size_t len)
{
	uint32_t *slot = slot_of(b, dir, s, len);

	return *slot && !b->names[*slot - 1].gone ? &b->names[*slot - 1] : NULL;
}

/* A directory counts its names in 'count' meanwhile. */
static int name_add(struct arch_build *b, uint32_t dir, const char *s, size_t len, uint32_t inode)
{
	uint32_t *slot = slot_of(b, dir, s, len);
	struct build_name *n;
	uint32_t at;
	int r;

	if (*slot) { /* it was there before */
		n = &b->names[*slot - 1];
		n->inode = inode;
		n->gone = false;
		b->inodes[dir].count++;
		return 0;
	}
	r = add_string(b, s, len, &at);
	if (r == 0)
		r = grow((void **)&b->names, &b->names_size, (uint64_t)b->nnames + 1,
			 sizeof(*b->names));
	if (r == 0)
		r = table_grow(b);
	if (r < 0)
		return r;
	b->names[b->nnames] = (struct build_name){ dir, inode, at, (uint16_t)len, false };
	*slot_of(b, dir, s, len) = ++b->nnames;
	b->inodes[dir].count++;
	return 0;
}

static void name_remove(struct arch_build *b, struct build_name *n)
{
	n->gone = true;
	b->inodes[n->dir].count--;
	b->inodes[n->inode].nlink--;
}

static int dir_new(struct arch_build *b, uint32_t parent, uint32_t *ret)
{
	const struct arch_inode n = { .nlink = 1, .parent = parent, .flags = ARCH_INODE_DIR };

	return add_inode(b, &n, ret);
}

/* -- paths ----------------------------------------------------------------- */

/* The next component; "." and empty ones are passed over. False at the end. */
static bool next_part(const char **p, const char *end, const char **ret, size_t *ret_len)
{
	while (*p < end) {
		const char *s = *p, *slash = memchr(s, '/', (size_t)(end - s));
		size_t len = (size_t)((slash ? slash : end) - s);

		*p = slash ? slash + 1 : end;
		if (len == 0 || (len == 1 && s[0] == '.'))
			continue;
		*ret = s;
		*ret_len = len;
		return true;
	}
	return false;
}

static bool path_ok(const char *path, size_t len)
{
	const char *p = path, *s;
	unsigned depth = 0;
	size_t n;

	if (len == 0 || len > ARCH_PATH_MAX || memchr(path, '\0', len))
		return false;
	while (next_part(&p, path + len, &s, &n))
		if (n > ARCH_NAME_MAX || ++depth > DEPTH_MAX || (n == 2 && memcmp(s, "..", 2) == 0))
			return false;
	return true;
}

/* The directory a path is in, made as needed, and its last component (NULL: the top itself).  On
 * the way anything but a directory gives way to one. */
static int walk(struct arch_build *b, const struct arch_entry *e, uint32_t *ret_dir,
		const char **ret_last, size_t *ret_len)
{
	const char *p = e->name, *end = p + e->name_len, *s, *next;
	size_t len, next_len;
	uint32_t dir = 0;
	int r;

	*ret_last = NULL;
	if (!next_part(&p, end, &s, &len))
		return 0;
	while (next_part(&p, end, &next, &next_len)) {
		struct build_name *n = name_find(b, dir, s, len);
		uint32_t sub;

		if (n && !(b->inodes[n->inode].flags & ARCH_INODE_DIR)) {
			name_remove(b, n);
			b->replaced++;
			n = NULL;
		}
		if (n) {
			dir = n->inode;
		} else {
			r = dir_new(b, dir, &sub);
			if (r == 0)
				r = name_add(b, dir, s, len, sub);
			if (r < 0)
				return r;
			dir = sub;
		}
		s = next;
		len = next_len;
	}
	*ret_dir = dir;
	*ret_last = s;
	*ret_len = len;
	return 0;
}

/* The file that a hard link means. */
static uint32_t link_target(struct arch_build *b, const struct arch_entry *e)
{
	const char *p = e->target, *s;
	uint32_t at = 0;
	size_t len;

	if (!path_ok(e->target, e->target_len))
		return ARCH_NO_INODE;
	while (next_part(&p, e->target + e->target_len, &s, &len)) {
		const struct build_name *n =
			b->inodes[at].flags & ARCH_INODE_DIR ? name_find(b, at, s, len) : NULL;

		if (!n)
			return ARCH_NO_INODE;
		at = n->inode;
	}
	return b->inodes[at].flags & (ARCH_INODE_DIR | ARCH_INODE_SYMLINK) ? ARCH_NO_INODE : at;
}

/* -- entries --------------------------------------------------------------- */

/* Where the bytes are; they take their place among the unpacked ones whatever becomes of the name.
 */
static int bytes_of(struct arch_build *b, const struct arch_entry *e, struct arch_inode *n)
{
	bool carries = e->type == ARCH_FILE || e->type == ARCH_HARDLINK;

	if (!carries)
		return 0;
	n->size = e->size;
	n->at = b->unpacked;
	if (e->in_place) {
		if (e->place > b->limits.archive_size ||
		    e->size > b->limits.archive_size - e->place)
			return -EBADMSG;
		n->at = e->place;
		n->flags |= ARCH_INODE_PLACE;
		return 0;
	}
	if (e->size > b->limits.max_bytes || b->unpacked > b->limits.max_bytes - e->size)
		return -EFBIG;
	b->unpacked += e->size;
	return 0;
}

static int put(struct arch_build *b, uint32_t dir, const char *s, size_t len, uint32_t inode)
{
	struct build_name *n = name_find(b, dir, s, len);

	if (n) {
		name_remove(b, n);
		b->replaced++;
	}
	b->inodes[inode].nlink++;
	return name_add(b, dir, s, len, inode);
}

static int add_dir(struct arch_build *b, uint32_t dir, const char *s, size_t len,
		   const struct arch_inode *as)
{
	struct build_name *n = s ? name_find(b, dir, s, len) : NULL;
	uint32_t inode = n ? n->inode : 0;
	int r;

	if (s && (!n || !(b->inodes[n->inode].flags & ARCH_INODE_DIR))) {
		if (n) {
			name_remove(b, n);
			b->replaced++;
		}
		r = dir_new(b, dir, &inode);
		if (r == 0)
			r = name_add(b, dir, s, len, inode);
		if (r < 0)
			return r;
	}
	b->inodes[inode].mtime = as->mtime;
	b->inodes[inode].mtime_ns = as->mtime_ns;
	return 0;
}

static int add_link(struct arch_build *b, uint32_t dir, const char *s, size_t len,
		    const struct arch_entry *e, const struct arch_inode *as)
{
	uint32_t inode = link_target(b, e);
	const struct build_name *same = name_find(b, dir, s, len);

	if (inode == ARCH_NO_INODE || b->inodes[inode].nlink == 0) {
		b->left_links++;
		return 0;
	}
	if (e->size > 0) { /* cpio: the last link brings the bytes */
		b->inodes[inode].size = as->size;
		b->inodes[inode].at = as->at;
		b->inodes[inode].flags &= ~ARCH_INODE_PLACE;
		b->inodes[inode].flags |= as->flags & ARCH_INODE_PLACE;
	}
	return same && same->inode == inode ? 0 : put(b, dir, s, len, inode);
}

static int add_named(struct arch_build *b, const struct arch_entry *e, struct arch_inode *n)
{
	const struct build_name *have;
	const char *s = NULL;
	uint32_t dir = 0, inode, at;
	size_t len = 0;
	int r = walk(b, e, &dir, &s, &len);

	if (r < 0 || e->type == ARCH_DIR)
		return r < 0 ? r : add_dir(b, dir, s, len, n);
	have = s ? name_find(b, dir, s, len) : NULL;
	if (!s || (have && b->inodes[have->inode].flags & ARCH_INODE_DIR &&
		   b->inodes[have->inode].count > 0)) {
		b->left_names++;
		return 0;
	}
	if (e->type == ARCH_HARDLINK)
		return add_link(b, dir, s, len, e, n);
	if (e->type == ARCH_SYMLINK) {
		r = add_string(b, e->target, e->target_len, &at);
		n->at = at;
		n->size = e->target_len;
		n->flags |= ARCH_INODE_SYMLINK;
	}
	if (r == 0)
		r = add_inode(b, n, &inode);
	return r < 0 ? r : put(b, dir, s, len, inode);
}

int arch_build_add(struct arch_build *b, const struct arch_entry *e)
{
	struct arch_inode n = { .mtime = e->mtime, .mtime_ns = e->mtime_ns % 1000000000 };
	int r;

	if (++b->entries > b->limits.max_entries)
		return -EFBIG;
	if (e->size > INT64_MAX)
		return -EBADMSG;
	r = bytes_of(b, e, &n);
	if (r < 0)
		return r;
	if (e->type == ARCH_OTHER) {
		b->left_kinds++;
		return 0;
	}
	if (!path_ok(e->name, e->name_len) ||
	    (e->type == ARCH_SYMLINK && (e->target_len == 0 || e->target_len > ARCH_PATH_MAX ||
					 memchr(e->target, '\0', e->target_len)))) {
		b->left_names++;
		return 0;
	}
	if (e->mode & 0111)
		n.flags |= ARCH_INODE_EXEC;
	return add_named(b, e, &n);
}

/* -- life ------------------------------------------------------------------ */

int arch_build_new(const struct arch_build_limits *l, struct arch_build **ret)
{
	struct arch_build *b = calloc(1, sizeof(*b));
	uint32_t top;

	if (!b)
		return -ENOMEM;
	b->limits = *l;
	if (getrandom(&b->seed, sizeof(b->seed), 0) != sizeof(b->seed) || table_grow(b) < 0 ||
	    dir_new(b, 0, &top) < 0) {
		arch_build_free(b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

void arch_build_free(struct arch_build *b)
{
	if (!b)
		return;
	free(b->inodes);
	free(b->names);
	free(b->strings);
	free(b->table);
	free(b);
}

uint32_t arch_build_entries(const struct arch_build *b)
{
	return b->entries;
}

uint64_t arch_build_unpacked(const struct arch_build *b)
{
	return b->unpacked;
}

void arch_build_rename_single(struct arch_build *b, const char *name)
{
	uint32_t at;

	for (uint32_t i = 0; i < b->nnames; i++) {
		if (b->names[i].gone || add_string(b, name, strlen(name), &at) < 0)
			continue;
		b->names[i].at = at;
		b->names[i].len = (uint16_t)strlen(name);
	}
}
