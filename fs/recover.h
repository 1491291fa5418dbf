/* Recovery after a crash, doc/format.md section 7.  One thread, before anything else uses the
 * store; shared by recover.c, recover_log.c and recover_file.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/cfile_priv.h"

/* A valid batch of the log. */
struct found {
	uint8_t file_id[FILE_ID_LEN];
	uint64_t seq;
	uint32_t pos;
	bool dead, met; /* met: brought home */
};

struct inode {
	uint64_t dev, ino; /* ino 0: an empty slot */
};

struct recovery {
	struct store *s;
	uint32_t epoch;  /* E: of the state that was found */
	struct found *v; /* sorted by file id, then by seq */
	size_t n, cap;
	uint64_t data_pages; /* in them: what applying may need */
	uint64_t last_seq;   /* of the log */
	uint32_t used;       /* pages of it */

	/* The count anew, for the quota. */
	uint64_t bytes, files;
	struct inode *links; /* files with several names, counted once: open addressing */
	size_t nlinks, caplinks;
	unsigned emptied, mended, damaged;
	unsigned unread; /* files whose id could not be read in the first walk */
};

/* recover_log.c */
int recover_read_log(struct recovery *rc);
/* Bring the batches of this file home. Returns 1 when there were any. */
int recover_apply(struct recovery *rc, struct cfile *f);
/* What that would make of the file, without doing it: the header of its last batch is taken over,
 * 'covered' receives the blocks that its batches name. Returns 1 when there are any. Any thread. */
int recover_overlay(const struct recovery *rc, struct cfile *f, struct ranges *covered);

/* recover_file.c: step 3 to 5 for one file; 'path' is for the log lines. */
int recover_mend(struct recovery *rc, struct cfile *f, const uint8_t *page0, const char *path);

/* recover.c: everything so far is durable, the log is empty. */
int recover_flush(struct recovery *rc, uint32_t epoch);
