/* The gate before every change of a store: is the state on disk "clean", it says so no more.
 *
 * While nobody changes anything the state on disk is {clean 1}, as after an unmount, and a crash
 * costs nothing at the next mount.  Whoever changes the store, in a file or among the names, does
 * it between store_begin_change() and store_end_change(); the first one after a pause finds the
 * gate shut, writes {clean 0, the next epoch} and syncs it.  The gate is shut only
 *
 *   - under reclaim_lock and epoch_lock exclusively: nobody seals, commits or applies;
 *   - with no change between its begin and its end;
 *   - with no change ended since the last checkpoint began: all of the store is durable, the log is
 *     empty.
 *
 * So what goes on without the gate, like the commits of the background, has nothing to write then:
 * what it would write is of a change, and none has come since. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "fs/cfile_priv.h"
#include "fs/quota.h"

/* {clean 0}, durable. Under reclaim_lock, with the gate shut. */
static int write_unclean(struct store *s)
{
	struct state st = s->log.st;
	int r;

	st.epoch = s->epoch;
	st.clean = 0;
	r = log_try_state(s, &st);
	/* No clean state may lie ready in the other slot, should this one be damaged later.  That
	 * need not be durable: the next sync of the log takes it along. */
	return r < 0 ? r : log_copy_state(s);
}

/* 'ino': what is about to be changed, marked by the same state; NULL: nothing that is marked. */
static int open_for(struct store *s, const uint64_t *ino)
{
	int r = 0;

	pthread_mutex_lock(&s->reclaim_lock);
	if (atomic_load(&s->shut)) {
		if (ino && s->marks.on)
			marks_choose(s, *ino);
		r = store_failed(s) ? -EROFS : write_unclean(s);
		if (r == 0) {
			marks_publish(s);
			atomic_store(&s->shut, false);
		}
	}
	if (r == 0)
		atomic_fetch_add(&s->running, 1);
	pthread_mutex_unlock(&s->reclaim_lock);
	return r;
}

int gate_open(struct store *s)
{
	return open_for(s, NULL);
}

int gate_mark(struct store *s, uint64_t ino)
{
	struct state st;
	int r = 0;

	pthread_mutex_lock(&s->reclaim_lock);
	if (!marks_has(s, ino)) {
		marks_choose(s, ino);
		st = s->log.st;
		r = store_failed(s) ? -EROFS : log_try_state(s, &st);
		if (r == 0)
			marks_publish(s);
	}
	pthread_mutex_unlock(&s->reclaim_lock);
	return r;
}

static int begin_change(struct store *s, const uint64_t *ino)
{
	int r = store_may_change(s);

	if (r < 0)
		return r;
	/* Whoever shuts the gate looks at the count after it, and we at the gate after the count:
	 * one of us sees the other. */
	atomic_fetch_add(&s->running, 1);
	if (!atomic_load(&s->shut))
		return 0;
	atomic_fetch_sub(&s->running, 1);
	return open_for(s, ino);
}

int store_begin_change(struct store *s)
{
	return begin_change(s, NULL);
}

int store_begin_change_of(struct store *s, uint64_t ino)
{
	int r = begin_change(s, &ino);

	if (r < 0 || marks_has(s, ino))
		return r;
	r = gate_mark(s, ino);
	if (r < 0)
		store_end_change(s);
	return r;
}

void store_end_change(struct store *s)
{
	/* At its end: a checkpoint that began before cannot have had all of it. */
	store_note_change(s);
	atomic_fetch_sub(&s->running, 1);
}

/* The file keeps its charge until its last descriptor goes, which no crash waits for. */
static void leave_out(const struct store *s, const struct cfile *f, struct mark_sum *left)
{
	uint64_t ino = marks_ino(s, f->ino);
	struct mark_sum *sum = &left[mark_group(ino)];

	sum->bytes += quota_file_bytes(f->h.mapped);
	sum->files++;
	sum->print += mark_print(ino);
}

/* What a mount after a crash would count: without the files that only a descriptor keeps. 'left'
 * receives their sums, by group; NULL: nobody asks. */
static void durable_sums(struct store *s, struct state *st, struct mark_sum *left)
{
	struct quota_usage u;

	pthread_mutex_lock(&s->reg_lock); /* files give their quota back under it */
	quota_get(s->p.quota, &u);
	for (unsigned i = 0; i < REG_BUCKETS; i++) {
		for (const struct cfile *f = s->table[i]; f; f = f->next) {
			if (!f->unlinked || f->given_back)
				continue;
			u.bytes -= quota_file_bytes(f->h.mapped);
			u.files--;
			if (left)
				leave_out(s, f, left);
		}
	}
	pthread_mutex_unlock(&s->reg_lock);
	st->used_bytes = u.bytes;
	st->used_files = u.files;
}

/* Both slots say "clean", so that no older one lies ready to be put back. */
static int write_clean(struct store *s)
{
	autofree struct mark_sum *left = calloc(MARK_GROUPS, sizeof(*left));
	struct state st = s->log.st;
	int r = left ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	st.clean = 1;
	durable_sums(s, &st, left);
	/* Not synced before the state that names it: torn, it is no table, and all files are looked
	 * at after the next crash. */
	marks_settle(s, left, st.used_bytes, st.used_files);
	for (int i = 0; i < 2 && r == 0; i++)
		r = log_write_state(s, &st);
	return r;
}

int gate_shut(struct store *s)
{
	int r = 0;

	if (atomic_load(&s->shut))
		return 0;
	if (s->log.st.epoch == UINT32_MAX)
		return -EOVERFLOW;
	pthread_rwlock_wrlock(&s->epoch_lock);
	atomic_store(&s->shut, true);
	if (atomic_load(&s->running) > 0 || atomic_load(&s->changed)) {
		atomic_store(&s->shut, false);
		r = -EBUSY;
	} else {
		r = store_failed(s) ? -EIO : write_clean(s);
		/* That of the next {clean 0}: what is on disk now is of earlier ones, so durable.
		 */
		if (r == 0)
			s->epoch = s->log.st.epoch + 1;
	}
	pthread_rwlock_unlock(&s->epoch_lock);
	return r;
}

int gate_begin_clean(struct store *s, bool whole)
{
	int r;

	atomic_store(&s->shut, true);
	/* A daemon that was killed may have left the state in memory only. */
	r = sio_fdatasync(s->io, s->log_fd);
	if (r < 0)
		return store_fail(s, r, "sync of the log");
	if (whole)
		return 0;
	r = gate_open(s); /* so that both slots are written */
	if (r == 0)
		store_end_change(s);
	return r;
}

bool gate_sums_hold(struct store *s)
{
	struct state st;

	durable_sums(s, &st, NULL);
	return st.used_bytes == s->log.st.used_bytes && st.used_files == s->log.st.used_files;
}
