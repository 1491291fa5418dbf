/* Writing an encrypted file.
 *
 * Whole blocks are sealed before the file's lock is taken: their length and place are known, and
 * the shared epoch lock keeps the epoch.  Under the lock the partial blocks at both ends are
 * completed and sealed, and each stretch of blocks goes one of two ways: directly home, when no
 * byte there can be durable, or into the log. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "fs/quota.h"

/* One pass of at most CHUNK_BLOCKS blocks. */
struct pass {
	struct cfile *f;
	struct scratch *sc;
	const uint8_t *buf;
	uint64_t off, len;
	uint64_t b, end; /* blocks [b, end) */
	uint64_t old_n;  /* blocks of the file before */
	uint8_t nonce[NONCE_LEN];
	struct block_key key;
	uint64_t logged_new; /* blocks of this stretch that became mapped in the log */
	bool retire;         /* the file has logged enough into cut ranges */
};

static uint8_t *data_at(const struct pass *p, uint64_t b)
{
	return p->sc->data + (size_t)(b - p->b) * BLOCK_SIZE;
}

static uint8_t *entry_at(const struct pass *p, uint64_t b)
{
	return p->sc->entries + (size_t)(b - p->b) * ENTRY_SIZE;
}

static bool covered(const struct pass *p, uint64_t b)
{
	return b * BLOCK_SIZE >= p->off && (b + 1) * BLOCK_SIZE <= p->off + p->len;
}

static void seal(struct pass *p, uint64_t b, const uint8_t *plain, uint32_t len)
{
	struct block_ctx ctx = cfile_ctx(p->f);

	block_seal(&ctx, &p->key, b, p->f->s->epoch, p->nonce, plain, len, data_at(p, b),
		   entry_at(p, b));
	if (len < BLOCK_SIZE)
		memset(data_at(p, b) + len, 0, BLOCK_SIZE - len);
}

static void seal_covered(struct pass *p)
{
	for (uint64_t b = p->b; b < p->end; b++) {
		if (covered(p, b))
			seal(p, b, p->buf + (b * BLOCK_SIZE - p->off), BLOCK_SIZE);
	}
}

/* A block of which a part is new: the rest is what it was. The size is the new one by now. */
static int seal_partial(struct pass *p, uint64_t b, uint64_t old_size)
{
	uint64_t at = b * BLOCK_SIZE, from = MAX(at, p->off);
	uint64_t to = MIN(at + BLOCK_SIZE, p->off + p->len);
	uint64_t new_size = MAX(old_size, p->off + p->len);
	uint8_t page[BLOCK_SIZE];
	int r = 0;

	if (b < p->old_n && (from > at || to < MIN(at + BLOCK_SIZE, old_size)))
		r = cfile_read_block(p->f, b, page);
	else
		memset(page, 0, sizeof(page));
	if (r == 0) {
		memcpy(page + (from - at), p->buf + (from - p->off), to - from);
		seal(p, b, page, (uint32_t)MIN((uint64_t)BLOCK_SIZE, new_size - at));
	}
	sodium_memzero(page, sizeof(page));
	return r;
}

enum way { WAY_LOG, WAY_FRESH, WAY_HOLE };

/* How does block b go, and how many from it on go the same way?  (doc/format.md: "direct iff".) */
static int way_of(struct pass *p, uint64_t b, enum way *ret, uint64_t *ret_until)
{
	struct cfile *f = p->f;
	uint8_t entry[ENTRY_SIZE];
	uint64_t until;
	int r;

	*ret = WAY_LOG;
	*ret_until = b + 1;
	if (!livemap_empty(&f->live) && (livemap_find(&f->live, b) || livemap_in_hole(&f->live, b)))
		return 0;
	if (ranges_has(&f->fresh, b, &until)) {
		*ret = WAY_FRESH;
	} else if (b >= p->old_n) {
		*ret = WAY_HOLE;
	} else if (cfile_sparse(f)) {
		r = home_entries(f, blockmap_group(b), blockmap_slot(b), 1, entry);
		if (r < 0)
			return r;
		*ret = entry_is_hole(entry) ? WAY_HOLE : WAY_LOG;
		return 0;
	} else {
		until = MIN(until, p->old_n);
	}
	if (livemap_empty(&f->live))
		*ret_until = until;
	return 0;
}

/* Blocks from b on that go the same way. */
static int stretch(struct pass *p, uint64_t b, enum way *ret, uint64_t *ret_end)
{
	uint64_t until = b, end = b;
	enum way w = WAY_LOG;
	int r;

	do {
		r = way_of(p, end, &w, &until);
		if (r < 0)
			return end > b ? 0 : r;
		if (end == b)
			*ret = w;
		else if (w != *ret)
			break;
		end = until;
		*ret_end = MIN(end, p->end);
	} while (end < p->end);
	return 0;
}

/* Blocks of [b, end) that would become mapped. */
static int count_new(struct pass *p, uint64_t b, uint64_t end, enum way w, uint64_t *ret)
{
	*ret = 0;
	if (w == WAY_FRESH)
		return 0;
	if (w == WAY_HOLE) {
		*ret = end - b;
		return 0;
	}
	for (; b < end; b++) {
		int r = b >= p->old_n ? 0 : cfile_is_mapped(p->f, b);

		if (r < 0)
			return r;
		*ret += !r;
	}
	return 0;
}

/* Charge what [b, *end) costs; when not all of it fits, less: '*end' comes back. */
static int charge(struct pass *p, uint64_t b, uint64_t *end, enum way w, uint64_t *ret_new)
{
	struct cfile *f = p->f;
	uint64_t had = quota_file_bytes(f->h.mapped), fit, n;
	int r;

	r = count_new(p, b, *end, w, &n);
	if (r < 0 || n == 0) {
		*ret_new = 0;
		return r;
	}
	for (fit = *end - b;; fit--) {
		r = fit == *end - b ? 0 : count_new(p, b, b + fit, w, &n);
		if (r == 0 && fit > 0)
			r = quota_charge(f->s->p.quota, quota_file_bytes(f->h.mapped + n) - had, 0);
		if (r != -ENOSPC || fit <= 1)
			break;
	}
	if (r < 0)
		return r;
	marks_charge(f->s, f->ino, (int64_t)(quota_file_bytes(f->h.mapped + n) - had), 0);
	*end = b + fit;
	*ret_new = n;
	return 0;
}

static int put_log(struct pass *p, uint64_t b, uint32_t count, uint32_t *ret_done)
{
	p->logged_new = 0;
	for (; *ret_done < count; ++*ret_done) {
		uint64_t at = b + *ret_done, fresh = 0;
		int r = count_new(p, at, at + 1, WAY_LOG, &fresh);

		if (r == 0)
			r = cfile_log_data(p->f, at, entry_at(p, at), data_at(p, at));
		if (r < 0)
			return r;
		p->logged_new += fresh;
	}
	return 0;
}

static int put_direct(struct pass *p, uint64_t b, uint32_t count, enum way w, uint32_t *ret_done)
{
	struct cfile *f = p->f;
	int r = home_write_run(f, b, count, data_at(p, b), entry_at(p, b), w == WAY_HOLE, ret_done);

	if (*ret_done && w == WAY_HOLE &&
	    (ranges_add(&f->fresh, b, b + *ret_done) < 0 || f->fresh.len > FRESH_MAX)) {
		/* Forgetting is safe: those blocks go to the log when they are written again. */
		ranges_clear(&f->fresh);
		f->fresh_lost = true;
	}
	/* What was being overwritten may be neither old nor new now, where the backing copies on
	 * write and is full: the log holds it instead. */
	if (cfile_no_room(r) && w == WAY_FRESH)
		r = put_log(p, b, count, ret_done);
	return r;
}

/* Store a stretch; size and mapped count of the file follow what was stored. */
static int put_stretch(struct pass *p, uint64_t b, uint64_t *ret_end)
{
	struct cfile *f = p->f;
	uint64_t size = f->h.size, mapped = f->h.mapped, end = b, fresh;
	uint32_t done = 0;
	enum way w = WAY_LOG;
	int r;

	*ret_end = b;
	r = stretch(p, b, &w, &end);
	if (r == 0)
		r = charge(p, b, &end, w, &fresh);
	if (r < 0)
		return r;
	/* The header may go out with the first block: it must be true then. */
	f->h.mapped += fresh;
	f->h.size = MAX(size, MIN(p->off + p->len, end * BLOCK_SIZE));
	if (w == WAY_LOG)
		r = put_log(p, b, (uint32_t)(end - b), &done);
	else
		r = put_direct(p, b, (uint32_t)(end - b), w, &done);
	if (r < 0) {
		end = b + done;
		f->h.mapped = mapped + (w == WAY_HOLE ? done : 0);
		if (w == WAY_LOG)
			f->h.mapped += p->logged_new;
		f->h.size = done ? MAX(size, MIN(p->off + p->len, end * BLOCK_SIZE)) : size;
		fresh = quota_file_bytes(mapped + fresh) - quota_file_bytes(f->h.mapped);
		quota_release(f->s->p.quota, fresh, 0);
		marks_charge(f->s, f->ino, -(int64_t)fresh, 0);
	}
	*ret_end = end;
	return r;
}

static int store_blocks(struct pass *p, uint64_t *ret_stored)
{
	uint64_t b = p->b, end;
	int r = 0;

	while (b < p->end && r == 0) {
		end = b;
		r = put_stretch(p, b, &end);
		b = end;
	}
	*ret_stored = b;
	return b > p->b ? 0 : r;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Under both locks: complete, store, account.  Returns the bytes written. */
static ssize_t write_locked(struct pass *p)
{
	struct cfile *f = p->f;
	uint64_t old_size = f->h.size, stored = p->b;
	int r = 0;

	p->old_n = cfile_nblocks(f);
	if (!covered(p, p->b))
		r = seal_partial(p, p->b, old_size);
	if (r == 0 && p->end - 1 > p->b && !covered(p, p->end - 1))
		r = seal_partial(p, p->end - 1, old_size);
	if (r == 0)
		r = store_blocks(p, &stored);
	if (stored > p->b) {
		f->h.mtime_ns = now_ns();
		f->head_dirty |= f->h.size != f->head_size || f->h.mapped != f->head_mapped;
		if (!cfile_head_direct(f))
			r = cfile_log_head(f);
		else if (!f->head_home)
			r = home_write_head(f); /* the first write was not of block 0 */
		if (cfile_no_room(r)) { /* what is stored is stored: the header goes later */
			f->head_dirty = true;
			r = 0;
		}
	}
	p->retire = f->cut_logged > CUT_LOGGED_MAX;
	cfile_publish(f);
	if (stored == p->b || r < 0)
		return r;
	return (ssize_t)(MIN(p->off + p->len, stored * BLOCK_SIZE) - p->off);
}

static ssize_t write_pass(struct cfile *f, struct scratch *sc, const uint8_t *buf, uint64_t len,
			  uint64_t off, const uint8_t nonce[static NONCE_LEN], bool *retire)
{
	struct pass p = { .f = f, .sc = sc, .buf = buf, .off = off, .len = len };
	struct store *s = f->s;
	ssize_t n;

	memcpy(p.nonce, nonce, NONCE_LEN);
	p.b = off / BLOCK_SIZE;
	p.end = (off + len - 1) / BLOCK_SIZE + 1;
	store_epoch_enter(s);
	seal_covered(&p);
	pthread_rwlock_wrlock(&f->lock);
	n = write_locked(&p);
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	if (p.key.valid)
		block_key_wipe(&p.key);
	*retire = p.retire;
	return n;
}

ssize_t cfile_write(struct cfile *f, const void *buf, size_t len, uint64_t off)
{
	struct store *s = f->s;
	struct scratch *sc = cfile_scratch();
	uint64_t chunk = (uint64_t)log_chunk_blocks(s) * BLOCK_SIZE;
	uint8_t nonce[NONCE_LEN];
	uint64_t end;
	size_t done = 0;
	ssize_t n = 0;
	bool retire = false;

	if (!sc)
		return -ENOMEM;
	if (__builtin_add_overflow(off, len, &end) || end > PLAIN_SIZE_MAX)
		return -EFBIG;
	/* One nonce for the request: its blocks differ in their number. Never from a pool, which a
	 * snapshot of the machine could repeat. */
	if (len > 0 && getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		return -EIO;
	while (done < len) {
		uint64_t at = off + done;
		uint64_t want = MIN(len - done, chunk - at % BLOCK_SIZE);
		uint32_t pages = log_chunk_pages((uint32_t)(want / BLOCK_SIZE) + 2);

		n = log_reserve(s, f->ino, pages);
		if (n < 0)
			break;
		n = write_pass(f, sc, (const uint8_t *)buf + done, want, at, nonce, &retire);
		log_unreserve(s, pages);
		if (n < 0)
			break;
		done += (size_t)n;
		if ((uint64_t)n < want)
			break;
	}
	if (retire)
		(void)cfile_retire(f);
	return done > 0 ? (ssize_t)done : n;
}
