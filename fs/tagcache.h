/* Entries of groups 1.., as they are at home, of all open files: a bounded cache, LRU.
 * Whole pages in, copies out: nobody holds a pointer into it.  Thread-safe; a file's own lock keeps
 * what is in the cache and what is on disk the same. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tagcache;

struct tagcache *tagcache_new(uint32_t max_pages); /* NULL: out of memory */
void tagcache_free(struct tagcache *t);

/* Copy 'count' entries from slot 'first'. False when the page is not there. */
bool tagcache_get(struct tagcache *t, uint64_t file, uint64_t group, uint32_t first, uint32_t count,
		  uint8_t *out);
/* Change entries of a page if it is there. */
void tagcache_update(struct tagcache *t, uint64_t file, uint64_t group, uint32_t first,
		     uint32_t count, const uint8_t *entries);
/* Insert or replace a whole page of 4096 bytes. Failure to find memory is no error. */
void tagcache_put(struct tagcache *t, uint64_t file, uint64_t group, const uint8_t *page);
void tagcache_drop(struct tagcache *t, uint64_t file, uint64_t group);
/* Every page with group >= 'from'; walks groups up to 'upto' only. */
void tagcache_drop_range(struct tagcache *t, uint64_t file, uint64_t from, uint64_t upto);
