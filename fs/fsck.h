/* The check of a workspace: every header, block, name, sidecar, directory id, xattr, symlink, tail
 * and the quota's sums, against the keys and against each other.  Used by "sbxfsd fsck" only.
 *
 * It believes nothing of what it checks, and the rules for a file are recovery's own (examine.h).
 * Without 'repair' nothing of the store is written.  With it, a store that was not closed is
 * recovered first, and orphans (what no crash and no user can need any more) are removed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "fs/store.h"

struct err;
struct fsck;
struct name_keys;

enum fsck_kind {
	FSCK_DAMAGE,     /* does not verify, or contradicts what does */
	FSCK_UNREADABLE, /* the backing filesystem refuses to read it */
	FSCK_ORPHAN,     /* left over, nobody needs it: removed by 'repair' */
	FSCK_UNSYNCED,   /* what a crash took: recovery cuts it off or makes it zeros */
	FSCK_UNCLEAN,    /* the store was not closed */
	FSCK_QUOTA,      /* the sums of the state are not those of the files */
	FSCK_FOREIGN,    /* not ours: ignored */
};

enum fsck_state {
	FSCK_REMAINS,
	FSCK_RECOVERABLE, /* the next mount, or 'repair', mends it */
	FSCK_REPAIRED,
};

struct finding {
	enum fsck_kind kind;
	enum fsck_state state;
	const char *path; /* in the clear, below the outputs; NULL: it has none, or none is known */
	const char *place;                /* below WS; ciphertext */
	const char *consequence, *remedy; /* clauses without a full stop; NULL = nothing to say */
};

struct fsck_params {
	int wsfd, storefd; /* borrowed */
	struct store_params sp;
	const struct name_keys *keys;
	bool flat;
	bool repair, quick; /* quick: page 0, names and attributes, no block */
	unsigned threads;   /* that look at files; 0 = one for each processor */

	/* Each message, from one thread at a time:
	 *   {"finding":{"kind","state","path","place","what","consequence","remedy"}}
	 *   {"progress":{"bytes","files","total_bytes","total_files"}}   only with 'progress' */
	void (*emit)(void *ctx, const json_t *message);
	void *ctx;
	bool progress;
};

/* 'ret' is returned even when there are findings; free with fsck_free(). */
int fsck_new(const struct fsck_params *p, struct fsck **ret);
void fsck_free(struct fsck *k);
/* All of the store. '*ret' (new reference): {"clean","was_clean","remaining","repaired",
 * "recoverable","checked":{"files","directories","symlinks","others","bytes"},
 * "quota":{"checked","bytes","files"}}.  Errors are those that end a check. */
int fsck_store(struct fsck *k, json_t **ret, struct err *err);

/* For checks outside of the store (fsck_main.c): one finding; 'fmt' says what it is. */
void fsck_tell(struct fsck *k, const struct finding *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
