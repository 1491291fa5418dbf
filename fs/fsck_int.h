/* Shared by the files fsck*.c.
 *
 * One thread walks the tree; it decodes names, looks at directories and symlinks, and hands regular
 * files to workers.  'lock' guards the queue and everything that both touch. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "fs/fsck.h"
#include "fs/idset.h"
#include "fs/name.h"
#include "fs/recover.h"

#define FSCK_QUEUE 64u

/* A regular file to look at. */
struct fsck_job {
	int fd;
	struct stat st;
	char *path, *place; /* heap */
};

struct fsck {
	struct fsck_params p;
	struct store *s;         /* as it was found, read-only */
	struct recovery rc;      /* the batches of a store that was not closed */
	bool crashed, recovered; /* not closed; was not closed */
	uint32_t epoch;          /* E */

	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct fsck_job queue[FSCK_QUEUE];
	unsigned first, count;
	bool done, walking;
	int fatal; /* a worker cannot go on */

	pthread_mutex_t emit_lock;
	uint64_t remaining, recoverable, repaired; /* emit_lock */

	struct idset links, ids, tails; /* lock; tails: names in l/ that a symlink needs */
	bool tails_unknown;             /* some symlink could not be read */
	bool sum_unknown;               /* some file's charge could not be found */
	uint64_t sum_bytes, sum_files;  /* lock */
	uint64_t files, dirs, symlinks, others;

	atomic_uint_fast64_t bytes_done, files_done;
	uint64_t bytes_total, files_total;
	uint64_t started_ms;
};

/* fsck_report.c */
void fsck_progress_now(struct fsck *k);
/* Runs until k->done: a thread of its own. */
void *fsck_ticker(void *arg);
/* "3 to 5, 9 and 12 more" */
struct ranges;
void fsck_blocks_text(const struct ranges *r, char *out, size_t size);

/* fsck_walk.c */
int fsck_count(struct fsck *k);
int fsck_walk(struct fsck *k);
int fsck_tails(struct fsck *k);
/* The plain path of a place below the store ("t/..."), as far as it can be told; heap. */
char *fsck_plain_path(struct fsck *k, const char *place);

/* fsck_file.c: one regular file; any thread. */
int fsck_file(struct fsck *k, const struct fsck_job *job);
/* xattrs and mode; 'id' NULL: the owner's id is not known, names and values are not looked at. */
int fsck_attrs(struct fsck *k, int fd, const struct stat *st, const uint8_t *id, const char *path,
	       const char *place);
