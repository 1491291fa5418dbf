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

	pthread_mutex_t lock; /* guards all that follows, while the tree is walked */
	/* The count anew, for the quota. */
	uint64_t bytes, files;
	struct idset links; /* files with several names, counted once */
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

/* recover_walk.c: 'fn' for each regular file of the tree, once, by several threads.  Counts the
 * inodes, and what others than regular files are charged.  The first error ends it. */
typedef int (*recover_fn)(struct recovery *rc, int fd, const char *path);
int recover_walk(struct recovery *rc, recover_fn fn);

/* recover.c: everything so far is durable, the log is empty. */
int recover_flush(struct recovery *rc, uint32_t epoch);
/* Is it this file that cannot be read (a bad sector, an immutable or a foreign file)? Then it does
 * not stop all the others. */
bool recover_this_file_only(int r);
/* It is named, and counted as damaged and as one whose id is not known. */
void recover_note_unread(struct recovery *rc, const char *path, int r);
