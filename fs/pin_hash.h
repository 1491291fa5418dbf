/* The digest of a pinned dataset, doc/format.md section 13: BLAKE2b-256, each use with a
 * personalization of its own, so that nothing that was hashed as one thing can stand for another.
 * Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PIN_HASH   32
#define PIN_LEAF   131072u /* bytes of a file in one leaf */
#define PIN_FANOUT 256u    /* digests in one node above */

enum pin_use {
	PIN_USE_LEAF,  /* a block of a file */
	PIN_USE_NODE,  /* up to PIN_FANOUT digests of the level below */
	PIN_USE_FILE,  /* size and topmost digest */
	PIN_USE_LINK,  /* the target of a symlink */
	PIN_USE_DIR,   /* number of entries, entries */
	PIN_USE_TOP,   /* the entry of the top: the digest of the dataset */
	PIN_USE_PAGE,  /* a page of a pin file */
	PIN_USE_TABLE, /* its first page and the digests of all others */
};

void pin_hash(enum pin_use use, const void *p, size_t len, uint8_t ret[static PIN_HASH]);

/* In pieces: NULL on no memory; the end frees. */
struct pin_hasher;
struct pin_hasher *pin_hasher_new(enum pin_use use);
void pin_hasher_add(struct pin_hasher *h, const void *p, size_t len);
void pin_hasher_end(struct pin_hasher *h, uint8_t ret[static PIN_HASH]);

/* Leaves of a file: one even when it is empty. */
static inline uint64_t pin_leaves(uint64_t size)
{
	return size == 0 ? 1 : (size - 1) / PIN_LEAF + 1;
}

/* Bytes in leaf 'i' of a file. */
static inline size_t pin_leaf_len(uint64_t size, uint64_t i)
{
	uint64_t at = i * PIN_LEAF;

	return at >= size ? 0 : size - at < PIN_LEAF ? (size_t)(size - at) : PIN_LEAF;
}

/* The digest of a file from all 'n' digests of one level: of its leaves, or of the nodes above.
 * They are overwritten. */
void pin_hash_file(uint64_t size, uint8_t *level, uint64_t n, uint8_t ret[static PIN_HASH]);

/* How an entry stands in its directory: type, mode, size, digest, name.  'ret' has room for
 * PIN_ENTRY_HEAD + name_len bytes, the return value. */
#define PIN_ENTRY_HEAD 45
struct pin_entry {
	uint8_t type;  /* 'd' 'f' 'l', and 'p' 's' 'c' 'b' for what has no content here */
	uint16_t mode; /* 0777; 0 of a symlink */
	uint16_t name_len;
	uint64_t size; /* of a file; the length of a target; else 0 */
	const uint8_t *digest;
	const char *name; /* not terminated */
};
size_t pin_entry_put(const struct pin_entry *e, uint8_t *ret);
