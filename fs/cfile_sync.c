/* fsync: what was written before it survives a power cut after it. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"

static int copy_block(struct cfile *f, uint64_t b)
{
	uint8_t data[BLOCK_SIZE], entry[ENTRY_SIZE];
	ssize_t n = fd_pread_full(f->fd, data, BLOCK_SIZE, blockmap_data_off(b));
	int r;

	if (n < 0)
		return (int)n;
	memset(data + n, 0, BLOCK_SIZE - (size_t)n);
	r = home_entries(f, blockmap_group(b), blockmap_slot(b), 1, entry);
	return r < 0 ? r : cfile_log_data(f, b, entry, data);
}

/* Copies of the fresh blocks go to the log, so that home need not be synced. */
static int copy_fresh(struct cfile *f)
{
	struct ranges set = f->fresh;
	int r = 0;

	f->fresh = (struct ranges){ 0 }; /* a block that is logged leaves it */
	for (size_t i = 0; i < set.len && r == 0; i++) {
		for (uint64_t b = set.v[i].start; b < set.v[i].end && r == 0; b++)
			r = copy_block(f, b);
	}
	ranges_clear(&set);
	if (r < 0)
		f->fresh_lost = true;
	return r;
}

struct barrier {
	bool home, full;
	uint64_t seq;
	uint64_t size;
};

/* Steps 1 to 3: from here on what this barrier covers is not written directly any more. */
static int begin(struct cfile *f, bool data_only, struct barrier *b)
{
	bool few = !f->fresh_lost && f->fresh.count <= FSYNC_COPY_MAX;
	int r = 0;

	/* Another barrier that runs now took over blocks that this one promises, too. */
	b->home = !f->durable || f->meta_changed || f->home_syncs > 0 || !few;
	b->full = !f->durable || f->meta_changed || f->home_syncs > 0 || !data_only;
	if (!b->home)
		r = copy_fresh(f);
	if (r < 0)
		return r;
	/* Without a header at home recovery could not tell whose batches the log holds.  Nothing of
	 * the file is durable then, so writing it needs no order. */
	if (!f->head_home || (cfile_head_direct(f) && f->head_dirty))
		r = home_write_head(f);
	if (r == 0 && cfile_head_direct(f))
		r = home_fit_size(f);
	else if (r == 0)
		r = cfile_log_close(f);
	if (r < 0)
		return r;
	f->created = false;
	ranges_clear(&f->fresh);
	f->fresh_lost = false;
	f->meta_changed = f->meta_changed && !b->home;
	f->home_syncs += b->home;
	b->seq = f->last_seq;
	b->size = f->h.size;
	return 0;
}

/* begin() has nothing to write: the sync is no change of the store. */
static bool all_written(const struct cfile *f)
{
	if (!f->head_home || f->open || f->fresh_lost || f->fresh.count > 0)
		return false;
	return !cfile_head_direct(f) || (!f->head_dirty && f->backing == cfile_backing_want(f));
}

/* -EAGAIN: there is something to write, and no log pages are reserved for it. */
static int try_begin(struct cfile *f, bool data_only, bool reserved, struct barrier *b)
{
	int r = -EAGAIN;

	store_epoch_enter(f->s);
	pthread_rwlock_wrlock(&f->lock);
	if (reserved || all_written(f))
		r = begin(f, data_only, b);
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(f->s);
	return r;
}

int cfile_fsync(struct cfile *f, bool data_only)
{
	struct store *s = f->s;
	struct barrier b = { 0 };
	int r;

	if (s->p.read_only)
		return 0;
	if (store_failed(s))
		return -EIO;
	r = try_begin(f, data_only, false, &b);
	if (r == -EAGAIN) {
		r = log_reserve(s, f->ino, FSYNC_COPY_MAX + 3);
		if (r < 0)
			return r;
		r = try_begin(f, data_only, true, &b);
		log_unreserve(s, FSYNC_COPY_MAX + 3);
	}
	if (r < 0)
		return r;
	if (b.home) {
		r = b.full ? sio_fsync(s->io, f->fd) : sio_fdatasync(s->io, f->fd);
		if (r < 0)
			store_fail(s, r, "sync of a file");
	}
	if (r == 0 && b.seq)
		r = log_sync(s, b.seq);
	pthread_rwlock_wrlock(&f->lock);
	f->home_syncs -= b.home;
	if (r == 0) {
		f->durable |= b.home;
		f->h.synced = MIN(b.size, f->h.size);
	}
	pthread_rwlock_unlock(&f->lock);
	return r < 0 ? -EIO : 0;
}
