/* A pin file, WS/pins/NAME.pin: what a dataset held when it was pinned (doc/format.md section 13).
 *
 * Nothing in it is trusted: it is read page by page, and each page is verified, against a table
 * that hashes to what the settings of the workspace hold, whenever it is read from the file. What
 * is remembered (PIN_CACHE_PAGES of them) are verified pages.  So a pin of a million files costs
 * some hundred KiB of memory, and whoever writes to the file can only make it useless: -EBADMSG.
 * Thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/pin_hash.h"

struct err;
struct pin;

#define PIN_DIR         "pins"
#define PIN_MAGIC       "SBXPIN1"
#define PIN_PAGE        4096u
#define PIN_RECORD      64u
#define PIN_RECORDS_MAX (1u << 28)
#define PIN_NO_RECORD   UINT32_MAX

/* One name. Record 0 is the top; the children of a directory follow each other, sorted by name, and
 * all directories come before what is in them. */
struct pin_record {
	uint8_t digest[PIN_HASH];
	uint64_t size;
	union {
		uint64_t leaf; /* of a file: the number of its first leaf */
		struct {
			uint32_t first, count; /* of a directory */
		};
	};
	uint32_t name;   /* where in the names */
	uint32_t parent; /* 0 of the top itself */
	uint16_t name_len, mode;
	uint8_t type; /* as of struct pin_entry */
};

/* The first page. */
struct pin_head {
	uint32_t records;
	uint64_t names; /* bytes */
	uint64_t leaves;
	uint64_t files, bytes; /* of regular files */
	uint8_t digest[PIN_HASH];
};

/* 'ret' is a page. -EBADMSG of a load: not ours, or its numbers contradict each other. */
void pin_head_store(const struct pin_head *h, uint8_t ret[static PIN_PAGE]);
int pin_head_load(const uint8_t p[static PIN_PAGE], struct pin_head *ret);
void pin_record_store(const struct pin_record *rec, uint8_t ret[static PIN_RECORD]);
/* Pages of the three parts, which follow the first page in this order; then comes the table. */
struct pin_layout {
	uint64_t records, names, leaves; /* where each begins, in bytes of the file */
	uint64_t table;
	uint64_t pages; /* digests in the table */
	uint64_t end;
};
void pin_layout(const struct pin_head *h, struct pin_layout *ret);

/* 'fd' is taken on success; 'dataset' is whose it is, copied.  -EBADMSG when it is not the file
 * whose table has this digest. */
int pin_open(int fd, const char *dataset, const uint8_t table[static PIN_HASH], struct pin **ret,
	     struct err *err);
struct pin *pin_ref(struct pin *p);
void pin_unref(struct pin *p); /* NULL is accepted */
const struct pin_head *pin_head(const struct pin *p);
const char *pin_dataset(const struct pin *p);
bool pin_is(const struct pin *p, const uint8_t table[static PIN_HASH]);

/* Record 'i', every number in it within bounds. -ENOENT past the end, -EBADMSG, -EIO. */
int pin_record(struct pin *p, uint32_t i, struct pin_record *ret);
/* Its name, terminated. */
int pin_name(struct pin *p, const struct pin_record *rec, char ret[static 256]);
/* The record of a name in directory 'dir'. -ENOENT. */
int pin_find(struct pin *p, const struct pin_record *dir, const char *name, uint32_t *ret_i,
	     struct pin_record *ret);
/* The digests of 'n' leaves. */
int pin_leaf(struct pin *p, uint64_t first, size_t n, uint8_t *ret);
/* "a/b/c" below the top, for people; "." of the top. Never fails, but may be cut ("..."). */
void pin_path(struct pin *p, uint32_t i, char *ret, size_t size);

/* Numbers that no other pin of this process has: those of its records are from here on. */
uint32_t pin_base(const struct pin *p);
/* The record that such a number (0 is none) means; PIN_NO_RECORD: of another pin. */
uint32_t pin_by_id(const struct pin *p, uint32_t id);
static inline uint32_t pin_id(const struct pin *p, uint32_t i)
{
	return pin_base(p) + i;
}

/* The inode number that is shown for record 'i': the same at each mount, distinct among datasets.
 */
uint64_t pin_ino(const struct pin *p, uint32_t i);

/* False when this was said of record 'i' before: a reader that tries again and again must not fill
 * the log. */
bool pin_first_time(struct pin *p, uint32_t i, unsigned what);
