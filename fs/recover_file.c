/* Recovery, steps 3 to 5: the header and the blocks of one file.
 *
 * Only what was written in the epoch of the crash can be lost, and only such blocks are looked at.
 * Whatever changes goes through the log, as in normal life, with the next epoch: a second crash in
 * here finds either the old file or the mended one. */
#include "fs/recover.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/examine.h"
#include "fs/quota.h"

/* A file whose header never became durable: it was never synced, and is empty. */
static int make_empty(struct recovery *rc, struct cfile *f, const char *path)
{
	uint8_t page[BLOCK_SIZE] = { 0 };
	struct store *s = f->s;
	int r;

	store_log(s, "recovery: %s: never synced before the crash, now empty", path);
	memset(&f->h, 0, sizeof(f->h));
	f->h.suite = s->p.suite;
	randombytes_buf(f->h.file_id, FILE_ID_LEN);
	randombytes_buf(f->key, 32);
	cfile_seal_head(f, page);
	rc->touched = true;
	r = sio_pwrite(s->io, f->fd, page, BLOCK_SIZE, 0);
	if (r == 0)
		r = sio_ftruncate(s->io, f->fd, BLOCK_SIZE);
	rc->emptied++;
	return r;
}

static int reseal(struct cfile *f, uint64_t b, uint32_t len)
{
	uint8_t page[BLOCK_SIZE], entry[ENTRY_SIZE], nonce[NONCE_LEN];
	struct block_ctx ctx = cfile_ctx(f);
	struct block_key k = { 0 };
	ssize_t n;
	int r;

	r = home_entries(f, blockmap_group(b), blockmap_slot(b), 1, entry);
	if (r < 0)
		return r;
	n = fd_pread_full(f->fd, page, BLOCK_SIZE, blockmap_data_off(b));
	if (n < 0)
		return (int)n;
	memset(page + n, 0, BLOCK_SIZE - (size_t)n);
	/* One that does not verify is damage of before the crash: reading it says so. */
	if (block_open(&ctx, &k, b, entry, page) == 0) {
		if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
			return -EIO;
		block_seal(&ctx, &k, b, f->s->epoch, nonce, page, len, page, entry);
		memset(page + len, 0, BLOCK_SIZE - len);
		r = cfile_log_data(f, b, entry, page);
	}
	block_key_wipe(&k);
	return r;
}

static void tell(struct recovery *rc, const struct findings *fi, const struct head *h,
		 uint64_t size, const char *path)
{
	uint64_t old = h->size, known = fi->mapped;

	for (size_t i = 0; i < fi->lost.len; i++)
		known += fi->lost.v[i].end - fi->lost.v[i].start;
	if (known < h->mapped)
		store_log(rc->s, "recovery: %s: %llu blocks that the header counts are holes", path,
			  (unsigned long long)(h->mapped - known));
	if (size != old)
		store_log(rc->s,
			  "recovery: %s: %llu bytes at the end were not durable: cut to %llu", path,
			  (unsigned long long)(old - size), (unsigned long long)size);
	for (size_t i = 0; i < fi->lost.len; i++) {
		if (fi->lost.v[i].start < blockmap_count(size))
			store_log(rc->s,
				  "recovery: %s: blocks %llu to %llu were not durable: zeros", path,
				  (unsigned long long)fi->lost.v[i].start,
				  (unsigned long long)fi->lost.v[i].end - 1);
	}
}

/* Cut, holes, reseal and header: by way of the log, then home. */
static int repair(struct recovery *rc, struct cfile *f, struct findings *fi, uint64_t size)
{
	uint64_t n = blockmap_count(size);
	int r;

	/* First of all: every batch that closes on the way carries the final header. */
	f->h.size = size;
	f->h.synced = MIN(f->h.synced, size);
	f->h.mapped = fi->mapped;
	r = cfile_log_cut(f, n);
	for (size_t i = 0; i < fi->lost.len && r == 0; i++) {
		uint64_t end = MIN(fi->lost.v[i].end, n);

		if (fi->lost.v[i].start < end)
			r = cfile_log_hole(f, fi->lost.v[i].start, end - fi->lost.v[i].start);
	}
	if (r == 0 && fi->too_long)
		r = reseal(f, n - 1, blockmap_last_len(size));
	rc->touched = r == 0;
	if (r == 0)
		r = cfile_log_close(f);
	if (r == 0)
		r = log_sync(rc->s, f->last_seq);
	if (r == 0)
		r = cfile_apply(f);
	rc->mended++;
	return r;
}

/* The header opened: the blocks, the end, the size. */
static int mend_blocks(struct recovery *rc, struct cfile *f, const char *path, bool look)
{
	const struct examine x = { .epoch = rc->epoch, .crashed = true };
	bool sparse = f->h.flags & HEAD_SPARSE;
	bool doubtful = f->h.epoch >= rc->epoch || sparse;
	uint64_t size = f->h.size, n = cfile_nblocks(f), last;
	struct findings fi = { .mapped = f->h.mapped };
	int r = 0;

	if (doubtful) {
		fi.mapped = 0;
		r = examine_blocks(&x, f, &fi);
	}
	/* Lost at the end, and no hole can be meant: the file ends where it is good. */
	if (r == 0 && !sparse && n && ranges_has(&fi.lost, n - 1, &last))
		size = MAX(MIN(f->h.synced, size), fi.good_end);
	if (r == 0)
		r = examine_end(f, size, &fi);
	if (r == 0 &&
	    (size != f->h.size || fi.lost.len || fi.past || fi.too_long ||
	     fi.mapped != f->h.mapped || f->backing != blockmap_backing_size(size, rc->s->p.pad))) {
		if (!look)
			tell(rc, &fi, &f->h, size, path);
		r = look ? 1 : repair(rc, f, &fi, size);
	}
	findings_clear(&fi);
	return r;
}

static void charge(struct recovery *rc, const struct cfile *f)
{
	pthread_mutex_lock(&rc->lock);
	recover_count(rc, f->ino, quota_file_bytes(f->h.mapped), 0);
	pthread_mutex_unlock(&rc->lock);
}

/* Untouched; charged by its size. */
static void leave_damaged(struct recovery *rc, struct cfile *f, const char *path)
{
	store_log(rc->s, "damaged: %s: the header does not verify", path);
	f->h.mapped = f->backing / BLOCK_SIZE;
	pthread_mutex_lock(&rc->lock);
	rc->damaged++;
	pthread_mutex_unlock(&rc->lock);
}

int recover_mend(struct recovery *rc, struct cfile *f, const uint8_t *page0, const char *path,
		 bool look)
{
	int r = examine_header(f, page0);

	f->head_home = r == 0;
	if (r == -EBADMSG && examine_never_durable(rc->epoch, page0)) {
		r = look ? 1 : make_empty(rc, f, path);
	} else if (r == 0 && f->h.epoch > rc->epoch + 1) {
		store_log(rc->s, "recovery: %s is newer than the state of the store", path);
		return -EBADMSG;
	} else if (r == 0) {
		r = mend_blocks(rc, f, path, look);
	} else {
		leave_damaged(rc, f, path);
		r = 0;
	}
	if (r == 0)
		charge(rc, f);
	return r;
}
