/* The names of one directory: found by name, listed in the order in which they came.  In memory
 * only; the names themselves belong to the tree (fs/tree.h), whose lock guards all of this.
 *
 * 'slots' has the order: an entry, or the cookie of one that is gone, so that a listing goes on
 * where it was.  'index' is open-addressed: half a hash, by which its place follows, and the number
 * of a slot.  Both grow by a quarter: together they take 18 to 23 bytes for each name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;

struct dentry {
	struct node *parent;
	union {
		struct node *node; /* while the kernel knows the inode */
		uint64_t ino;      /* else */
	} to;
	struct dentry *next_alias; /* another name of the same node */
	uint64_t cookie : 48;      /* ascending; position for readdir */
	uint64_t len : 8;
	uint64_t type : 4;  /* DT_* */
	uint64_t bound : 1; /* to a node */
	char name[];        /* plain, NUL-terminated */
};

/* All zeros: empty. */
struct names {
	uint64_t *slots, *index;
	uint32_t nslots, slots_size, index_size;
	uint32_t count;
	uint64_t last_cookie;
};

/* 'hash' is the same for the same name, its upper half is used; NULL: not there. */
struct dentry *names_find(const struct names *n, uint64_t hash, const char *name, size_t len);
/* It must not be there; gets the next cookie. -1: no memory. */
int names_add(struct names *n, uint64_t hash, struct dentry *d);
/* It must be there. */
void names_remove(struct names *n, uint64_t hash, const struct dentry *d);
/* Frees the tables, not the entries. */
void names_free(struct names *n);

/* The first slot after a cookie. */
size_t names_seek(const struct names *n, uint64_t cookie);
/* The entry at '*slot' or after it, which becomes the next slot to ask for; NULL: no more. */
struct dentry *names_next(const struct names *n, size_t *slot);

static inline size_t names_bytes(const struct names *n)
{
	return (size_t)n->slots_size * sizeof(*n->slots) +
	       (size_t)n->index_size * sizeof(*n->index);
}
