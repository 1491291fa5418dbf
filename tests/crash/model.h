/* What must be there, and what may, after a power cut: computed from the journal of the workload.
 *
 * Each line: records before the call, records after it, what was called.  At the moment before
 * record c a call with "before" < c may have had its effect; one with "after" <= c had returned. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct model;

/* Exits with a sentence when the journal is not understood. */
struct model *model_load(const char *journal);
/* Go on to the moment before record 'upto'; never back. */
void model_advance(struct model *m, uint64_t upto);

/* Names below it may be there or not, but must be readable: SQLite's files. "" = none. */
bool model_is_free(const struct model *m, const char *path);
/* Transactions: at least this many survive, at most so many can be there. */
void model_transactions(const struct model *m, uint64_t *ret_least, uint64_t *ret_most);

/* What was found. 'type' as in readdir: 'f', 'd', 'l', 's' (special), or 0: nothing. For a file its
 * content, for a symlink its target. NULL, or what is wrong with it. */
struct found {
	char type;
	unsigned mode; /* permission bits */
	const uint8_t *data;
	uint64_t size;
};
const char *model_check(const struct model *m, const char *path, const struct found *f);
/* Every name that is known, for those that were not found. */
unsigned model_paths(const struct model *m);
const char *model_path(const struct model *m, unsigned i);
