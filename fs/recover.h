/* Recovery after a crash, doc/format.md section 7.  Before anything else uses the store;
 * shared by the files recover*.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/cfile_priv.h"
#include "fs/idset.h"

/* A valid batch of the log. */
struct found {
	uint8_t file_id[FILE_ID_LEN];
	uint64_t seq;
	uint32_t pos;
	bool dead;
	bool met; /* brought home; set by the one thread that looks at the file */
};

struct recovery {
	struct store *s;
	uint32_t epoch;  /* E: of the state that was found */
	struct found *v; /* sorted by file id, then by seq */
	size_t n, cap;
	uint64_t data_pages; /* in them: what applying may need */
	uint64_t last_seq;   /* of the log */
	uint32_t used;       /* pages of it */

	/* Which groups of inodes are looked at in this walk; all of them if there is no record of
	 * what was touched (fs/marks.h). */
	bool partial;
	uint64_t wanted[MARK_GROUPS / 64];
	uint64_t *inos; /* numbers of all inodes that names lead to, heap */
	size_t ninos, capinos;
	bool keep_inos; /* collect them */

	pthread_mutex_t lock; /* guards all that follows, while the tree is walked */
	/* The count anew, for the quota: of all, and by group. */
	uint64_t bytes, files;
	struct mark_sum *sums; /* heap; NULL: not by group */
	uint64_t looked;       /* inodes that were looked at */
	struct idset links;    /* files with several names, counted once */
	unsigned emptied, mended, damaged;
	unsigned unread; /* files whose id could not be read */
	bool touched;    /* the file that is being mended is not what it was */
	char **todo;     /* places of files to mend, heap */
	size_t ntodo, captodo;
};

/* recover_log.c */
int recover_read_log(struct recovery *rc);
/* Bring the batches of this file home. Returns 1 when there were any. */
int recover_apply(struct recovery *rc, struct cfile *f);
/* What that would make of the file, without doing it: the header of its last batch is taken over,
 * 'covered' receives the blocks that its batches name. Returns 1 when there are any. Any thread. */
int recover_overlay(const struct recovery *rc, struct cfile *f, struct ranges *covered);

/* recover_file.c: step 3 to 5 for one file; 'path' is for the log lines.  With 'look' nothing is
 * changed, from any thread: 1 when there is something to mend.  What is as it shall be, or cannot
 * be helped, is charged to the quota. */
int recover_mend(struct recovery *rc, struct cfile *f, const uint8_t *page0, const char *path,
		 bool look);

/* recover_walk.c: 'fn' for each regular file of the tree that is wanted, once, by several threads.
 * Counts the inodes, and what others than regular files are charged.  The first error ends it. */
typedef int (*recover_fn)(struct recovery *rc, int fd, const char *path);
int recover_walk(struct recovery *rc, recover_fn fn);

/* recover_part.c */
/* Begin the count: with the sums of what need not be looked at. -ENOMEM. */
int recover_count_begin(struct recovery *rc);
/* Count 'bytes' more for this inode, and the inode if 'files' is 1; rc->lock is held. */
void recover_count(struct recovery *rc, uint64_t ino, uint64_t bytes, unsigned files);
static inline bool recover_wants(const struct recovery *rc, uint64_t ino)
{
	return !rc->partial || marks_in(rc->wanted, mark_group(marks_ino(rc->s, ino)));
}
/* A name leads to this inode. -ENOMEM. */
int recover_note_ino(struct recovery *rc, uint64_t ino);
/* After the walk: the groups that are not marked, but do not hold the inodes that they held. They
 * are wanted from now on, and nothing else is; returns 1 when there are any. */
int recover_find_strange(struct recovery *rc);
/* All was looked at and is durable: the sums are those of the store. */
void recover_count_end(struct recovery *rc);

/* recover.c: everything so far is durable, the log is empty. */
int recover_flush(struct recovery *rc, uint32_t epoch);
/* Is it this file that cannot be read (a bad sector, an immutable or a foreign file)? Then it does
 * not stop all the others. */
bool recover_this_file_only(int r);
/* It is named, and counted as damaged and as one whose id is not known. */
void recover_note_unread(struct recovery *rc, const char *path, int r);
