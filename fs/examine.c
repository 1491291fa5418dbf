#include "fs/examine.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "keys/kdf.h"

void findings_clear(struct findings *fi)
{
	ranges_clear(&fi->lost);
	ranges_clear(&fi->bad);
	ranges_clear(&fi->missing);
	ranges_clear(&fi->newer);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i])
			return false;
	}
	return true;
}

int examine_page0(int fd, uint8_t page[static BLOCK_SIZE])
{
	ssize_t n = fd_pread_full(fd, page, BLOCK_SIZE, 0);

	if (n < 0)
		return (int)n;
	memset(page + n, 0, BLOCK_SIZE - (size_t)n);
	return 0;
}

int examine_image(const struct store *s, const uint8_t *image, struct head *h, uint8_t *key)
{
	const uint8_t *hk = NULL;
	int r;

	if (head_has_magic(image))
		hk = s->p.head_key(s->p.key_ctx, head_clear_keygen(image));
	if (!hk)
		return -EBADMSG;
	r = head_open(image, hk, s->p.vol_id, h, key);
	if (r == 0)
		kdf_block_key(h->suite, key, key + 32);
	return r;
}

int examine_header(struct cfile *f, const uint8_t *page)
{
	return examine_image(f->s, page, &f->h, f->key);
}

bool examine_never_durable(uint32_t epoch, const uint8_t *page)
{
	uint32_t of = head_clear_epoch(page);

	return all_zero(page, HEAD_LEN) || of == 0 || of == epoch || of == epoch + 1;
}

/* Only an entry of the last epoch can be false by a crash. */
static bool in_doubt(const struct examine *x, const uint8_t *entry)
{
	uint32_t epoch = entry_epoch(entry);

	return x->crashed && (epoch == x->epoch || epoch == x->epoch + 1 ||
			      (epoch == 0 && !entry_is_hole(entry)));
}

static bool is_newer(const struct examine *x, const uint8_t *entry)
{
	return entry_epoch(entry) > x->epoch + (x->crashed ? 1 : 0);
}

static bool is_skipped(const struct examine *x, uint64_t b)
{
	uint64_t until;

	return x->skip && ranges_has(x->skip, b, &until);
}

static bool wanted(const struct examine *x, const uint8_t *entry)
{
	return x->all ? !entry_is_hole(entry) : in_doubt(x, entry);
}

/* The set to which a block belongs that is not as it should be; NULL: it is good, or a hole that
 * may be one, or not looked at. */
static struct ranges *judge(const struct examine *x, struct cfile *f, struct block_key *k,
			    uint64_t b, const uint8_t *entry, const uint8_t *data,
			    struct findings *fi)
{
	struct block_ctx ctx = cfile_ctx(f);
	bool doubt = in_doubt(x, entry);

	if (is_skipped(x, b))
		return NULL;
	if (entry_is_hole(entry)) {
		if (f->h.flags & HEAD_SPARSE)
			return NULL;
		return x->crashed ? &fi->lost : &fi->missing;
	}
	if (x->all && is_newer(x, entry))
		return &fi->newer;
	if (!wanted(x, entry) || block_verify(&ctx, k, b, entry, data) == 0)
		return NULL;
	return doubt ? &fi->lost : &fi->bad;
}

/* The blocks of [b, b + n), all of one group. */
static int look_at_group(const struct examine *x, struct cfile *f, struct block_key *k, uint64_t b,
			 uint32_t n, struct findings *fi)
{
	struct scratch *sc = cfile_scratch();
	uint8_t entries[GROUP_BLOCKS * ENTRY_SIZE];
	bool data = false;
	ssize_t got = 0;
	int r;

	if (!sc)
		return -ENOMEM;
	r = home_entries(f, blockmap_group(b), blockmap_slot(b), n, entries);
	for (uint32_t i = 0; i < n && r == 0; i++)
		data |= wanted(x, entries + i * ENTRY_SIZE);
	if (r == 0 && data)
		got = fd_pread_full(f->fd, sc->data, (size_t)n * BLOCK_SIZE, blockmap_data_off(b));
	if (r < 0 || got < 0)
		return r < 0 ? r : (int)got;
	memset(sc->data + got, 0, data ? (size_t)n * BLOCK_SIZE - (size_t)got : 0);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		const uint8_t *e = entries + i * ENTRY_SIZE;
		struct ranges *set =
			judge(x, f, k, b + i, e, sc->data + (size_t)i * BLOCK_SIZE, fi);

		if (set)
			r = ranges_add(set, b + i, b + i + 1);
		if (set == &fi->lost || set == &fi->missing)
			continue;
		if (!entry_is_hole(e) || is_skipped(x, b + i)) {
			fi->mapped++;
			fi->good_end = (b + i) * BLOCK_SIZE + entry_len(e);
		}
	}
	return r;
}

/* The first group from 'group' on whose pages the backing file holds anything of: the rest of a
 * file that is sparse on both sides need not be read to know that it is zeros. */
static uint64_t next_group(const struct cfile *f, uint64_t group)
{
	uint64_t off = blockmap_tag_page_off(group), page;
	off_t data;

	if (group == 0 || !(f->h.flags & HEAD_SPARSE))
		return group;
	if (off >= f->backing)
		return UINT64_MAX;
	data = lseek(f->fd, (off_t)off, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? UINT64_MAX : group;
	page = ((uint64_t)data - off) / BLOCK_SIZE;
	return group + page / (1 + GROUP_BLOCKS);
}

int examine_blocks(const struct examine *x, struct cfile *f, struct findings *fi)
{
	uint64_t n = cfile_nblocks(f), b = 0;
	struct block_key k = { 0 };
	int r = 0;

	while (b < n && r == 0) {
		uint64_t group = next_group(f, blockmap_group(b));
		uint32_t len;

		/* Nothing was ever written there, nor can be lost. */
		if (group == UINT64_MAX || blockmap_group_first(group) >= n)
			break;
		b = blockmap_group_first(group);
		len = (uint32_t)MIN(n - b, (uint64_t)blockmap_group_len(group));
		r = look_at_group(x, f, &k, b, len, fi);
		b += len;
		if (x->progress)
			x->progress(x->ctx, blockmap_data_off(b - 1) + BLOCK_SIZE);
	}
	block_key_wipe(&k);
	return r;
}

int examine_end(struct cfile *f, uint64_t size, struct findings *fi)
{
	uint64_t n = blockmap_count(size), first = n ? n - 1 : 0;
	uint8_t entries[GROUP_BLOCKS * ENTRY_SIZE];
	uint64_t group = blockmap_group(first);
	uint32_t slot = blockmap_slot(first), len = blockmap_group_len(group) - slot;
	int r = home_entries(f, group, slot, len, entries);

	if (r < 0)
		return r;
	if (n) {
		fi->too_long =
			entry_len(entries) > blockmap_last_len(size) && !entry_is_hole(entries);
		fi->past = !all_zero(entries + ENTRY_SIZE, (len - 1) * ENTRY_SIZE);
	} else {
		fi->past = !all_zero(entries, len * ENTRY_SIZE);
	}
	return 0;
}
