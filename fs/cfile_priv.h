/* The state of one encrypted file, shared by the cfile_*.c files.
 *
 * A block's newest content is, in this order: in the log, when the live map names it and it was not
 * applied yet; a hole, when a cut or hole not yet applied covers it; at home.  "Home" is the
 * backing file.  Blocks named by a batch that is not dead are never written directly. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/uio.h>

#include "fs/block.h"
#include "fs/cfile.h"
#include "fs/head.h"
#include "fs/livemap.h"
#include "fs/ranges.h"
#include "fs/store_priv.h"

#define CHUNK_BLOCKS 256u /* one pass of read or write */
#define CHUNK_GROUPS 7u   /* groups that so many blocks can touch, and one */
/* Pages logged into a cut range before the file is retired, so that direct writes resume. */
#define CUT_LOGGED_MAX 1024u
/* Fresh blocks that fsync copies to the log rather than sync the home. */
#define FSYNC_COPY_MAX 16u
/* Ranges of fresh blocks that are remembered. */
#define FRESH_MAX 4096u

#define DIRECT_NONE    (-1) /* not opened yet */
#define DIRECT_REFUSED (-2) /* it cannot be had */

struct cfile {
	struct store *s;
	int fd;
	uint64_t dev, ino, uid;

	struct cfile *next;  /* reg_lock */
	unsigned refs, pins; /* reg_lock */
	bool lingering;      /* reg_lock */

	pthread_rwlock_t lock; /* guards all that follows */
	uint8_t *key;          /* secret slot: F 32, K_b 32 */
	struct head h;
	uint64_t backing;                /* size of the backing file */
	bool head_home;                  /* page 0 holds a header of this file */
	bool head_dirty;                 /* differs from what was written last */
	uint64_t head_size, head_mapped; /* as in the header at home, if it is direct */
	bool created;                    /* made by this state and never synced */
	bool durable;
	bool meta_changed;
	bool unsettled; /* the last user left, but the disk was full: tried again */
	bool unlinked;
	bool given_back;    /* quota released */
	uint8_t complaints; /* damage lines already logged */
	struct ranges fresh;
	bool fresh_lost;     /* 'fresh' forgot some: the home must be synced */
	unsigned home_syncs; /* running now: what they took over is not durable yet */

	struct livemap live;
	uint64_t first_seq; /* oldest batch that is not dead; 0 = none */
	uint64_t last_seq;  /* newest */
	uint64_t applied_seq;
	uint8_t image[HEAD_LEN]; /* header of last_seq */
	struct logbuf *open;     /* batch being gathered */
	uint32_t cut_logged;

	uint8_t head_entries[HEAD_BLOCKS * ENTRY_SIZE]; /* group 0 as at home */

	atomic_int direct_fd; /* cfile_direct.c: to read past the page cache, or DIRECT_* */
	atomic_uint_fast64_t pub_size, pub_mapped; /* copies for readers without the lock */
};

/* Per-thread work space: ciphertext, entries, tag pages. */
struct scratch {
	uint8_t data[CHUNK_BLOCKS * BLOCK_SIZE];
	uint8_t entries[CHUNK_BLOCKS * ENTRY_SIZE];
	uint8_t read_entries[CHUNK_BLOCKS * ENTRY_SIZE]; /* of a read inside a write */
	uint8_t tags[CHUNK_GROUPS][BLOCK_SIZE];
};
_Static_assert(offsetof(struct scratch, tags) % BLOCK_SIZE == 0, "read directly");
struct scratch *cfile_scratch(void); /* NULL: out of memory */

static inline const uint8_t *cfile_block_key(const struct cfile *f)
{
	return f->key + 32;
}
static inline struct block_ctx cfile_ctx(const struct cfile *f)
{
	return (struct block_ctx){ f->h.suite, f->key + 32, f->h.file_id };
}
static inline uint64_t cfile_nblocks(const struct cfile *f)
{
	return blockmap_count(f->h.size);
}
/* May a block below the size be a hole? */
static inline bool cfile_sparse(const struct cfile *f)
{
	return (f->h.flags & HEAD_SPARSE) || f->h.mapped != cfile_nblocks(f);
}
static inline bool cfile_head_direct(const struct cfile *f)
{
	return f->created && f->first_seq == 0 && !f->open;
}
/* No space on the disk, or a quota of the disk's own: nothing is wrong, it may go another way. */
static inline bool cfile_no_room(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}
/* What the backing file has when the header at home says all. */
static inline uint64_t cfile_backing_want(const struct cfile *f)
{
	return blockmap_backing_size(f->h.size, f->s->p.pad);
}
/* Publish size and mapped after a change. */
void cfile_publish(struct cfile *f);
/* Log damage of a block (or of the header: UINT64_MAX); always -EIO. */
int cfile_damage(struct cfile *f, uint64_t block, const char *what);

/* cfile.c: a state that is in no table, for recovery; 'fd' stays the caller's. */
int cfile_alone(struct store *s, int fd, struct cfile **ret);
void cfile_alone_free(struct cfile *f);

/* cfile_home.c: all under f->lock. */
int home_entries(struct cfile *f, uint64_t group, uint32_t first, uint32_t count, uint8_t *out);
int home_write_entries(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *entries);
/* Write sealed blocks b..b+count-1 ('data' in steps of 4096) and their entries.  'holes': all of
 * them are holes at home.  '*ret_done' blocks were written, also on failure. */
int home_write_run(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *data,
		   const uint8_t *entries, bool holes, uint32_t *ret_done);
int home_write_head(struct cfile *f);
/* Around late writes: the backing's mtime is as before. */
void home_keep_time(struct cfile *f, struct timespec ret[static 2]);
void home_put_time(struct cfile *f, const struct timespec kept[static 2]);
int home_write_image(struct cfile *f, const uint8_t image[static HEAD_LEN]);
void cfile_seal_head(struct cfile *f, uint8_t out[static HEAD_LEN]);
/* Entries of [start, end) become zero, whole groups are punched. */
int home_zero_entries(struct cfile *f, uint64_t start, uint64_t end);
/* Make the backing size what the header says. */
int home_fit_size(struct cfile *f);
/* Bytes on disk of block b, for a file of this size. */
uint32_t home_block_bytes(const struct cfile *f, uint64_t b);

/* cfile_read.c */
enum where { AT_HOME, IN_LOG, IS_HOLE };
/* Where is the newest content of 'b'; '*ret_until' = first later block that may differ. */
enum where cfile_where(const struct cfile *f, uint64_t b, uint64_t *ret_until,
		       const struct live **ret_live);
/* The plaintext of one block, zeros beyond its length. Under f->lock. */
int cfile_read_block(struct cfile *f, uint64_t b, uint8_t out[static BLOCK_SIZE]);
/* Is 'b' mapped? 1, 0 or an error. */
int cfile_is_mapped(struct cfile *f, uint64_t b);

/* cfile_direct.c: read all of 'iov', or nothing (false: read it another way). */
bool cfile_read_direct(struct cfile *f, const struct iovec *iov, int n, size_t len, uint64_t off);

/* cfile_log.c: under f->lock, the epoch shared. */
int cfile_log_data(struct cfile *f, uint64_t b, const uint8_t *entry, const uint8_t *data);
int cfile_log_hole(struct cfile *f, uint64_t b, uint64_t count);
int cfile_log_cut(struct cfile *f, uint64_t cut);
/* The header must reach the log: opens a batch if there is none. */
int cfile_log_head(struct cfile *f);
int cfile_log_close(struct cfile *f);
void cfile_log_discard(struct cfile *f); /* takes f->lock itself; no reference is left */
int cfile_fit(struct cfile *f);
/* A header that goes home directly is there, and the backing size exact. */
int cfile_settle_home(struct cfile *f);
int cfile_apply(struct cfile *f);
bool cfile_applied(const struct cfile *f);
int cfile_read_log(struct cfile *f, const struct live *l, uint8_t *data);
/* Everything of batches before 's' is durable at home: forget it. */
void cfile_log_dead(struct cfile *f, uint64_t s);
int cfile_retire(struct cfile *f);
/* Header home or to the log, backing size exact. */
int cfile_settle(struct cfile *f);
