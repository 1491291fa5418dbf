/* Size and holes: truncate, allocate, seek. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/quota.h"

/* Log pages that one call here may need: an old batch, its successor, a block. */
#define SIZE_PAGES 8u

/* The first group at or after 'group' that may have entries at home. */
static uint64_t next_group_at_home(struct cfile *f, uint64_t group)
{
	off_t at = lseek(f->fd, (off_t)blockmap_tag_page_off(group), SEEK_DATA);
	uint64_t page, g;

	if (at < 0)
		return errno == ENXIO ? UINT64_MAX : group;
	page = (uint64_t)at / BLOCK_SIZE;
	if (page < 1 + HEAD_BLOCKS)
		return group;
	g = 1 + (page - 1 - HEAD_BLOCKS) / (1 + GROUP_BLOCKS);
	return MAX(g, group);
}

/* Mapped or not, for the blocks of [b, end) of one group, as bits. */
static int group_bits(struct cfile *f, uint64_t b, uint32_t n, uint64_t *ret)
{
	uint8_t entries[GROUP_BLOCKS * ENTRY_SIZE];
	const struct live *l;
	uint64_t until;
	int r;

	*ret = 0;
	r = home_entries(f, blockmap_group(b), blockmap_slot(b), n, entries);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		enum where w = cfile_where(f, b + i, &until, &l);

		if (w == IN_LOG || (w == AT_HOME && !entry_is_hole(entries + i * ENTRY_SIZE)))
			*ret |= UINT64_C(1) << i;
	}
	return r;
}

/* Walk [b, end): count the mapped blocks, or stop at the first that is 'want' (then 'ret' is its
 * number, or 'end'). */
static int walk(struct cfile *f, uint64_t b, uint64_t end, int want, uint64_t *ret)
{
	uint64_t count = 0;

	while (b < end) {
		uint64_t group = blockmap_group(b), bits, hit;
		uint32_t n = (uint32_t)MIN(end - b, blockmap_group_len(group) - blockmap_slot(b));
		int r = group_bits(f, b, n, &bits);

		if (r < 0)
			return r;
		count += (uint64_t)__builtin_popcountll(bits);
		hit = want == 1 ? bits : ~bits;
		if (n < 64)
			hit &= (UINT64_C(1) << n) - 1;
		if (want >= 0 && hit) {
			*ret = b + (uint64_t)__builtin_ctzll(hit);
			return 0;
		}
		b += n;
		/* An empty stretch at home, and nothing in the log: skip what the backing skips. */
		if (bits == 0 && want != 0 && livemap_empty(&f->live) && b < end) {
			uint64_t next = next_group_at_home(f, blockmap_group(b));

			b = next == UINT64_MAX         ? end
			    : next > blockmap_group(b) ? MIN(end, blockmap_group_first(next))
						       : b;
		}
	}
	*ret = want < 0 ? count : end;
	return 0;
}

static int count_mapped(struct cfile *f, uint64_t b, uint64_t end, uint64_t *ret)
{
	if (b >= end) {
		*ret = 0;
		return 0;
	}
	if (!cfile_sparse(f)) {
		*ret = end - b;
		return 0;
	}
	return walk(f, b, end, -1, ret);
}

/* 'mapped' falls to 'left': give the difference back. */
static void unmap(struct cfile *f, uint64_t left)
{
	uint64_t bytes = quota_file_bytes(f->h.mapped) - quota_file_bytes(left);

	quota_release(f->s->p.quota, bytes, 0);
	marks_charge(f->s, f->ino, -(int64_t)bytes, 0);
	f->h.mapped = left;
}

static int grow(struct cfile *f, uint64_t size)
{
	int r = 0;

	if (!cfile_head_direct(f))
		r = cfile_log_head(f);
	if (r < 0)
		return r;
	f->h.size = size;
	f->head_dirty = true;
	return 0;
}

/* The new last block with its new length. */
static int reseal_last(struct cfile *f, uint64_t b, uint32_t len, uint8_t *page, uint8_t *entry)
{
	struct block_ctx ctx = cfile_ctx(f);
	struct block_key key = { 0 };
	uint8_t nonce[NONCE_LEN];
	int r;

	r = cfile_read_block(f, b, page);
	if (r == 0 && getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		r = -EIO;
	if (r == 0) {
		block_seal(&ctx, &key, b, f->s->epoch, nonce, page, len, page, entry);
		memset(page + len, 0, BLOCK_SIZE - len);
	}
	block_key_wipe(&key);
	return r;
}

/* One batch: the cut, the header, the last block. */
static int shrink(struct cfile *f, uint64_t size)
{
	uint64_t n = blockmap_count(size), cut_off;
	uint32_t t = blockmap_last_len(size);
	uint8_t page[BLOCK_SIZE], entry[ENTRY_SIZE];
	int r, partial = 0;

	r = count_mapped(f, n, cfile_nblocks(f), &cut_off);
	if (r == 0 && t % BLOCK_SIZE != 0) {
		partial = cfile_is_mapped(f, n - 1);
		r = partial < 0 ? partial : 0;
	}
	if (r == 0 && partial)
		r = reseal_last(f, n - 1, t, page, entry);
	if (r == 0)
		r = cfile_log_close(f);
	if (r == 0)
		r = cfile_log_cut(f, n);
	if (r < 0)
		return r;
	f->h.size = size;
	f->h.synced = MIN(f->h.synced, size);
	f->head_dirty = true;
	unmap(f, f->h.mapped - MIN(f->h.mapped, cut_off));
	return partial ? cfile_log_data(f, n - 1, entry, page) : 0;
}

int cfile_truncate(struct cfile *f, uint64_t size)
{
	struct store *s = f->s;
	int r;

	if (size > PLAIN_SIZE_MAX)
		return -EFBIG;
	r = log_reserve(s, f->ino, SIZE_PAGES);
	if (r < 0)
		return r;
	store_epoch_enter(s);
	pthread_rwlock_wrlock(&f->lock);
	if (size > f->h.size)
		r = grow(f, size);
	else if (size < f->h.size)
		r = shrink(f, size);
	cfile_publish(f);
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	log_unreserve(s, SIZE_PAGES);
	return r;
}

/* Zeros over a part of one block, if it holds anything; never past the end. */
static int zero_bytes(struct cfile *f, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[BLOCK_SIZE];
	int mapped = 0;
	ssize_t n;

	pthread_rwlock_rdlock(&f->lock);
	to = MIN(to, f->h.size);
	if (from < to)
		mapped = cfile_is_mapped(f, from / BLOCK_SIZE);
	pthread_rwlock_unlock(&f->lock);
	if (mapped <= 0)
		return mapped;
	n = cfile_write(f, zeros, to - from, from);
	return n < 0 ? (int)n : (uint64_t)n < to - from ? -EIO : 0;
}

/* The whole blocks from 'b' up to the byte 'stop', and the last one of the file if it ends there:
 * where it ends is known for certain only under the lock, for writes go on. */
static int punch_blocks(struct cfile *f, uint64_t b, uint64_t stop, bool *ret_to_end,
			bool *ret_crowded)
{
	struct store *s = f->s;
	uint64_t mapped = 0, end;
	int r;

	r = log_reserve(s, f->ino, SIZE_PAGES);
	if (r < 0)
		return r;
	store_epoch_enter(s);
	pthread_rwlock_wrlock(&f->lock);
	*ret_to_end = stop >= f->h.size;
	end = *ret_to_end ? cfile_nblocks(f) : stop / BLOCK_SIZE;
	if (b < end)
		r = count_mapped(f, b, end, &mapped);
	if (r == 0 && mapped > 0)
		r = cfile_log_hole(f, b, end - b);
	if (r == 0 && mapped > 0) {
		unmap(f, f->h.mapped - MIN(f->h.mapped, mapped));
		f->head_dirty = true;
	}
	*ret_crowded = f->live.nholes > 64;
	cfile_publish(f);
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	log_unreserve(s, SIZE_PAGES);
	return r;
}

static int punch(struct cfile *f, uint64_t off, uint64_t end)
{
	uint64_t size = cfile_size(f), b, last = end / BLOCK_SIZE;
	bool to_end = false, crowded = false;
	int r;

	if (off >= MIN(end, size))
		return 0;
	b = off / BLOCK_SIZE + (off % BLOCK_SIZE != 0);
	r = zero_bytes(f, off, MIN(end, b * BLOCK_SIZE));
	if (r == 0 && (last > b || end >= size))
		r = punch_blocks(f, b, end, &to_end, &crowded);
	if (r == 0 && last >= b && !to_end)
		r = zero_bytes(f, last * BLOCK_SIZE, end);
	if (crowded)
		(void)cfile_retire(f);
	return r;
}

/* Room for the range must exist now; it is not set aside, the format has no place to say so. */
static int check_room(struct cfile *f, uint64_t off, uint64_t end)
{
	uint64_t have = 0, stop = blockmap_count(end), n, had, want;
	int r;

	pthread_rwlock_rdlock(&f->lock);
	n = cfile_nblocks(f);
	r = count_mapped(f, MIN(off / BLOCK_SIZE, n), MIN(stop, n), &have);
	had = quota_file_bytes(f->h.mapped);
	want = quota_file_bytes(f->h.mapped + (stop - off / BLOCK_SIZE - have));
	pthread_rwlock_unlock(&f->lock);
	if (r < 0)
		return r;
	r = quota_charge(f->s->p.quota, want - had, 0);
	if (r == 0)
		quota_release(f->s->p.quota, want - had, 0);
	return r;
}

static int allocate(struct cfile *f, int mode, uint64_t off, uint64_t end)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int r;

	switch (mode & ~FALLOC_FL_KEEP_SIZE) {
	case 0:
		r = check_room(f, off, end);
		break;
	case FALLOC_FL_PUNCH_HOLE:
		if (!keep)
			return -EOPNOTSUPP;
		return punch(f, off, end);
	case FALLOC_FL_ZERO_RANGE:
		r = punch(f, off, end);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (r == 0 && !keep && end > cfile_size(f))
		r = cfile_truncate(f, end);
	return r;
}

int cfile_allocate(struct cfile *f, int mode, uint64_t off, uint64_t len)
{
	uint64_t end;
	int r;

	if (len == 0 || __builtin_add_overflow(off, len, &end))
		return -EINVAL;
	if (end > PLAIN_SIZE_MAX)
		return -EFBIG;
	/* Trying for room charges the quota for a moment, which a clean state must not tell. */
	r = store_begin_change(f->s);
	if (r < 0)
		return r;
	r = allocate(f, mode, off, end);
	store_end_change(f->s);
	return r;
}

off_t cfile_seek(struct cfile *f, uint64_t off, int whence)
{
	uint64_t hit = 0, size, n;
	int r = 0;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	pthread_rwlock_rdlock(&f->lock);
	size = f->h.size;
	n = cfile_nblocks(f);
	if (off >= size) {
		r = -ENXIO;
	} else if (!cfile_sparse(f)) {
		hit = whence == SEEK_DATA ? off : size;
	} else {
		r = walk(f, off / BLOCK_SIZE, n, whence == SEEK_DATA, &hit);
		if (r == 0 && whence == SEEK_DATA && hit == n)
			r = -ENXIO;
		hit = MIN(MAX(off, hit * BLOCK_SIZE), size);
	}
	pthread_rwlock_unlock(&f->lock);
	return r < 0 ? r : (off_t)hit;
}
