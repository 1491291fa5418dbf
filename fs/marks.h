/* Which files may differ from what they were when the store was clean: a mount after a crash looks
 * at these alone (doc/format.md 7.1).
 *
 * Inodes are marked by groups of neighbouring numbers.  A mark is durable, in the state, before the
 * first change of an inode of its group: of what a file contains, or of whether it is there. Beside
 * the marks go the sums that each group had when the store was clean, which hold for those without
 * a mark.  A new inode is the one change that cannot be marked before; recovery finds it because
 * the group does not look as the table says.
 *
 * Without a record ('on' is false: an older store, a filesystem whose numbers do not last) all is
 * as if every group were marked. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/log_marks.h"

struct store;
struct store_params;

struct marks {
	bool on; /* changes with no change of the store under way */
	uint8_t bind[MARK_BIND];
	uint64_t seq;  /* the table that the state names */
	unsigned slot; /* where it is: 0 or 1 */

	_Atomic uint64_t durable[MARK_GROUPS / 64];
	uint64_t next[MARK_GROUPS /
		      64]; /* of the next state; reclaim_lock guards this and 'misses' */
	unsigned misses;

	pthread_mutex_t lock; /* guards 'v': the sums of now */
	struct mark_sum *v;   /* heap, MARK_GROUPS */
};

/* By what number the store knows an inode: its own. */
uint64_t marks_ino(const struct store *s, uint64_t ino);
static inline bool marks_in(const uint64_t *bits, uint32_t group)
{
	return bits[group / 64] >> group % 64 & 1;
}
static inline void marks_put(uint64_t *bits, uint32_t group)
{
	bits[group / 64] |= UINT64_C(1) << group % 64;
}

/* In a new log, before its states: the table of an empty store. '*ret' is what the states shall
 * carry; false: they carry none. */
bool marks_create(const struct store_params *p, int dirfd, int log_fd, uint32_t ring,
		  struct mark_record *ret);
/* As the state says that was opened; its page is 'page', its key 'key'. */
void marks_load(struct store *s, const uint8_t page[static LOG_PAGE], const uint8_t *key);
void marks_free(struct store *s);
/* For the next state; NULL: it carries none. */
const struct mark_record *marks_record(const struct store *s, struct mark_record *r);

/* Is this inode marked, durably? */
bool marks_has(const struct store *s, uint64_t ino);
/* Under reclaim_lock: mark it in the next state, and others so that they need no state of their
 * own; then, that state being durable, for everybody. */
void marks_choose(struct store *s, uint64_t ino);
void marks_publish(struct store *s);

/* The quota was charged so much for this inode, or, negative, is given it back. */
void marks_charge(struct store *s, uint64_t ino, int64_t bytes, int files);

/* Begin to keep sums that were counted anew; false: not for this store. */
bool marks_begin(struct store *s);
/* Nothing is between begin and end of a change: write the table whose sums are 'left' less than
 * those of now, for the states to come, which mark nothing.  'bytes' and 'files' are what it must
 * come to; if it does not, or cannot be written, there is no record from now on. */
void marks_settle(struct store *s, const struct mark_sum *left, uint64_t bytes, uint64_t files);
