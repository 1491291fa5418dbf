/* The redo log of a store: a ring of pages behind two state slots.  Batches are appended whole and
 * in the order of their numbers; one fdatasync makes all that were appended durable. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/log_codec.h"

struct store;

/* A batch being gathered for one file. pages[0] is its descriptor's. */
struct logbuf {
	struct logbuf *next;
	struct batch b;
	uint32_t ndata;
	uint8_t pages[1 + BATCH_RECORDS][LOG_PAGE];
};

/* One batch in the ring. */
struct batch_ref {
	uint64_t file; /* cfile uid */
	uint32_t pages;
	bool dead;
};

struct log {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t cond;  /* a sync ended, or room was made */

	struct state st;  /* as written last */
	uint8_t slot;     /* which slot holds it */
	bool twice_clean; /* as opened: both slots verify and are clean */

	uint32_t ring;      /* pages */
	uint32_t slack;     /* kept for what cannot wait: DEAD batches */
	uint32_t head;      /* next page to write */
	uint32_t used;      /* pages between tail and head */
	uint32_t gathered;  /* pages of open batches */
	uint32_t reserved;  /* pages that running operations may yet need */
	uint32_t unapplied; /* pages written since the last apply of everything */
	int stuck;          /* why room cannot be made now: -ENOSPC, -EDQUOT, -EIO; 0 */
	/* Attempts to make room, by number: the newest, and the last that ended, whose 'stuck' is.
	 */
	uint64_t begun, ended;

	uint64_t next_seq;
	uint64_t durable_seq; /* every batch up to here is durable */
	bool syncing;

	struct batch_ref *q; /* batches from tail_seq on: circular */
	uint32_t qcap, qfirst, qlen;

	struct logbuf *pool;
	uint32_t npool;
};

/* A new log file of 'ring' pages in 'dirfd', clean, both slots written. */
struct store_params;
struct err;
int log_create(int dirfd, const struct store_params *p, uint32_t ring, struct err *err);
/* Which of the two state slots verify. */
void log_check_slots(struct store *s, bool ret_ok[static 2]);
/* Read the state slots of s->log_fd and set the log up. */
int log_open(struct store *s, struct err *err);
void log_destroy(struct store *s);

/* Write 'st' (its counter is set here) to the older slot and sync.  Caller serialises. */
int log_write_state(struct store *s, struct state *st);

/* The same, but where the backing has no room to write a page again (-ENOSPC, -EDQUOT) the store
 * goes on with the state that it has. */
int log_try_state(struct store *s, struct state *st);

/* The state as written last into the other slot, too; not synced.  Should that be torn, the slot
 * that was synced counts; the next state is written over this copy. */
int log_copy_state(struct store *s);

/* Wait until 'pages' can be had for batches of the file 'ino': call with no lock held. -EROFS,
 * -ENOSPC.  Begins a change of that file (store_begin_change_of()), which log_unreserve() ends. */
int log_reserve(struct store *s, uint64_t ino, uint32_t pages);
void log_unreserve(struct store *s, uint32_t pages);
/* How many blocks one pass may write, and the log pages that so many may need. */
uint32_t log_chunk_blocks(const struct store *s);
static inline uint32_t log_chunk_pages(uint32_t blocks)
{
	return blocks + blocks / BATCH_RECORDS + 3;
}

/* Account for pages of an open batch (they were reserved). */
void log_gather(struct store *s, uint32_t pages);
void log_ungather(struct store *s, uint32_t pages);
struct logbuf *logbuf_new(struct store *s);
void logbuf_free(struct store *s, struct logbuf *b);

/* Number, seal and write the batch; '*ret_seq', '*ret_pos' (ring page of its descriptor). */
int log_append(struct store *s, struct logbuf *b, uint64_t file, uint64_t *ret_seq,
	       uint32_t *ret_pos);
/* A batch that marks those of 'file' before 'cut' dead. -EAGAIN: no room. */
int log_append_dead(struct store *s, const uint8_t file_id[static FILE_ID_LEN],
		    const uint8_t image[static HEAD_LEN], uint64_t file, uint64_t cut,
		    uint64_t *ret_seq);
/* Until every batch up to 'seq' is durable. */
int log_sync(struct store *s, uint64_t seq);
uint64_t log_last_seq(struct store *s);
/* Mark those of 'file' with numbers in [from, before) dead. */
void log_mark_dead(struct store *s, uint64_t file, uint64_t from, uint64_t before);
/* If the oldest batches are dead: a new state whose tail lies past them. */
int log_reclaim(struct store *s);
/* Read one page of the ring. */
int log_read_page(struct store *s, uint32_t pos, uint8_t *out);
