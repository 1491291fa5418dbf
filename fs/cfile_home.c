/* The backing file of a cfile: entries, runs of blocks, header, size.
 *
 * All functions run under f->lock, those that write with it held exclusively; that is what keeps
 * the cached tag pages equal to what is on disk.  Nothing here syncs. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"

uint32_t home_block_bytes(const struct cfile *f, uint64_t b)
{
	uint64_t n = cfile_nblocks(f);

	return b + 1 == n && !f->s->p.pad ? blockmap_last_len(f->h.size) : BLOCK_SIZE;
}

static void note_end(struct cfile *f, uint64_t end)
{
	if (end > f->backing)
		f->backing = end;
}

/* A whole tag page into the cache. */
static int load_tag_page(struct cfile *f, uint64_t group, uint8_t *page)
{
	uint64_t off = blockmap_tag_page_off(group);
	ssize_t n = 0;

	if (off < f->backing)
		n = fd_pread_full(f->fd, page, BLOCK_SIZE, off);
	if (n < 0)
		return (int)n;
	memset(page + n, 0, BLOCK_SIZE - (size_t)n);
	tagcache_put(f->s->tags, f->uid, group, page);
	return 0;
}

int home_entries(struct cfile *f, uint64_t group, uint32_t first, uint32_t count, uint8_t *out)
{
	uint8_t page[BLOCK_SIZE];
	int r;

	if (group == 0) {
		memcpy(out, f->head_entries + first * ENTRY_SIZE, count * ENTRY_SIZE);
		return 0;
	}
	if (tagcache_get(f->s->tags, f->uid, group, first, count, out))
		return 0;
	r = load_tag_page(f, group, page);
	if (r == 0)
		memcpy(out, page + first * ENTRY_SIZE, count * ENTRY_SIZE);
	return r;
}

/* What is on disk has changed to 'entries'. */
static void cache_entries(struct cfile *f, uint64_t group, uint32_t first, uint32_t count,
			  const uint8_t *entries)
{
	if (group == 0)
		memcpy(f->head_entries + first * ENTRY_SIZE, entries, count * ENTRY_SIZE);
	else
		tagcache_update(f->s->tags, f->uid, group, first, count, entries);
}

/* A write of entries was cut short: what is on disk is known only to the disk. */
static void forget_entries(struct cfile *f, uint64_t group)
{
	if (group == 0) {
		ssize_t n = fd_pread_full(f->fd, f->head_entries, sizeof(f->head_entries),
					  HEAD_ENTRIES_AT);
		size_t have = n > 0 ? (size_t)n : 0;

		memset(f->head_entries + have, 0, sizeof(f->head_entries) - have);
	} else {
		tagcache_drop(f->s->tags, f->uid, group);
	}
}

/* Entries of one group. */
static int write_group_entries(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *entries)
{
	uint64_t group = blockmap_group(b), off = blockmap_entry_off(b);
	uint32_t first = blockmap_slot(b);
	int r;

	/* A tag page past the end is all zeros: knowing that now saves reading it later. */
	if (group > 0 && blockmap_tag_page_off(group) >= f->backing) {
		uint8_t zeros[BLOCK_SIZE] = { 0 };

		tagcache_put(f->s->tags, f->uid, group, zeros);
	}
	r = sio_pwrite(f->s->io, f->fd, entries, (size_t)count * ENTRY_SIZE, off);
	if (r < 0) {
		forget_entries(f, group);
		return r;
	}
	cache_entries(f, group, first, count, entries);
	note_end(f, off + (uint64_t)count * ENTRY_SIZE);
	return 0;
}

int home_write_entries(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *entries)
{
	while (count > 0) {
		uint32_t room = blockmap_group_len(blockmap_group(b)) - blockmap_slot(b);
		uint32_t n = MIN(count, room);
		int r = write_group_entries(f, b, n, entries);

		if (r < 0)
			return r;
		b += n;
		count -= n;
		entries += n * ENTRY_SIZE;
	}
	return 0;
}

void cfile_seal_head(struct cfile *f, uint8_t out[static HEAD_LEN])
{
	struct store *s = f->s;

	/* Exact in both directions: a file whose holes were filled is strict again. */
	if (f->h.mapped == cfile_nblocks(f))
		f->h.flags &= ~HEAD_SPARSE;
	else
		f->h.flags |= HEAD_SPARSE;
	f->h.epoch = s->epoch;
	f->h.keygen = s->p.keygen;
	f->head_size = f->h.size;
	f->head_mapped = f->h.mapped;
	head_seal(&f->h, f->key, s->p.head_key(s->p.key_ctx, s->p.keygen), s->p.vol_id, out);
}

int home_write_image(struct cfile *f, const uint8_t image[static HEAD_LEN])
{
	int r;

	if (f->backing >= BLOCK_SIZE) {
		r = sio_pwrite(f->s->io, f->fd, image, HEAD_LEN, 0);
	} else {
		uint8_t page[BLOCK_SIZE] = { 0 };

		memcpy(page, image, HEAD_LEN);
		memcpy(page + HEAD_ENTRIES_AT, f->head_entries, sizeof(f->head_entries));
		r = sio_pwrite(f->s->io, f->fd, page, BLOCK_SIZE, 0);
		if (r == 0)
			note_end(f, BLOCK_SIZE);
	}
	if (r == 0)
		f->head_home = true;
	return r;
}

/* What is written after the fact is no change of the file: its time stays as whoever set it last
 * wanted it (the kernel sends the times of writes, often before the log is brought home). */
void home_keep_time(struct cfile *f, struct timespec ret[static 2])
{
	struct stat st;

	ret[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	ret[1] = ret[0];
	if (fstat(f->fd, &st) == 0)
		ret[1] = st.st_mtim;
}

void home_put_time(struct cfile *f, const struct timespec kept[static 2])
{
	(void)futimens(f->fd, kept); /* a wrong time is no reason to fail a write that was good */
}

int home_write_head(struct cfile *f)
{
	struct timespec kept[2];
	uint8_t image[HEAD_LEN];
	int r;

	cfile_seal_head(f, image);
	home_keep_time(f, kept);
	r = home_write_image(f, image);
	home_put_time(f, kept);
	if (r == 0)
		f->head_dirty = false;
	return r;
}

/* Pieces of one pwritev: tag pages and data, contiguous at home. */
struct run {
	struct iovec iov[2 * CHUNK_GROUPS + 2];
	int n;
	uint64_t off, len;
	uint32_t lead;  /* blocks whose entries are not in it */
	uint32_t ntags; /* tag pages in it */
	bool with_head; /* page 0 with the header is the first */
};

static void run_add(struct run *r, const void *p, size_t len)
{
	struct iovec *last = r->n ? &r->iov[r->n - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == p)
		last->iov_len += len;
	else
		r->iov[r->n++] = (struct iovec){ (void *)p, len };
	r->len += len;
}

/* The page of entries that lies before block b, slot 0 of its group, with 'count' new ones. */
static int compose_tag_page(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *entries,
			    uint8_t *page)
{
	uint64_t group = blockmap_group(b);
	int r = 0;

	if (group == 0) {
		memset(page, 0, HEAD_ENTRIES_AT);
		cfile_seal_head(f, page);
		memcpy(page + HEAD_ENTRIES_AT, f->head_entries, sizeof(f->head_entries));
		memcpy(page + HEAD_ENTRIES_AT, entries, count * ENTRY_SIZE);
		return 0;
	}
	if (count < GROUP_BLOCKS)
		r = home_entries(f, group, 0, GROUP_BLOCKS, page);
	if (r == 0)
		memcpy(page, entries, count * ENTRY_SIZE);
	return r;
}

/* One pwritev was cut short: 'good' blocks have their data.  Put right the entries of the groups
 * whose tag page was written.  Such pages exist by then, so this needs no space; where the backing
 * copies on write it does, and then the log says that there is nothing. */
static void mend_entries(struct cfile *f, uint64_t b, uint32_t count, uint32_t lead, uint32_t good,
			 const uint8_t *entries, uint64_t done_end)
{
	for (uint32_t i = 0; i < count;) {
		uint64_t group = blockmap_group(b + i);
		uint32_t n = MIN(count - i, blockmap_group_len(group) - blockmap_slot(b + i));

		if (i < lead || blockmap_tag_page_off(group) < done_end) {
			uint32_t ok = good > i ? MIN(n, good - i) : 0;
			uint8_t work[GROUP_BLOCKS * ENTRY_SIZE] = { 0 };

			memcpy(work, entries + i * ENTRY_SIZE, (size_t)ok * ENTRY_SIZE);
			if (home_write_entries(f, b + i, n, work) < 0)
				(void)cfile_log_hole(f, b + i + ok, n - ok);
		}
		i += n;
	}
}

/* Blocks of b.. whose data ends at or before 'end'. */
static uint32_t blocks_before(uint64_t b, uint32_t count, uint64_t end)
{
	uint32_t n = 0;

	while (n < count && blockmap_data_off(b + n) + BLOCK_SIZE <= end)
		n++;
	return n;
}

/* Lay out blocks b.. for one pwritev. The entries of the first 'lead' blocks are not in it: their
 * group began before. */
static int compose_run(struct cfile *f, struct scratch *sc, uint64_t b, uint32_t count,
		       const uint8_t *data, const uint8_t *entries, struct run *run)
{
	bool with_head = b == 0 && !f->head_home && cfile_head_direct(f);
	int r = 0;

	*run = (struct run){ .off = blockmap_data_off(b) };
	for (uint32_t i = 0; i < count && r == 0;) {
		uint64_t group = blockmap_group(b + i);
		uint32_t slot = blockmap_slot(b + i);
		uint32_t n = MIN(count - i, blockmap_group_len(group) - slot);

		if (slot == 0 && (group > 0 || with_head)) {
			uint8_t *page = sc->tags[run->ntags++];

			r = compose_tag_page(f, b + i, n, entries + i * ENTRY_SIZE, page);
			if (i == 0)
				run->off -= BLOCK_SIZE;
			run_add(run, page, BLOCK_SIZE);
		} else {
			run->lead = n; /* only the first group can start inside */
		}
		for (uint32_t k = 0; k < n; k++)
			run_add(run, data + (size_t)(i + k) * BLOCK_SIZE,
				home_block_bytes(f, b + i + k));
		i += n;
	}
	run->with_head = with_head;
	return r;
}

/* The tag pages of the run are on disk. */
static void note_tags(struct cfile *f, struct scratch *sc, uint64_t b, uint32_t count,
		      const uint8_t *entries, const struct run *run)
{
	for (uint32_t i = run->lead, k = 0; i < count; k++) {
		uint64_t group = blockmap_group(b + i);
		uint32_t n = MIN(count - i, blockmap_group_len(group));

		if (group == 0)
			memcpy(f->head_entries, entries + i * ENTRY_SIZE, n * ENTRY_SIZE);
		else
			tagcache_put(f->s->tags, f->uid, group, sc->tags[k]);
		i += n;
	}
	if (run->with_head) {
		f->head_home = true;
		f->head_dirty = false;
	}
}

/* All are holes: whole groups go out in one pwritev, tag page and data together. */
static int write_hole_run(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *data,
			  const uint8_t *entries, uint32_t *ret_done)
{
	struct scratch *sc = cfile_scratch();
	struct run run;
	uint64_t done;
	int r;

	if (!sc)
		return -ENOMEM;
	r = compose_run(f, sc, b, count, data, entries, &run);
	/* First what may need a page of its own: a failure later only has to undo it. */
	if (r == 0 && run.lead) {
		r = home_write_entries(f, b, run.lead, entries);
		if (r < 0) /* some of them may be there */
			mend_entries(f, b, run.lead, run.lead, 0, entries, 0);
	}
	if (r < 0)
		return r;
	r = sio_pwritev(f->s->io, f->fd, run.iov, run.n, run.off, &done);
	if (done > 0)
		note_end(f, run.off + done);
	if (r < 0) {
		*ret_done = blocks_before(b, count, run.off + done);
		for (uint32_t k = 0; k < run.ntags; k++)
			forget_entries(f, blockmap_group(b + run.lead) + k);
		mend_entries(f, b, count, run.lead, *ret_done, entries, run.off + done);
		return r;
	}
	note_tags(f, sc, b, count, entries, &run);
	*ret_done = count;
	return 0;
}

/* Blocks that hold something: data first, then the entries that describe it, group by group.  When
 * the data is cut short, what was overwritten gets its new entries: nothing else opens it now. */
static int rewrite_run(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *data,
		       const uint8_t *entries, uint32_t *ret_done)
{
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0;) {
		uint64_t group = blockmap_group(b + i), off = blockmap_data_off(b + i), done;
		uint32_t n = MIN(count - i, blockmap_group_len(group) - blockmap_slot(b + i));
		struct iovec iov = {
			(void *)(data + (size_t)i * BLOCK_SIZE),
			(size_t)(n - 1) * BLOCK_SIZE + home_block_bytes(f, b + i + n - 1),
		};
		int w;

		r = sio_pwritev(f->s->io, f->fd, &iov, 1, off, &done);
		if (done)
			note_end(f, off + done);
		if (r < 0)
			n = (uint32_t)(done / BLOCK_SIZE);
		w = n ? home_write_entries(f, b + i, n, entries + (size_t)i * ENTRY_SIZE) : 0;
		if (w < 0)
			return w;
		i += n;
		*ret_done = i;
	}
	return r;
}

int home_write_run(struct cfile *f, uint64_t b, uint32_t count, const uint8_t *data,
		   const uint8_t *entries, bool holes, uint32_t *ret_done)
{
	*ret_done = 0;
	return holes ? write_hole_run(f, b, count, data, entries, ret_done)
		     : rewrite_run(f, b, count, data, entries, ret_done);
}

/* Give a range of the backing file back; the bytes read as zeros then. */
static int punch(struct cfile *f, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[BLOCK_SIZE];
	int r;

	if (off >= f->backing)
		return 0;
	len = MIN(len, f->backing - off);
	r = sio_fallocate(f->s->io, f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
	if (r != -EOPNOTSUPP && r != -ENOSYS)
		return r;
	/* Only what must be zero; the space stays taken. */
	for (r = 0; len > 0 && r == 0;) {
		size_t n = MIN(len, BLOCK_SIZE - off % BLOCK_SIZE);

		r = sio_pwrite(f->s->io, f->fd, zeros, n, off);
		off += n;
		len -= n;
	}
	return r;
}

/* Entries of a part of a group, then its data pages. */
static int zero_part(struct cfile *f, uint64_t b, uint32_t n)
{
	static const uint8_t zeros[GROUP_BLOCKS * ENTRY_SIZE];
	uint64_t off = blockmap_data_off(b);
	int r;

	if (blockmap_entry_off(b) >= f->backing)
		return 0;
	r = home_write_entries(f, b, n, zeros);
	if (r == 0 && off < f->backing)
		r = punch(f, off, (uint64_t)n * BLOCK_SIZE);
	return r;
}

int home_zero_entries(struct cfile *f, uint64_t start, uint64_t end)
{
	int r = 0;

	while (start < end && r == 0) {
		uint64_t group = blockmap_group(start), off = blockmap_tag_page_off(group);
		uint64_t left = blockmap_group_len(group) - blockmap_slot(start);
		uint64_t whole;

		if (off >= f->backing)
			break;
		if (group == 0 || blockmap_slot(start) != 0 || end - start < GROUP_BLOCKS) {
			uint32_t n = (uint32_t)MIN(left, end - start);

			r = zero_part(f, start, n);
			start += n;
			continue;
		}
		/* Whole groups: tag pages and data in one hole. */
		whole = MIN((end - start) / GROUP_BLOCKS,
			    (f->backing - off) / (65 * (uint64_t)BLOCK_SIZE) + 1);
		tagcache_drop_range(f->s->tags, f->uid, group, group + whole - 1);
		r = punch(f, off, whole * 65 * BLOCK_SIZE);
		start += whole * GROUP_BLOCKS;
	}
	return r;
}

int home_fit_size(struct cfile *f)
{
	uint64_t want = cfile_backing_want(f);
	uint64_t n = cfile_nblocks(f);
	struct timespec kept[2];
	int r;

	if (f->backing == want)
		return 0;
	home_keep_time(f, kept);
	r = sio_ftruncate(f->s->io, f->fd, want);
	home_put_time(f, kept);
	if (r < 0)
		return r;
	if (want < f->backing)
		tagcache_drop_range(f->s->tags, f->uid, n ? blockmap_group(n - 1) + 1 : 1,
				    UINT64_MAX);
	f->backing = want;
	return 0;
}
