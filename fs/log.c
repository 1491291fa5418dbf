#include "fs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "fs/cfile_priv.h"

#define POOL_MAX 8u

static uint64_t page_off(uint32_t pos)
{
	return (uint64_t)LOG_PAGE * (LOG_RING_AT + (uint64_t)pos);
}

static const uint8_t *log_key(const struct store_params *p, uint32_t keygen)
{
	return p->log_key(p->key_ctx, keygen);
}

static const struct store_io *io_of(const struct store_params *p)
{
	return p->io ? p->io : &store_io_system;
}

/* Not synced. */
static int put_slot(const struct store_params *p, int fd, int slot, struct state *st,
		    const struct mark_record *marks)
{
	uint8_t page[LOG_PAGE];

	st->keygen = p->keygen;
	state_seal(st, log_key(p, p->keygen), p->vol_id, page);
	if (marks)
		mark_record_seal(marks, log_key(p, p->keygen), p->vol_id, page);
	return sio_pwrite(io_of(p), fd, page, LOG_PAGE, (uint64_t)slot * LOG_PAGE);
}

static int write_slot(const struct store_params *p, int fd, int slot, struct state *st,
		      const struct mark_record *marks)
{
	int r = put_slot(p, fd, slot, st, marks);

	return r < 0 ? r : sio_fdatasync(io_of(p), fd);
}

/* Every page of the ring, and of the tables after it, exists before it is needed: a full disk must
 * not stop the log. */
static int fill(const struct store_params *p, int fd, uint32_t ring)
{
	static const uint8_t zeros[64 * LOG_PAGE];
	uint64_t len = page_off(ring + 2 * MARK_TABLE_PAGES);
	int r = sio_fallocate(io_of(p), fd, 0, 0, len);

	if (r != -EOPNOTSUPP && r != -ENOSYS)
		return r;
	r = 0;
	for (uint64_t at = 0; at < len && r == 0; at += sizeof(zeros))
		r = sio_pwrite(io_of(p), fd, zeros, MIN(sizeof(zeros), len - at), at);
	return r;
}

int log_create(int dirfd, const struct store_params *p, uint32_t ring, struct err *err)
{
	struct state st = {
		.conf_counter = p->conf_counter, .epoch = 1, .clean = 1, .ring = ring, .tail_seq = 1
	};
	struct mark_record marks;
	autoclose int fd = -1;
	bool marked = false;
	int r;

	if (ring < RING_MIN || ring > RING_MAX)
		return err_set(err, -EINVAL, "a log of %u pages is not possible: take %u to %u.",
			       ring, RING_MIN, RING_MAX);
	fd = openat(dirfd, "log", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, -errno, "create the log of the store");
	r = fill(p, fd, ring);
	if (r == 0)
		marked = marks_create(p, dirfd, fd, ring, &marks);
	for (int slot = 0; slot < 2 && r == 0; slot++) {
		st.counter++;
		r = write_slot(p, fd, slot, &st, marked ? &marks : NULL);
	}
	if (r == 0)
		r = sio_fsync(io_of(p), fd);
	return r < 0 ? err_set(err, r, "write the log of the store") : 0;
}

static bool read_slot(struct store *s, int slot, struct state *ret, uint8_t page[static LOG_PAGE],
		      const uint8_t **ret_key)
{
	const uint8_t *key;
	uint32_t keygen;

	if (fd_pread_full(s->log_fd, page, LOG_PAGE, (uint64_t)slot * LOG_PAGE) != LOG_PAGE ||
	    !state_peek(page, &keygen))
		return false;
	key = *ret_key = log_key(&s->p, keygen);
	return key && state_open(page, key, s->p.vol_id, ret) == 0;
}

void log_check_slots(struct store *s, bool ret_ok[static 2])
{
	uint8_t page[LOG_PAGE];
	const uint8_t *key;
	struct state st;

	for (int i = 0; i < 2; i++)
		ret_ok[i] = read_slot(s, i, &st, page, &key);
}

int log_open(struct store *s, struct err *err)
{
	struct log *l = &s->log;
	uint8_t page[2][LOG_PAGE];
	const uint8_t *key[2];
	struct state st[2];
	bool ok[2];
	struct stat sb;

	for (int i = 0; i < 2; i++)
		ok[i] = read_slot(s, i, &st[i], page[i], &key[i]);
	if (!ok[0] && !ok[1])
		return err_set(err, -EBADMSG,
			       "the state of the store does not verify: store/log is damaged or "
			       "belongs to another workspace.");
	l->slot = ok[1] && (!ok[0] || st[1].counter > st[0].counter);
	l->st = st[l->slot];
	l->twice_clean = ok[0] && ok[1] && st[0].clean && st[1].clean;
	if (fstat(s->log_fd, &sb) < 0)
		return err_set(err, -errno, "stat store/log");
	if ((uint64_t)sb.st_size < page_off(l->st.ring))
		return err_set(err, -EBADMSG, "store/log is shorter than its state says.");
	/* The config is written before the state: ahead is a crash in between, behind is not. */
	if (s->p.conf_counter < l->st.conf_counter)
		return err_set(err, -EBADMSG,
			       "keys/config is older than store/log: it was put back from a copy.");
	l->ring = l->st.ring;
	l->slack = MAX(l->ring / 32, 4u);
	l->head = l->st.tail;
	l->next_seq = l->st.tail_seq;
	l->durable_seq = l->next_seq - 1;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->cond, NULL);
	marks_load(s, page[l->slot], key[l->slot]);
	return 0;
}

void log_destroy(struct store *s)
{
	while (s->log.pool) {
		struct logbuf *b = s->log.pool;

		s->log.pool = b->next;
		free(b);
	}
	free(s->log.q);
	s->log.q = NULL;
}

int log_try_state(struct store *s, struct state *st)
{
	struct log *l = &s->log;
	struct mark_record marks;
	int slot = 1 - l->slot, r;

	st->counter = l->st.counter + 1;
	st->conf_counter = s->p.conf_counter;
	r = put_slot(&s->p, s->log_fd, slot, st, marks_record(s, &marks));
	if (cfile_no_room(r))
		return r; /* the other slot holds, and this one is the next to be written again */
	if (r == 0)
		r = sio_fdatasync(s->io, s->log_fd);
	if (r < 0)
		return store_fail(s, r, "sync of the state page");
	pthread_mutex_lock(&l->lock);
	l->st = *st;
	l->slot = (uint8_t)slot;
	pthread_mutex_unlock(&l->lock);
	return 0;
}

int log_write_state(struct store *s, struct state *st)
{
	int r = log_try_state(s, st);

	return cfile_no_room(r) ? store_fail(s, r, "write of the state page") : r;
}

int log_copy_state(struct store *s)
{
	struct state st = s->log.st;
	struct mark_record marks;
	int r = put_slot(&s->p, s->log_fd, 1 - s->log.slot, &st, marks_record(s, &marks));

	return r < 0 ? store_fail(s, r, "write of the state page") : 0;
}

uint32_t log_chunk_blocks(const struct store *s)
{
	return MIN(256u, (s->log.ring - s->log.slack) / 4);
}

int log_reserve(struct store *s, uint64_t ino, uint32_t pages)
{
	struct log *l = &s->log;
	int r = store_begin_change_of(s, ino);
	uint64_t seen;

	if (r < 0)
		return r;
	pthread_mutex_lock(&l->lock);
	seen = l->begun;
	while (l->used + l->gathered + l->reserved + pages > l->ring - l->slack) {
		atomic_store(&s->changed, true);
		store_bg_kick(s, BG_RECLAIM);
		pthread_cond_wait(&l->cond, &l->lock);
		/* Only an attempt that began after we did says whether there is room. */
		r = atomic_load(&s->failed) ? -EROFS : l->ended > seen ? l->stuck : 0;
		if (r < 0)
			break;
	}
	if (r == 0)
		l->reserved += pages;
	pthread_mutex_unlock(&l->lock);
	if (r < 0)
		store_end_change(s);
	return r;
}

void log_unreserve(struct store *s, uint32_t pages)
{
	pthread_mutex_lock(&s->log.lock);
	s->log.reserved -= pages;
	pthread_cond_broadcast(&s->log.cond);
	pthread_mutex_unlock(&s->log.lock);
	store_end_change(s);
}

void log_gather(struct store *s, uint32_t pages)
{
	pthread_mutex_lock(&s->log.lock);
	s->log.gathered += pages;
	pthread_mutex_unlock(&s->log.lock);
}

void log_ungather(struct store *s, uint32_t pages)
{
	pthread_mutex_lock(&s->log.lock);
	s->log.gathered -= pages;
	pthread_cond_broadcast(&s->log.cond);
	pthread_mutex_unlock(&s->log.lock);
}

struct logbuf *logbuf_new(struct store *s)
{
	struct log *l = &s->log;
	struct logbuf *b;

	pthread_mutex_lock(&l->lock);
	b = l->pool;
	if (b) {
		l->pool = b->next;
		l->npool--;
	}
	pthread_mutex_unlock(&l->lock);
	if (!b)
		b = malloc(sizeof(*b));
	if (b) {
		memset(&b->b, 0, sizeof(b->b));
		b->ndata = 0;
		b->next = NULL;
	}
	return b;
}

void logbuf_free(struct store *s, struct logbuf *b)
{
	struct log *l = &s->log;

	pthread_mutex_lock(&l->lock);
	if (l->npool < POOL_MAX) {
		b->next = l->pool;
		l->pool = b;
		l->npool++;
		b = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	free(b);
}

static struct batch_ref *ref_at(struct log *l, uint32_t i)
{
	return &l->q[(l->qfirst + i) % l->qcap];
}

static int ref_room(struct log *l)
{
	uint32_t cap = l->qcap ? l->qcap * 2 : 256;
	struct batch_ref *q;

	if (l->qlen < l->qcap)
		return 0;
	q = malloc(cap * sizeof(*q));
	if (!q)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->qlen; i++)
		q[i] = *ref_at(l, i);
	free(l->q);
	l->q = q;
	l->qcap = cap;
	l->qfirst = 0;
	return 0;
}

/* Pages at 'pos' of the ring, around its end if need be. */
static int write_ring(struct store *s, uint32_t pos, const uint8_t *pages, uint32_t n)
{
	uint32_t first = MIN(n, s->log.ring - pos);
	int r = sio_pwrite(s->io, s->log_fd, pages, (size_t)first * LOG_PAGE, page_off(pos));

	if (r == 0 && n > first)
		r = sio_pwrite(s->io, s->log_fd, pages + (size_t)first * LOG_PAGE,
			       (size_t)(n - first) * LOG_PAGE, page_off(0));
	return r;
}

/* Under l->lock. */
static int append_locked(struct store *s, struct batch *b, uint8_t *pages, uint64_t file, bool dead,
			 uint64_t *ret_seq, uint32_t *ret_pos)
{
	struct log *l = &s->log;
	uint32_t n = batch_pages(b);
	int r;

	if (l->used + n > l->ring)
		return -EAGAIN;
	r = ref_room(l);
	if (r < 0)
		return r;
	b->seq = l->next_seq;
	b->keygen = s->p.keygen;
	batch_seal(b, log_key(&s->p, b->keygen), s->p.vol_id, pages);
	r = write_ring(s, l->head, pages, n);
	if (r < 0)
		return store_fail(s, r, "write to the log");
	*ret_seq = l->next_seq++;
	*ret_pos = l->head;
	*ref_at(l, l->qlen++) = (struct batch_ref){ file, n, dead };
	l->head = (l->head + n) % l->ring;
	l->used += n;
	l->unapplied += n;
	return 0;
}

int log_append(struct store *s, struct logbuf *b, uint64_t file, uint64_t *ret_seq,
	       uint32_t *ret_pos)
{
	struct log *l = &s->log;
	unsigned want = 0;
	int r;

	if (store_failed(s))
		return -EROFS;
	pthread_mutex_lock(&l->lock);
	r = append_locked(s, &b->b, b->pages[0], file, false, ret_seq, ret_pos);
	if (r == 0) {
		l->gathered -= 1 + b->ndata;
		if (l->unapplied > l->ring / 4)
			want |= BG_COMMIT;
		if (l->used > l->ring / 2)
			want |= BG_RECLAIM;
	}
	pthread_mutex_unlock(&l->lock);
	if (want)
		store_bg_kick(s, want);
	return r == -EAGAIN ? -ENOSPC : r;
}

int log_append_dead(struct store *s, const uint8_t file_id[static FILE_ID_LEN],
		    const uint8_t image[static HEAD_LEN], uint64_t file, uint64_t cut,
		    uint64_t *ret_seq)
{
	struct batch b = { .flags = BATCH_DEAD, .cut = cut };
	uint8_t page[LOG_PAGE];
	uint32_t pos;
	int r;

	if (store_failed(s))
		return -EROFS;
	memcpy(b.file_id, file_id, FILE_ID_LEN);
	memcpy(b.image, image, HEAD_LEN);
	pthread_mutex_lock(&s->log.lock);
	/* Never at the cost of a page that somebody was promised. */
	if (s->log.used + s->log.gathered + 1 > s->log.ring)
		r = -EAGAIN;
	else
		r = append_locked(s, &b, page, file, true, ret_seq, &pos);
	pthread_mutex_unlock(&s->log.lock);
	return r;
}

int log_sync(struct store *s, uint64_t seq)
{
	struct log *l = &s->log;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	while (l->durable_seq < seq && r == 0) {
		uint64_t upto;

		if (atomic_load(&s->failed)) {
			r = -EIO;
			break;
		}
		if (l->syncing) {
			pthread_cond_wait(&l->cond, &l->lock);
			continue;
		}
		/* One of the waiters syncs for all that was appended by now. */
		l->syncing = true;
		upto = l->next_seq - 1;
		pthread_mutex_unlock(&l->lock);
		r = sio_fdatasync(s->io, s->log_fd);
		if (r < 0)
			store_fail(s, r, "sync of the log");
		pthread_mutex_lock(&l->lock);
		l->syncing = false;
		if (r == 0 && upto > l->durable_seq)
			l->durable_seq = upto;
		pthread_cond_broadcast(&l->cond);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

uint64_t log_last_seq(struct store *s)
{
	uint64_t seq;

	pthread_mutex_lock(&s->log.lock);
	seq = s->log.next_seq - 1;
	pthread_mutex_unlock(&s->log.lock);
	return seq;
}

void log_mark_dead(struct store *s, uint64_t file, uint64_t from, uint64_t before)
{
	struct log *l = &s->log;
	uint64_t first;

	pthread_mutex_lock(&l->lock);
	first = l->next_seq - l->qlen;
	for (uint64_t q = MAX(from, first); q < before && q < l->next_seq; q++) {
		struct batch_ref *ref = ref_at(l, (uint32_t)(q - first));

		if (ref->file == file)
			ref->dead = true;
	}
	pthread_mutex_unlock(&l->lock);
}

int log_reclaim(struct store *s)
{
	struct log *l = &s->log;
	uint32_t pages = 0, k = 0;
	struct state st;
	int r;

	pthread_mutex_lock(&l->lock);
	for (; k < l->qlen && ref_at(l, k)->dead; k++)
		pages += ref_at(l, k)->pages;
	st = l->st;
	st.tail = (l->head + l->ring - l->used % l->ring + pages) % l->ring;
	st.tail_seq = l->next_seq - l->qlen + k;
	pthread_mutex_unlock(&l->lock);
	if (k == 0)
		return 0;
	r = log_write_state(s, &st);
	if (r < 0)
		return r;
	pthread_mutex_lock(&l->lock);
	l->qfirst = (l->qfirst + k) % l->qcap;
	l->qlen -= k;
	l->used -= pages;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

int log_read_page(struct store *s, uint32_t pos, uint8_t *out)
{
	ssize_t n = fd_pread_full(s->log_fd, out, LOG_PAGE, page_off(pos));

	if (n < 0)
		return (int)n;
	return n == LOG_PAGE ? 0 : -EIO;
}
