/* Reading an encrypted file.
 *
 * A run at home is one preadv: the data pages land in the caller's buffer and are opened there, the
 * tag pages between them land in the scratch.  A block of which the caller wants only a part goes
 * through a page of the scratch. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

enum where cfile_where(const struct cfile *f, uint64_t b, uint64_t *ret_until,
		       const struct live **ret_live)
{
	const struct live_hole *hole;
	const struct live *l;

	*ret_until = b + 1;
	*ret_live = NULL;
	if (cfile_applied(f)) {
		*ret_until = UINT64_MAX;
		return AT_HOME;
	}
	l = livemap_find(&f->live, b);
	if (l) {
		*ret_live = l;
		return l->seq > f->applied_seq ? IN_LOG : AT_HOME;
	}
	hole = livemap_in_hole(&f->live, b);
	if (hole && hole->seq > f->applied_seq)
		return IS_HOLE;
	return AT_HOME;
}

int cfile_is_mapped(struct cfile *f, uint64_t b)
{
	uint8_t entry[ENTRY_SIZE];
	const struct live *l;
	uint64_t until;
	int r;

	if (b >= cfile_nblocks(f))
		return 0;
	switch (cfile_where(f, b, &until, &l)) {
	case IN_LOG:
		return 1;
	case IS_HOLE:
		return 0;
	case AT_HOME:
		break;
	}
	if (!cfile_sparse(f))
		return 1;
	r = home_entries(f, blockmap_group(b), blockmap_slot(b), 1, entry);
	return r < 0 ? r : !entry_is_hole(entry);
}

/* Bytes of block b below the size. */
static uint32_t block_bytes(const struct cfile *f, uint64_t b)
{
	return b + 1 == cfile_nblocks(f) ? blockmap_last_len(f->h.size) : BLOCK_SIZE;
}

/* Open a block whose ciphertext is in 'data', which has room for 'room' bytes; the rest of them
 * becomes zeros. */
static int open_in_place(struct cfile *f, struct block_key *k, uint64_t b, const uint8_t *entry,
			 uint8_t *data, uint32_t room)
{
	struct block_ctx ctx = cfile_ctx(f);
	uint32_t len = entry_len(entry);

	if (entry_is_hole(entry)) {
		if (!cfile_sparse(f))
			return cfile_damage(f, b, "a block is missing");
		memset(data, 0, room);
		return 0;
	}
	if (len > room || entry_epoch(entry) > f->s->epoch ||
	    block_open(&ctx, k, b, entry, data) < 0) {
		memset(data, 0, room);
		return cfile_damage(f, b, "a block does not verify");
	}
	memset(data + len, 0, room - len);
	return 0;
}

static int read_logged(struct cfile *f, struct block_key *k, const struct live *l, uint8_t *out,
		       uint32_t room)
{
	uint8_t page[BLOCK_SIZE];
	int r = cfile_read_log(f, l, page);

	if (r == 0)
		r = open_in_place(f, k, l->block, l->entry, page, BLOCK_SIZE);
	if (r == 0)
		memcpy(out, page, room);
	sodium_memzero(page, sizeof(page));
	return r;
}

/* The caller's bytes [off, off+len) laid over blocks: where does each block's page go? */
struct dest {
	uint8_t *buf;
	uint64_t off, len;
	uint8_t *first, *last; /* pages for blocks of which a part is wanted */
};

/* Where to read block b: directly, when all of its bytes are wanted. */
static uint8_t *dest_of(const struct cfile *f, const struct dest *d, uint64_t b, uint32_t *ret_room)
{
	uint64_t at = b * BLOCK_SIZE;

	*ret_room = block_bytes(f, b);
	if (at >= d->off && at + *ret_room <= d->off + d->len)
		return d->buf + (at - d->off);
	*ret_room = BLOCK_SIZE;
	return at < d->off ? d->first : d->last;
}

/* A page of a partly wanted block is complete: copy the part. */
static void dest_deliver(const struct dest *d, uint64_t b, const uint8_t *page)
{
	uint64_t at = b * BLOCK_SIZE;
	uint64_t from = MAX(at, d->off), to = MIN(at + BLOCK_SIZE, d->off + d->len);

	if (page == d->first || page == d->last)
		memcpy(d->buf + (from - d->off), page + (from - at), to - from);
}

struct read_run {
	struct iovec iov[2 * CHUNK_GROUPS + 4];
	int n;
	size_t len;
};

static void add(struct read_run *r, void *p, size_t len)
{
	struct iovec *last = r->n ? &r->iov[r->n - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == p)
		last->iov_len += len;
	else
		r->iov[r->n++] = (struct iovec){ p, len };
	r->len += len;
}

static int preadv_full(int fd, struct iovec *iov, int n, uint64_t off)
{
	while (n > 0) {
		ssize_t got = preadv(fd, iov, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		off += (uint64_t)got;
		while (n > 0 && (size_t)got >= iov->iov_len) {
			got -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + got;
			iov->iov_len -= (size_t)got;
		}
	}
	/* Past the end: zeros, so that old bytes of the buffer are never taken for ciphertext. */
	for (; n > 0; iov++, n--)
		memset(iov->iov_base, 0, iov->iov_len);
	return 0;
}

/* Ciphertext of a run and all its entries. */
static int fetch_run(struct cfile *f, const struct dest *d, struct scratch *sc, uint64_t b,
		     uint32_t count)
{
	bool tag_first = b >= HEAD_BLOCKS && blockmap_slot(b) == 0;
	struct read_run run = { 0 };
	uint32_t tags = 0, room;
	uint64_t off;
	int r;

	for (uint32_t i = 0; i < count; i++) {
		if (blockmap_slot(b + i) == 0 && (i > 0 || tag_first))
			add(&run, sc->tags[tags++], BLOCK_SIZE);
		add(&run, dest_of(f, d, b + i, &room), BLOCK_SIZE);
		if (room < BLOCK_SIZE) { /* the last block of the file, read where it is wanted */
			run.iov[run.n - 1].iov_len -= BLOCK_SIZE - room;
			run.len -= BLOCK_SIZE - room;
		}
	}
	off = blockmap_data_off(b) - (tag_first ? BLOCK_SIZE : 0);
	r = cfile_read_direct(f, run.iov, run.n, run.len, off)
		    ? 0
		    : preadv_full(f->fd, run.iov, run.n, off);
	for (uint32_t i = 0, t = 0; i < count && r == 0;) {
		uint64_t group = blockmap_group(b + i);
		uint32_t slot = blockmap_slot(b + i);
		uint32_t n = MIN(count - i, blockmap_group_len(group) - slot);

		if (i == 0 && !tag_first) {
			r = home_entries(f, group, slot, n, sc->read_entries);
		} else {
			memcpy(sc->read_entries + i * ENTRY_SIZE, sc->tags[t], n * ENTRY_SIZE);
			/* Of use again only if the run ends inside. */
			if (n < GROUP_BLOCKS)
				tagcache_put(f->s->tags, f->uid, group, sc->tags[t]);
			t++;
		}
		i += n;
	}
	return r;
}

static int read_home_run(struct cfile *f, struct block_key *k, const struct dest *d, uint64_t b,
			 uint32_t count)
{
	struct scratch *sc = cfile_scratch();
	uint32_t room;
	int r;

	if (!sc)
		return -ENOMEM;
	r = fetch_run(f, d, sc, b, count);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		uint8_t *page = dest_of(f, d, b + i, &room);

		r = open_in_place(f, k, b + i, sc->read_entries + i * ENTRY_SIZE, page, room);
		if (r == 0)
			dest_deliver(d, b + i, page);
	}
	return r;
}

/* Blocks from b on that are at home, at most 'max'. */
static uint32_t home_stretch(const struct cfile *f, uint64_t b, uint32_t max)
{
	const struct live *l;
	uint64_t until = b;
	uint32_t n = 0;

	while (n < max && cfile_where(f, b + n, &until, &l) == AT_HOME) {
		if (until - b >= max)
			return max;
		n = (uint32_t)(until - b);
	}
	return n;
}

/* At most CHUNK_BLOCKS blocks, all below the size. */
static int read_chunk(struct cfile *f, struct block_key *k, const struct dest *d)
{
	uint64_t b = d->off / BLOCK_SIZE, end = (d->off + d->len - 1) / BLOCK_SIZE + 1;
	const struct live *l;
	uint64_t until;
	int r = 0;

	while (b < end && r == 0) {
		enum where w = cfile_where(f, b, &until, &l);
		uint32_t n = 1, room;
		uint8_t *page;

		if (w == AT_HOME) {
			n = home_stretch(f, b, (uint32_t)(end - b));
			r = read_home_run(f, k, d, b, n);
		} else {
			page = dest_of(f, d, b, &room);
			if (w == IN_LOG)
				r = read_logged(f, k, l, page, room);
			else
				memset(page, 0, room);
			if (r == 0)
				dest_deliver(d, b, page);
		}
		b += n;
	}
	return r;
}

int cfile_read_block(struct cfile *f, uint64_t b, uint8_t out[static BLOCK_SIZE])
{
	struct block_key k = { 0 };
	uint32_t len;
	int r;

	if (b >= cfile_nblocks(f)) {
		memset(out, 0, BLOCK_SIZE);
		return 0;
	}
	len = block_bytes(f, b);
	struct dest d = { out, b * BLOCK_SIZE, len, NULL, NULL };

	r = read_chunk(f, &k, &d);
	if (r == 0)
		memset(out + len, 0, BLOCK_SIZE - len);
	block_key_wipe(&k);
	return r;
}

ssize_t cfile_read(struct cfile *f, void *buf, size_t len, uint64_t off)
{
	uint8_t first[BLOCK_SIZE], last[BLOCK_SIZE];
	struct block_key k;
	size_t done = 0;
	int r = 0;

	k.valid = false;
	pthread_rwlock_rdlock(&f->lock);
	if (off >= f->h.size)
		len = 0;
	else
		len = MIN(len, f->h.size - off);
	while (done < len && r == 0) {
		uint64_t at = off + done;
		size_t n = MIN(len - done, CHUNK_BLOCKS * BLOCK_SIZE - at % BLOCK_SIZE);
		struct dest d = { (uint8_t *)buf + done, at, n, first, last };

		r = read_chunk(f, &k, &d);
		if (r == 0)
			done += n;
	}
	pthread_rwlock_unlock(&f->lock);
	if (k.valid)
		block_key_wipe(&k);
	return r < 0 && done == 0 ? r : (ssize_t)done;
}
