/* Shared by disk.c (reading the trace) and disk_build.c (making states). */
#pragma once

#include "tests/crash/disk.h"

#include <sys/types.h>

#define DISK_PAGE 4096u
#define FOREVER   INT64_MAX

/* A write (data), or zeros: punched or cut. */
struct change {
	int64_t at;
	uint64_t off, len;
	const uint8_t *data;
};

struct size_at {
	int64_t at;
	uint64_t size;
};

struct inode {
	uint64_t ino; /* of the trace; used again after the last name is gone */
	mode_t type;
	const char *target;
	uint8_t *base; /* durable content */
	uint64_t base_size, base_cap;
	struct change *changes; /* not durable yet */
	size_t nchanges, capchanges;
	struct size_at *sizes;
	size_t nsizes, capsizes;
	uint64_t size; /* now */
};

/* Something that is so from one record to another: alive at p (records below p have happened) if
 * from < p <= to. */
struct name {
	int64_t from, to;
	uint32_t dir, inode;
	const char *text;
	uint16_t len;
};

struct attr {
	int64_t from, to;
	uint32_t inode;
	const char *name; /* NULL: the mode */
	uint16_t len;
	const uint8_t *value;
	uint32_t vlen; /* or the mode */
};

/* Which record changed an inode's metadata. */
struct touch {
	int64_t at;
	uint32_t inode;
	bool data; /* so that fdatasync takes it along, too */
};

struct sync {
	int64_t began, ended;
	uint32_t inode;
	enum trace_sync how;
};

/* An inode of the state that was built last. */
struct was {
	uint64_t now, then;
};

struct disk {
	const uint8_t *map;
	uint64_t map_len, at; /* byte of the next record */
	int64_t now;          /* its number */
	int64_t records;
	bool lies, own;

	struct inode *inodes;
	size_t ninodes, capinodes;
	struct name *names;
	size_t nnames, capnames;
	struct attr *attrs;
	size_t nattrs, capattrs;
	struct touch *touches;
	size_t ntouches, captouches;
	struct sync *syncs; /* that returned */
	size_t nsyncs, capsyncs;

	struct was *was;
	size_t nwas, capwas;

	int64_t all_durable;  /* metadata before this: by a sync of everything */
	int64_t meta_durable; /* the same in the ordered model */
};

#define PUSH(list, n, cap)                                                                         \
	((n) == (cap) ? ((cap) = (cap) ? (cap)*2 : 64,                                             \
			 (list) = disk_realloc(list, (cap) * sizeof(*(list))), 0)                  \
		      : 0,                                                                         \
	 &(list)[(n)++])

void *disk_realloc(void *p, size_t size);
_Noreturn void disk_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
