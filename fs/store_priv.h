/* Inside of the store: shared by store.c, log.c, checkpoint.c, recover.c and the cfile_*.c files.
 *
 * Locks, outermost first; nobody takes one to the left of one it holds:
 *
 *   the gate (gate.c), which may wait for reclaim_lock
 *   reservation of log pages (a wait, not a lock)
 *   epoch_lock   shared: whoever seals or changes a file; exclusive: the checkpoint's last phase
 *   cfile.lock   shared: read; exclusive: change, log, apply
 *   log.lock     ring positions, sequence numbers
 *   reg_lock, marks.lock, tag cache, quota, line log: leaves
 *
 * log.sync is waited for with no cfile lock held, except by retire and checkpoint. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/log.h"
#include "fs/marks.h"
#include "fs/store.h"
#include "fs/store_io.h"
#include "fs/tagcache.h"

struct cfile;
struct quota;

#define REG_BUCKETS    4096u
#define TAGCACHE_PAGES 8192u
/* Closed files that the log still needs keep a descriptor each. */
#define LINGER_SOFT   512u  /* then the checkpoint comes early */
#define LINGER_HARD   2048u /* then who closes another one waits for it */
#define LINGER_BLOCKS 4096u /* an unlinked file of this size counts as that many */

struct store {
	struct store_params p;
	const struct store_io *io;
	int dirfd;
	int log_fd;

	pthread_rwlock_t epoch_lock;
	_Atomic uint32_t epoch; /* changes under epoch_lock */
	atomic_bool failed;
	atomic_bool changed; /* since the last checkpoint */
	atomic_bool shut;    /* gate.c: the state on disk is clean, or is just being made so */
	atomic_uint running; /* changes between their begin and their end */
	atomic_uint_fast64_t last_change_ms;

	struct log log;
	struct marks marks;
	struct tagcache *tags;

	pthread_mutex_t reg_lock; /* guards the table, refs and pins of every cfile */
	struct cfile **table;     /* REG_BUCKETS chains by (dev, ino) */
	uint32_t *gens;           /* of each chain: grows when a cfile leaves it */
	atomic_uint_fast64_t next_uid;
	uint32_t ncfiles, nlinger;

	pthread_mutex_t bg_lock;
	pthread_cond_t bg_cond;
	pthread_t bg_thread;
	bool bg_running, bg_stop;
	unsigned bg_want;             /* BG_* */
	pthread_mutex_t reclaim_lock; /* one checkpoint or reclaim at a time */
};

enum { BG_COMMIT = 1, BG_RECLAIM = 2, BG_CHECKPOINT = 4 };

/* One printf-style line to params.log. */
void store_log(const struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A sync failed: nothing that was promised later could be trusted. Returns 'r'. */
int store_fail(struct store *s, int r, const char *what);
/* 0, or -EROFS when no change is allowed. */
int store_may_change(const struct store *s);
void store_note_change(struct store *s);
uint64_t store_now_ms(void);

static inline void store_epoch_enter(struct store *s)
{
	pthread_rwlock_rdlock(&s->epoch_lock);
}
static inline void store_epoch_leave(struct store *s)
{
	pthread_rwlock_unlock(&s->epoch_lock);
}

/* checkpoint.c */
int store_bg_start(struct store *s);
void store_bg_stop(struct store *s);
void store_bg_kick(struct store *s, unsigned want);
/* Commit and apply everything; with 'epoch_exclusive' the caller holds epoch_lock exclusively. */
int store_commit_all(struct store *s, bool apply);
int store_checkpoint(struct store *s);
/* The same, then the clean state. -EBUSY: durable, but somebody changes it again. */
int store_make_clean(struct store *s);
int store_reclaim(struct store *s);

/* gate.c */
/* Count one change, the gate open. Waits for a checkpoint that runs. */
int gate_open(struct store *s);
/* Within a change: mark the inode. */
int gate_mark(struct store *s, uint64_t ino);
/* Under reclaim_lock: the state on disk becomes clean. -EBUSY: something changed meanwhile. */
int gate_shut(struct store *s);
/* At the start, the state on disk is clean; 'whole': both slots are. */
int gate_begin_clean(struct store *s, bool whole);
/* Is what a clean state says of the quota what would be counted now? */
bool gate_sums_hold(struct store *s);

/* recover.c */
struct err;
int store_recover(struct store *s, struct err *err);

/* cfile.c: all cfiles, each pinned; release with cfile_unpin_all(). */
int cfile_pin_all(struct store *s, struct cfile ***ret, size_t *ret_n);
void cfile_unpin_all(struct store *s, struct cfile **v, size_t n);
void cfile_free_all(struct store *s);
