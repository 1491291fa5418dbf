/* The index of an archive: its tree of names, made once and kept as a file.  Pure; no system call.
 *
 * One block of memory, the same in the file and in use:
 *
 *   struct arch_head, inodes[], names[], strings
 *
 * Inodes are numbered; 0 is the top.  The names of a directory lie together, sorted by their bytes.
 * It is a cache on one machine, so numbers are the machine's own; a file from another, or a damaged
 * one, is refused by arch_index_check() and made anew.  What that accepts can be used without any
 * further check: every number in it leads inside, and the parent of each directory has been seen
 * before it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_INDEX_MAGIC "sbxarch1"
#define ARCH_INDEX_ORDER 0x01020304u
#define ARCH_FORMAT_TEXT 96
#define ARCH_NO_INODE    UINT32_MAX

/* Which archive it is: if any of it differs, the archive is another. */
struct arch_id {
	uint64_t dev, ino, size;
	int64_t mtime, mtime_ns, ctime, ctime_ns;
};

struct arch_head {
	char magic[8];
	uint32_t order;
	uint32_t flags; /* ARCH_SINGLE of fs/arch_proto.h */
	struct arch_id id;
	uint64_t check;    /* over all that follows the head */
	uint64_t unpacked; /* bytes of the members that are not in place */
	uint64_t bytes;    /* of all files */
	uint32_t ninodes, nnames, strings;
	uint32_t files;      /* that can be seen, not directories */
	uint32_t left_names; /* left out: names with "..", too long, or none */
	uint32_t left_kinds; /* devices, fifos, sockets */
	uint32_t left_links; /* hard links to what is not there */
	uint32_t replaced;   /* by a later entry of the same name */
	char format[ARCH_FORMAT_TEXT];
};

#define ARCH_INODE_DIR     1u
#define ARCH_INODE_SYMLINK 2u
#define ARCH_INODE_EXEC    4u
#define ARCH_INODE_PLACE   8u /* 'at' is in the archive, else in the unpacked bytes */

struct arch_inode {
	uint64_t size; /* of a file; length of a target */
	uint64_t at;   /* a file: where its bytes are; a symlink: its target in the strings */
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t nlink;
	uint32_t first, count; /* a directory: its names */
	uint32_t parent;       /* a directory: its own, 0 for the top */
	uint32_t flags;
};

struct arch_name {
	uint32_t inode;
	uint32_t at; /* in the strings */
	uint16_t len;
	uint16_t unused;
};

struct arch_index {
	const struct arch_head *head;
	const struct arch_inode *inodes;
	const struct arch_name *names;
	const char *strings;
};

/* Is this memory an index? 'mem' is 8-byte aligned and borrowed. 0 or -EBADMSG. */
int arch_index_check(const void *mem, size_t size, struct arch_index *ret);

/* ARCH_NO_INODE: no such name. */
uint32_t arch_index_find(const struct arch_index *ix, uint32_t dir, const char *name, size_t len);
/* NULL past the end, or when 'dir' is no directory. */
const struct arch_name *arch_index_at(const struct arch_index *ix, uint32_t dir, uint64_t i);
const struct arch_inode *arch_index_inode(const struct arch_index *ix, uint64_t inode);

/* -- making one ------------------------------------------------------------ */

struct arch_build;

struct arch_build_limits {
	uint64_t archive_size; /* members in place lie within it */
	uint64_t max_bytes;    /* of all others together */
	uint32_t max_entries;
};

struct arch_entry {
	uint8_t type; /* enum arch_type */
	bool in_place;
	uint16_t mode;
	uint64_t size, place;
	int64_t mtime;
	uint32_t mtime_ns;
	const char *name, *target; /* not terminated */
	size_t name_len, target_len;
};

int arch_build_new(const struct arch_build_limits *l, struct arch_build **ret);
void arch_build_free(struct arch_build *b);
/* Add one, in the archive's order; names are taken apart here.  Outcomes:
 *   - a leading "/" and "." components do not count; a ".." leaves the entry out;
 *   - the last entry of a name wins, as with tar; only a directory that has names stays one;
 *   - what is on the way to a name becomes a directory, even if it was a symlink or a file: nothing
 *     is ever reached through a link;
 *   - a hard link needs a file before it.
 * -EBADMSG: the entry contradicts itself; -EFBIG: beyond a limit; -ENOMEM. */
int arch_build_add(struct arch_build *b, const struct arch_entry *e);
/* The one member of a compressed file gets this name. */
void arch_build_rename_single(struct arch_build *b, const char *name);
/* The whole index in one block, which the caller frees. */
int arch_build_finish(struct arch_build *b, const struct arch_id *id, uint32_t flags,
		      const char *format, void **ret, size_t *ret_size);
uint32_t arch_build_entries(const struct arch_build *b);
uint64_t arch_build_unpacked(const struct arch_build *b);
