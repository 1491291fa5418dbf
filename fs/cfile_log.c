/* A file and the log: gathering batches, applying them home, retiring the file.
 *
 * An open batch exists exactly when something of the file must still reach the log: data, holes, a
 * cut, or only the header.  Its header image is sealed when it closes, and then is true for all
 * that was written before.  Applying does not replay batches: the live map says what is newest, and
 * it is done only when every batch of the file is durable, so that it equals a replay of all. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fs/quota.h"

bool cfile_applied(const struct cfile *f)
{
	return !f->open && f->applied_seq >= f->last_seq;
}

/* The open batch, with room for one more record. */
static int open_batch(struct cfile *f, struct logbuf **ret)
{
	int r;

	if (f->open && f->open->b.nrec == BATCH_RECORDS) {
		r = cfile_log_close(f);
		if (r < 0)
			return r;
	}
	if (!f->open) {
		f->open = logbuf_new(f->s);
		if (!f->open)
			return -ENOMEM;
		memcpy(f->open->b.file_id, f->h.file_id, FILE_ID_LEN);
		log_gather(f->s, 1);
	}
	*ret = f->open;
	return 0;
}

int cfile_log_head(struct cfile *f)
{
	struct logbuf *b;

	f->head_dirty = true;
	return f->open ? 0 : open_batch(f, &b);
}

int cfile_log_data(struct cfile *f, uint64_t b, const uint8_t *entry, const uint8_t *data)
{
	struct live *l = livemap_find(&f->live, b);
	struct logbuf *buf;
	struct record *rec;
	uint32_t page;
	int r;

	if (l && l->seq == SEQ_OPEN) {
		/* Still in the batch that is being gathered: the newer version takes its place. */
		page = l->pos;
		for (rec = f->open->b.rec; rec->kind != RECORD_DATA || rec->block != b ||
					   memcmp(rec->entry, l->entry, ENTRY_SIZE) != 0;
		     rec++)
			;
	} else {
		r = open_batch(f, &buf);
		if (r < 0)
			return r;
		l = livemap_put(&f->live, b);
		if (!l)
			return -ENOMEM;
		page = ++buf->ndata;
		rec = &buf->b.rec[buf->b.nrec++];
		*rec = (struct record){ .block = b, .count = 1, .kind = RECORD_DATA };
		l->pos = page;
		log_gather(f->s, 1);
	}
	memcpy(rec->entry, entry, ENTRY_SIZE);
	memcpy(l->entry, entry, ENTRY_SIZE);
	memcpy(f->open->pages[page], data, BLOCK_SIZE);
	/* What is at home is not the newest now: fsync must not copy it over this. */
	ranges_remove(&f->fresh, b, b + 1);
	if (livemap_in_hole(&f->live, b))
		f->cut_logged++;
	return 0;
}

int cfile_log_hole(struct cfile *f, uint64_t b, uint64_t count)
{
	while (count > 0) {
		uint32_t n = (uint32_t)MIN(count, UINT64_C(1) << 30);
		struct logbuf *buf;
		int r = open_batch(f, &buf);

		if (r == 0)
			r = livemap_hole(&f->live, b, b + n);
		if (r < 0)
			return r;
		buf->b.rec[buf->b.nrec++] =
			(struct record){ .block = b, .count = n, .kind = RECORD_HOLE };
		ranges_remove(&f->fresh, b, b + n);
		b += n;
		count -= n;
	}
	return 0;
}

/* The caller closed the batch before it changed the size: a cut comes first in its batch. */
int cfile_log_cut(struct cfile *f, uint64_t cut)
{
	struct logbuf *buf;
	int r;

	r = open_batch(f, &buf);
	if (r == 0)
		r = livemap_hole(&f->live, cut, UINT64_MAX);
	if (r < 0)
		return r;
	buf->b.flags |= BATCH_CUT;
	buf->b.cut = cut;
	ranges_remove(&f->fresh, cut, UINT64_MAX);
	return 0;
}

/* The records of the batch are in the ring now. */
static void assign(struct cfile *f, const struct logbuf *b, uint64_t seq, uint32_t pos)
{
	for (uint32_t i = 0; i < b->b.nrec; i++) {
		struct live *l = b->b.rec[i].kind == RECORD_DATA
					 ? livemap_find(&f->live, b->b.rec[i].block)
					 : NULL;

		if (l && l->seq == SEQ_OPEN) {
			l->seq = seq;
			l->pos = (uint32_t)(((uint64_t)pos + l->pos) % f->s->log.ring);
		}
	}
	for (size_t i = 0; i < f->live.nholes; i++) {
		if (f->live.holes[i].seq == SEQ_OPEN)
			f->live.holes[i].seq = seq;
	}
}

int cfile_log_close(struct cfile *f)
{
	struct logbuf *b = f->open;
	uint64_t seq;
	uint32_t pos;
	int r;

	if (!b)
		return 0;
	cfile_seal_head(f, b->b.image);
	r = log_append(f->s, b, f->uid, &seq, &pos);
	if (r < 0)
		return r; /* the store has failed; what was gathered stays readable */
	memcpy(f->image, b->b.image, HEAD_LEN);
	f->open = NULL;
	f->head_dirty = false;
	assign(f, b, seq, pos);
	if (f->first_seq == 0)
		f->first_seq = seq;
	f->last_seq = seq;
	logbuf_free(f->s, b);
	return 0;
}

/* Nobody will read the file again: what was gathered need not even reach the log.  Once a batch of
 * the file is there, though, all go their way, because a crash may bring the name back. */
void cfile_log_discard(struct cfile *f)
{
	struct logbuf *b = NULL;

	pthread_rwlock_wrlock(&f->lock);
	if (f->first_seq == 0 && f->open) {
		b = f->open;
		f->open = NULL;
		livemap_clear(&f->live);
	}
	pthread_rwlock_unlock(&f->lock);
	if (!b)
		return;
	log_ungather(f->s, 1 + b->ndata);
	logbuf_free(f->s, b);
}

int cfile_read_log(struct cfile *f, const struct live *l, uint8_t *data)
{
	if (l->seq == SEQ_OPEN) {
		memcpy(data, f->open->pages[l->pos], BLOCK_SIZE);
		return 0;
	}
	return log_read_page(f->s, l->pos, data);
}

static int by_block(const void *a, const void *b)
{
	const struct live *x = *(const struct live *const *)a, *y = *(const struct live *const *)b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/* Write 'n' consecutive blocks of the log home. */
static int apply_run(struct cfile *f, struct live **v, uint32_t n, struct scratch *sc)
{
	uint32_t done;
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++) {
		r = cfile_read_log(f, v[i], sc->data + (size_t)i * BLOCK_SIZE);
		memcpy(sc->entries + (size_t)i * ENTRY_SIZE, v[i]->entry, ENTRY_SIZE);
	}
	if (r == 0)
		r = home_write_run(f, v[0]->block, n, sc->data, sc->entries, false, &done);
	return r;
}

static int apply_data(struct cfile *f)
{
	struct scratch *sc = cfile_scratch();
	autofree struct live **v = NULL;
	size_t n = 0;
	int r = 0;

	if (f->live.len == 0)
		return 0;
	v = malloc(f->live.len * sizeof(*v));
	if (!v || !sc)
		return -ENOMEM;
	for (size_t i = 0; i < f->live.cap; i++) {
		if (f->live.v[i].seq > f->applied_seq)
			v[n++] = &f->live.v[i];
	}
	qsort(v, n, sizeof(*v), by_block);
	for (size_t i = 0; i < n && r == 0;) {
		uint32_t run = 1;

		while (i + run < n && run < CHUNK_BLOCKS && v[i + run]->block == v[i]->block + run)
			run++;
		r = apply_run(f, v + i, run, sc);
		i += run;
	}
	return r;
}

/* The backing size exact.  A write that was cut short on a full disk leaves bytes past the end;
 * what is still to come home from the log brings its own size. */
int cfile_fit(struct cfile *f)
{
	return cfile_head_direct(f) || cfile_applied(f) ? home_fit_size(f) : 0;
}

int cfile_settle_home(struct cfile *f)
{
	int r = 0;

	if (cfile_head_direct(f) && (f->head_dirty || !f->head_home))
		r = home_write_head(f);
	return r < 0 ? r : cfile_fit(f);
}

/* Bring home everything that the log holds; every batch of the file is durable.  Not synced. */
int cfile_apply(struct cfile *f)
{
	struct timespec kept[2];
	int r = 0;

	if (cfile_applied(f))
		return 0;
	home_keep_time(f, kept);
	for (size_t i = 0; i < f->live.nholes && r == 0; i++) {
		if (f->live.holes[i].seq > f->applied_seq)
			r = home_zero_entries(f, f->live.holes[i].start, f->live.holes[i].end);
	}
	if (r == 0)
		r = apply_data(f);
	if (r == 0)
		r = home_write_image(f, f->image);
	if (r == 0)
		r = home_fit_size(f);
	home_put_time(f, kept);
	if (r == 0)
		f->applied_seq = f->last_seq;
	return r;
}

void cfile_log_dead(struct cfile *f, uint64_t s)
{
	log_mark_dead(f->s, f->uid, f->first_seq, s);
	livemap_forget(&f->live, s);
	if (f->last_seq < s)
		f->first_seq = 0;
	else if (f->first_seq && f->first_seq < s)
		f->first_seq = s;
}

/* Commit and apply with the lock held: nothing newer may slip in between. */
static int settle_log(struct cfile *f)
{
	int r;

	r = cfile_log_close(f);
	if (r == 0 && f->last_seq)
		r = log_sync(f->s, f->last_seq);
	if (r == 0)
		r = cfile_apply(f);
	return r;
}

/* The DEAD batch counts as one of the file: its next fsync makes it durable, too. */
static int append_dead(struct cfile *f, uint64_t cut)
{
	uint64_t seq;
	int r;

	if (!f->first_seq || f->first_seq >= cut)
		return 0;
	r = log_append_dead(f->s, f->h.file_id, f->image, f->uid, cut, &seq);
	if (r < 0)
		return r;
	cfile_log_dead(f, cut);
	if (f->applied_seq == f->last_seq)
		f->applied_seq = seq;
	f->last_seq = seq;
	return 0;
}

int cfile_retire(struct cfile *f)
{
	struct store *s = f->s;
	uint64_t cut = 0, size = 0;
	int r = 0;

	store_epoch_enter(s);
	pthread_rwlock_wrlock(&f->lock);
	if (store_failed(s))
		r = -EROFS;
	else if (f->first_seq || f->open)
		r = settle_log(f);
	if (r == 0 && f->first_seq) {
		cut = log_last_seq(s) + 1;
		size = f->h.size;
		f->cut_logged = 0;
		f->created = false;
		ranges_clear(&f->fresh);
		f->fresh_lost = false;
		f->home_syncs++;
	}
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	if (cut == 0)
		return r;
	r = sio_fdatasync(s->io, f->fd);
	if (r < 0)
		store_fail(s, r, "sync of a file");
	store_epoch_enter(s);
	pthread_rwlock_wrlock(&f->lock);
	f->home_syncs--;
	if (r == 0) {
		f->durable = true;
		f->h.synced = MIN(size, f->h.size);
		r = append_dead(f, cut);
	}
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	return r;
}

/* Who only read leaves nothing to write: that is no change. */
static bool is_settled(struct cfile *f)
{
	bool direct, settled;

	pthread_rwlock_rdlock(&f->lock);
	direct = cfile_head_direct(f);
	settled = !f->unsettled;
	if (direct)
		settled &= f->head_home && !f->head_dirty;
	if (direct || cfile_applied(f))
		settled &= f->backing == cfile_backing_want(f);
	pthread_rwlock_unlock(&f->lock);
	return settled;
}

/* What the last user leaves: the header home or on its way, the backing size exact. */
int cfile_settle(struct cfile *f)
{
	struct store *s = f->s;
	int r;

	if (is_settled(f))
		return store_failed(s) ? -EROFS : 0;
	r = store_begin_change_of(s, f->ino);
	if (r < 0)
		return r;
	store_epoch_enter(s);
	pthread_rwlock_wrlock(&f->lock);
	r = cfile_settle_home(f);
	f->unsettled = r < 0;
	pthread_rwlock_unlock(&f->lock);
	store_epoch_leave(s);
	store_end_change(s);
	return r;
}
