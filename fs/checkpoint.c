/* The background of a store: the timer that commits, the reclaiming of log pages, the checkpoint.
 *
 * A checkpoint makes everything durable at home, after which the log is empty and a new epoch
 * begins.  An entry that carries an older epoch than the current one is taken for durable, so
 * nothing may be sealed with the old epoch and still be on its way when the new one begins: the
 * last phase holds the epoch lock exclusively.  A first phase without it does most of the work. */
#include "fs/cfile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "fs/quota.h"

#define COMMIT_MS 5000u
/* After a checkpoint to which no change came so long, what is left to be clean is only the state.
 */
#define CLEAN_MS 5000u
/* More files than this are cheaper synced by one syncfs(2). */
#define RETIRE_MAX 8u

/* Close the batch, or write the direct header, so that a crash finds the size of now. */
static int commit_one(struct cfile *f)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->lock);
	if (f->open)
		r = cfile_log_close(f);
	else if ((f->head_dirty || f->unsettled) && cfile_head_direct(f))
		r = home_write_head(f);
	if (r == 0 && f->unsettled)
		r = cfile_fit(f);
	if (r == 0)
		f->unsettled = false;
	pthread_rwlock_unlock(&f->lock);
	return r;
}

static int apply_one(struct cfile *f, uint64_t durable)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->lock);
	/* Written to since: its turn comes with the next commit. */
	if (!f->open && f->last_seq <= durable)
		r = cfile_apply(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

static void keep_first(int *r, int now)
{
	if (*r == 0)
		*r = now;
}

/* Everything of 'v' durable in the log and, with 'apply', brought home. Goes on after an error. */
static int commit_these(struct store *s, struct cfile **v, size_t n, bool locked, bool apply)
{
	uint64_t upto;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (!locked)
			store_epoch_enter(s);
		keep_first(&r, commit_one(v[i]));
		if (!locked)
			store_epoch_leave(s);
	}
	upto = log_last_seq(s);
	if (!store_failed(s))
		keep_first(&r, log_sync(s, upto));
	if (!apply || store_failed(s))
		return store_failed(s) ? -EIO : r;
	pthread_mutex_lock(&s->log.lock);
	s->log.unapplied = 0;
	pthread_mutex_unlock(&s->log.lock);
	for (size_t i = 0; i < n; i++) {
		if (!locked)
			store_epoch_enter(s);
		keep_first(&r, apply_one(v[i], upto));
		if (!locked)
			store_epoch_leave(s);
	}
	return r;
}

int store_commit_all(struct store *s, bool apply)
{
	struct cfile **v;
	size_t n;
	int r = cfile_pin_all(s, &v, &n);

	if (r < 0)
		return r;
	r = commit_these(s, v, n, false, apply);
	cfile_unpin_all(s, v, n);
	return r;
}

/* Exclusive: nothing changes. Is everything of this file home? */
static int finish_one(struct cfile *f)
{
	int r = 0;

	pthread_rwlock_wrlock(&f->lock);
	if (!cfile_head_direct(f) && !cfile_applied(f))
		r = -EBUSY;
	else
		r = cfile_settle_home(f);
	pthread_rwlock_unlock(&f->lock);
	return r;
}

static void all_durable(struct cfile *f)
{
	pthread_rwlock_wrlock(&f->lock);
	f->created = false;
	f->durable = true;
	f->meta_changed = false;
	f->fresh_lost = false;
	f->cut_logged = 0;
	f->first_seq = 0;
	f->h.synced = f->h.size;
	ranges_clear(&f->fresh);
	livemap_clear(&f->live);
	pthread_rwlock_unlock(&f->lock);
}

/* The state with an empty log and the next epoch; then the log's books follow. */
static int begin_epoch(struct store *s)
{
	struct log *l = &s->log;
	struct state st;
	int r;

	pthread_mutex_lock(&l->lock);
	st = l->st;
	st.tail = l->head;
	st.tail_seq = l->next_seq;
	pthread_mutex_unlock(&l->lock);
	if (st.epoch == UINT32_MAX)
		return -EOVERFLOW;
	st.epoch++;
	r = log_write_state(s, &st);
	if (r < 0)
		return r;
	pthread_mutex_lock(&l->lock);
	l->used = 0;
	l->qfirst = l->qlen = 0;
	l->durable_seq = l->next_seq - 1;
	l->stuck = 0;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	s->epoch = st.epoch;
	return 0;
}

static int last_phase(struct store *s, struct cfile **v, size_t n)
{
	int r;

	r = commit_these(s, v, n, true, true);
	for (size_t i = 0; i < n && r == 0; i++)
		r = finish_one(v[i]);
	if (r == 0) {
		r = sio_syncfs(s->io, s->dirfd);
		if (r < 0)
			return store_fail(s, r, "sync of the store");
	}
	if (r == 0)
		r = begin_epoch(s);
	for (size_t i = 0; i < n && r == 0; i++)
		all_durable(v[i]);
	return r;
}

static int checkpoint_locked(struct store *s)
{
	struct cfile **v;
	size_t n;
	int r;

	if (!atomic_load(&s->changed))
		return 0;
	r = store_commit_all(s, true);
	if (r == 0) {
		r = sio_syncfs(s->io, s->dirfd);
		if (r < 0)
			return store_fail(s, r, "sync of the store");
	}
	if (r < 0)
		return r;
	pthread_rwlock_wrlock(&s->epoch_lock);
	atomic_store(&s->changed, false);
	r = cfile_pin_all(s, &v, &n);
	if (r == 0)
		r = last_phase(s, v, n);
	else
		n = 0, v = NULL;
	if (r < 0)
		atomic_store(&s->changed, true);
	pthread_rwlock_unlock(&s->epoch_lock);
	if (v)
		cfile_unpin_all(s, v, n);
	return r;
}

/* Attempts to make room are counted: who waits for room believes only one that began after it did,
 * for what stood in the way of an earlier one may be gone. One runs at a time (reclaim_lock). */
static void attempt(struct store *s)
{
	pthread_mutex_lock(&s->log.lock);
	s->log.begun++;
	pthread_mutex_unlock(&s->log.lock);
}

/* Why room cannot be made is told to those who wait for it. */
static int report_stuck(struct store *s, int r)
{
	pthread_mutex_lock(&s->log.lock);
	s->log.ended = s->log.begun;
	s->log.stuck = r < 0 ? (cfile_no_room(r) ? r : -EIO) : 0;
	pthread_cond_broadcast(&s->log.cond);
	pthread_mutex_unlock(&s->log.lock);
	return r;
}

static int checkpoint_attempt(struct store *s)
{
	attempt(s);
	return report_stuck(s, store_failed(s) ? -EIO : checkpoint_locked(s));
}

int store_checkpoint(struct store *s)
{
	int r;

	pthread_mutex_lock(&s->reclaim_lock);
	r = checkpoint_attempt(s);
	pthread_mutex_unlock(&s->reclaim_lock);
	return r;
}

int store_make_clean(struct store *s)
{
	int r;

	pthread_mutex_lock(&s->reclaim_lock);
	r = checkpoint_attempt(s);
	if (r == 0)
		r = gate_shut(s);
	pthread_mutex_unlock(&s->reclaim_lock);
	return r;
}

static size_t count_live(struct cfile **v, size_t n)
{
	size_t live = 0;

	for (size_t i = 0; i < n; i++) {
		pthread_rwlock_rdlock(&v[i]->lock);
		live += v[i]->first_seq != 0 || v[i]->open;
		pthread_rwlock_unlock(&v[i]->lock);
	}
	return live;
}

static int retire_files(struct store *s)
{
	struct cfile **v;
	size_t n;
	int r = cfile_pin_all(s, &v, &n);

	if (r < 0)
		return r;
	if (count_live(v, n) > RETIRE_MAX)
		r = -EAGAIN;
	for (size_t i = 0; i < n && r == 0; i++)
		r = cfile_retire(v[i]);
	cfile_unpin_all(s, v, n);
	if (r == 0)
		r = log_reclaim(s);
	return r;
}

int store_reclaim(struct store *s)
{
	int r;

	pthread_mutex_lock(&s->reclaim_lock);
	attempt(s);
	r = store_failed(s) ? -EIO : retire_files(s);
	if (r == -EAGAIN)
		r = checkpoint_locked(s);
	report_stuck(s, r);
	pthread_mutex_unlock(&s->reclaim_lock);
	return r;
}

static bool half_full(struct store *s)
{
	bool full;

	pthread_mutex_lock(&s->log.lock);
	full = s->log.used + s->log.gathered + s->log.reserved > s->log.ring / 2;
	pthread_mutex_unlock(&s->log.lock);
	return full;
}

static void work(struct store *s, unsigned want)
{
	uint64_t idle;

	if (store_failed(s)) {
		(void)store_reclaim(s); /* which tells those who wait */
		return;
	}
	idle = store_now_ms() - atomic_load(&s->last_change_ms);
	if (!atomic_load(&s->changed)) {
		if (want == 0 && idle >= MIN(CLEAN_MS, s->p.idle_ms) && !atomic_load(&s->shut))
			(void)store_make_clean(s);
		return;
	}
	if (want == 0 && idle >= s->p.idle_ms)
		(void)store_make_clean(s);
	else if (want & BG_CHECKPOINT)
		(void)store_checkpoint(s);
	else if ((want & BG_RECLAIM) && half_full(s))
		(void)store_reclaim(s);
	else
		(void)store_commit_all(s, true);
}

static struct timespec after_ms(uint32_t ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

static void *bg_main(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->bg_lock);
	while (!s->bg_stop) {
		unsigned want;

		if (!s->bg_want) {
			const struct timespec until = after_ms(MIN(COMMIT_MS, s->p.idle_ms));

			pthread_cond_timedwait(&s->bg_cond, &s->bg_lock, &until);
			if (s->bg_stop)
				break;
		}
		want = s->bg_want;
		s->bg_want = 0;
		pthread_mutex_unlock(&s->bg_lock);
		work(s, want);
		pthread_mutex_lock(&s->bg_lock);
	}
	pthread_mutex_unlock(&s->bg_lock);
	return NULL;
}

int store_bg_start(struct store *s)
{
	int r = pthread_create(&s->bg_thread, NULL, bg_main, s);

	s->bg_running = r == 0;
	return -r;
}

void store_bg_stop(struct store *s)
{
	if (!s->bg_running)
		return;
	pthread_mutex_lock(&s->bg_lock);
	s->bg_stop = true;
	pthread_cond_signal(&s->bg_cond);
	pthread_mutex_unlock(&s->bg_lock);
	pthread_join(s->bg_thread, NULL);
	s->bg_running = false;
}

void store_bg_kick(struct store *s, unsigned want)
{
	pthread_mutex_lock(&s->bg_lock);
	if ((s->bg_want & want) != want) {
		s->bg_want |= want;
		pthread_cond_signal(&s->bg_cond);
	}
	pthread_mutex_unlock(&s->bg_lock);
}
