/* Recovery, steps 1 and 2: which batches of the log are valid, and bringing them home. */
#include "fs/recover.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/examine.h"
#include "keys/secret.h"

/* The descriptor at 'pos', if it is the batch 'seq'. */
static int read_batch(struct store *s, uint32_t pos, uint64_t seq, struct batch *b)
{
	uint8_t page[LOG_PAGE];
	const uint8_t *key;
	uint64_t have;
	uint32_t keygen;
	int r;

	r = log_read_page(s, pos, page);
	if (r < 0)
		return r;
	if (!batch_peek(page, &have, &keygen) || have != seq)
		return -EBADMSG;
	key = s->p.log_key(s->p.key_ctx, keygen);
	return key ? batch_open(page, key, s->p.vol_id, b) : -EBADMSG;
}

/* Every data page verifies under the key in the batch's own header image. */
static int check_pages(struct store *s, const struct batch *b, uint32_t pos, uint8_t *key)
{
	uint8_t page[LOG_PAGE];
	struct block_key bk = { 0 };
	struct block_ctx ctx;
	struct head h;
	int r;

	r = examine_image(s, b->image, &h, key);
	if (r == 0 && memcmp(h.file_id, b->file_id, FILE_ID_LEN) != 0)
		r = -EBADMSG;
	ctx = (struct block_ctx){ h.suite, key + 32, b->file_id };
	for (uint32_t i = 0; i < b->nrec && r == 0; i++) {
		if (b->rec[i].kind != RECORD_DATA)
			continue;
		pos = (pos + 1) % s->log.ring;
		r = log_read_page(s, pos, page);
		if (r == 0)
			r = block_verify(&ctx, &bk, b->rec[i].block, b->rec[i].entry, page);
	}
	block_key_wipe(&bk);
	return r;
}

static int remember(struct recovery *rc, const struct batch *b, uint32_t pos)
{
	if (rc->n == rc->cap) {
		size_t cap = rc->cap ? rc->cap * 2 : 64;
		struct found *v = realloc(rc->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		rc->v = v;
		rc->cap = cap;
	}
	rc->v[rc->n] = (struct found){ .seq = b->seq, .pos = pos };
	memcpy(rc->v[rc->n].file_id, b->file_id, FILE_ID_LEN);
	rc->n++;
	return 0;
}

static int by_file(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int c = memcmp(x->file_id, y->file_id, FILE_ID_LEN);

	return c ? c : x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* A DEAD batch: earlier ones of its file are home, and replaying them would undo later writes. */
static void drop_dead(struct recovery *rc, const struct batch *b)
{
	for (size_t i = 0; i < rc->n; i++) {
		if (rc->v[i].seq < b->cut && memcmp(rc->v[i].file_id, b->file_id, FILE_ID_LEN) == 0)
			rc->v[i].dead = true;
	}
}

/* The log ends at the first batch that is not valid. */
int recover_read_log(struct recovery *rc)
{
	struct store *s = rc->s;
	autofree struct batch *b = malloc(sizeof(*b));
	uint64_t seq = s->log.st.tail_seq;
	uint32_t pos = s->log.st.tail, n = 0;
	uint8_t *key;
	int r;

	if (!b || secret_slot_new(&key) < 0)
		return -ENOMEM;
	for (;; seq++) {
		r = read_batch(s, pos, seq, b);
		if (r == 0) {
			n = batch_pages(b);
			r = rc->used + n > s->log.ring ? -EBADMSG : check_pages(s, b, pos, key);
		}
		if (r < 0)
			break;
		if (b->flags & BATCH_DEAD)
			drop_dead(rc, b);
		else
			r = remember(rc, b, pos);
		if (r < 0)
			break;
		pos = (pos + n) % s->log.ring;
		rc->used += n;
		rc->data_pages += n - 1;
		rc->last_seq = seq;
	}
	secret_slot_free(key);
	if (rc->n)
		qsort(rc->v, rc->n, sizeof(*rc->v), by_file);
	return r == -EBADMSG || r == -EOPNOTSUPP ? 0 : r;
}

static int apply_record(struct cfile *f, const struct record *rec, uint32_t *pos)
{
	uint8_t page[LOG_PAGE];
	uint32_t done;
	int r;

	if (rec->kind == RECORD_HOLE)
		return home_zero_entries(f, rec->block, rec->block + rec->count);
	*pos = (*pos + 1) % f->s->log.ring;
	r = log_read_page(f->s, *pos, page);
	if (r == 0)
		r = home_write_run(f, rec->block, 1, page, rec->entry, false, &done);
	return r;
}

static int apply_batch(struct cfile *f, struct found *at, struct batch *b, void *arg)
{
	uint32_t pos = at->pos;
	int r;

	at->met = true;
	r = read_batch(f->s, at->pos, at->seq, b);
	if (r == 0)
		r = examine_image(f->s, b->image, &f->h, f->key);
	if (r == 0 && (b->flags & BATCH_CUT))
		r = home_zero_entries(f, b->cut, BLOCK_LIMIT);
	for (uint32_t i = 0; i < b->nrec && r == 0; i++)
		r = apply_record(f, &b->rec[i], &pos);
	if (r == 0)
		r = home_write_image(f, b->image);
	return r;
}

/* The first batch of this file, or where it would be. */
static size_t first_of(const struct recovery *rc, const uint8_t file_id[static FILE_ID_LEN])
{
	size_t lo = 0, hi = rc->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (memcmp(rc->v[mid].file_id, file_id, FILE_ID_LEN) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

typedef int (*batch_fn)(struct cfile *f, struct found *at, struct batch *b, void *arg);

/* For each batch of the file that is not dead, in order. Returns 1 when there were any. */
static int for_batches(const struct recovery *rc, struct cfile *f, batch_fn fn, void *arg)
{
	uint8_t id[FILE_ID_LEN];
	autofree struct batch *b = NULL;
	int r = 0, any = 0;

	memcpy(id, f->h.file_id, FILE_ID_LEN);
	for (size_t i = first_of(rc, id); i < rc->n && r == 0; i++) {
		if (memcmp(rc->v[i].file_id, id, FILE_ID_LEN) != 0)
			break;
		if (rc->v[i].dead)
			continue;
		if (!b)
			b = malloc(sizeof(*b));
		r = b ? fn(f, &rc->v[i], b, arg) : -ENOMEM;
		any = 1;
	}
	return r < 0 ? r : any;
}

int recover_apply(struct recovery *rc, struct cfile *f)
{
	return for_batches(rc, f, apply_batch, NULL);
}

static int overlay_batch(struct cfile *f, struct found *at, struct batch *b, void *arg)
{
	struct ranges *covered = arg;
	int r;

	r = read_batch(f->s, at->pos, at->seq, b);
	if (r == 0)
		r = examine_image(f->s, b->image, &f->h, f->key);
	if (r == 0 && (b->flags & BATCH_CUT))
		r = ranges_add(covered, b->cut, BLOCK_LIMIT);
	for (uint32_t i = 0; i < b->nrec && r == 0; i++)
		r = ranges_add(covered, b->rec[i].block, b->rec[i].block + b->rec[i].count);
	return r;
}

int recover_overlay(const struct recovery *rc, struct cfile *f, struct ranges *covered)
{
	return for_batches(rc, f, overlay_batch, covered);
}
