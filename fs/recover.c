/* Recovery at mount, when the last user did not close the store.
 *
 *   walk    every file that may have been touched: the log's batches are brought home; is there
 *           anything to mend?
 *   flush   all of it durable, the log empty, numbers far ahead of any stale batch
 *   mend    lost blocks, sizes, headers of those files; each change goes through the log
 *   flush   the next epoch
 *
 * Until the last flush a second crash finds the old epoch and does it all again.  What the walk
 * finds unchanged is flushed too: after a mere kill of the daemon it was never on the disk. */
#include "fs/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/examine.h"

/* Far beyond what a ring could hold: a batch that the crash cut off is never taken for a new one.
 */
#define SEQ_JUMP (UINT64_C(1) << 32)

int recover_flush(struct recovery *rc, uint32_t epoch)
{
	struct store *s = rc->s;
	struct log *l = &s->log;
	struct state st = l->st;
	int r;

	r = sio_syncfs(s->io, s->dirfd);
	if (r < 0)
		return store_fail(s, r, "sync of the store");
	st.tail = l->head;
	st.tail_seq = l->next_seq + SEQ_JUMP;
	st.epoch = epoch;
	st.clean = 0;
	r = log_write_state(s, &st);
	if (r < 0)
		return r;
	l->used = l->qlen = l->qfirst = l->unapplied = 0;
	l->next_seq = st.tail_seq;
	l->durable_seq = st.tail_seq - 1;
	return 0;
}

static int open_alone(struct recovery *rc, int fd, uint8_t *page, struct cfile **ret)
{
	int r = examine_page0(fd, page);

	if (r == 0)
		r = cfile_alone(rc->s, fd, ret);
	if (r == 0)
		memcpy((*ret)->head_entries, page + HEAD_ENTRIES_AT, sizeof((*ret)->head_entries));
	return r;
}

/* The backing's time is older than the data when only the log was synced; then the image's holds.
 * It must not be that of the recovery: nothing was changed by it. */
static void put_newer_time(struct cfile *f, struct timespec kept[static 2])
{
	int64_t sec = f->h.mtime_ns / 1000000000 - (f->h.mtime_ns % 1000000000 < 0);
	long ns = (long)(f->h.mtime_ns - sec * 1000000000);

	if (kept[1].tv_sec < sec || (kept[1].tv_sec == sec && kept[1].tv_nsec < ns))
		kept[1] = (struct timespec){ sec, ns };
	home_put_time(f, kept);
}

bool recover_this_file_only(int r)
{
	return r == -EIO || r == -EPERM || r == -EACCES || r == -ELOOP || r == -ENXIO ||
	       r == -ETXTBSY;
}

static void note_damaged(struct recovery *rc, const char *path, int r, bool unread)
{
	store_log(rc->s, "damaged: %s: %s", path, strerror(-r));
	pthread_mutex_lock(&rc->lock);
	rc->damaged++;
	rc->unread += unread;
	pthread_mutex_unlock(&rc->lock);
}

void recover_note_unread(struct recovery *rc, const char *path, int r)
{
	note_damaged(rc, path, r, true);
}

/* A file that could not be read may be the one that a batch is for. */
static int check_unread(struct recovery *rc)
{
	for (size_t i = 0; rc->unread && i < rc->n; i++)
		if (!rc->v[i].dead && !rc->v[i].met)
			return -EIO;
	return 0;
}

/* -- one file -------------------------------------------------------------- */

/* Bring its batches home. */
static int apply_file(struct recovery *rc, int fd, struct cfile **f, uint8_t *page)
{
	struct timespec kept[2];
	int r;

	memcpy((*f)->h.file_id, head_clear_file_id(page), FILE_ID_LEN);
	home_keep_time(*f, kept);
	r = recover_apply(rc, *f);
	if (r <= 0)
		return r;
	put_newer_time(*f, kept);
	cfile_alone_free(*f);
	*f = NULL;
	return open_alone(rc, fd, page, f); /* as it is now */
}

static int remember(struct recovery *rc, const char *path)
{
	char *copy = strdup(path), **todo;
	int r = copy ? 0 : -ENOMEM;

	pthread_mutex_lock(&rc->lock);
	if (r == 0 && rc->ntodo == rc->captodo) {
		size_t cap = rc->captodo ? rc->captodo * 2 : 64;

		todo = reallocarray(rc->todo, cap, sizeof(*todo));
		r = todo ? 0 : -ENOMEM;
		rc->todo = todo ? todo : rc->todo;
		rc->captodo = todo ? cap : rc->captodo;
	}
	if (r == 0)
		rc->todo[rc->ntodo++] = take_ptr(copy);
	pthread_mutex_unlock(&rc->lock);
	free(copy);
	return r;
}

/* The walk: batches home; is there something to mend? Several threads. */
static int look_file(struct recovery *rc, int fd, const char *path)
{
	uint8_t page[BLOCK_SIZE];
	struct cfile *f = NULL;
	int r = open_alone(rc, fd, page, &f);

	if (recover_this_file_only(r)) {
		recover_note_unread(rc, path, r);
		return 0;
	}
	if (r == 0 && rc->n)
		r = apply_file(rc, fd, &f, page);
	if (r == 0) {
		r = recover_mend(rc, f, page, path, true);
		if (recover_this_file_only(r) && !store_failed(rc->s)) {
			note_damaged(rc, path, r, false);
			r = 0;
		}
	}
	cfile_alone_free(f);
	return r > 0 ? remember(rc, path) : r;
}

/* A path below the store, however long. */
static int open_place(const struct recovery *rc, char *path)
{
	autoclose int fd = openat(rc->s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	while (fd >= 0) {
		char *slash = strchr(path, '/');
		int flags = slash ? O_RDONLY | O_DIRECTORY : O_RDWR | O_NONBLOCK | O_NOCTTY, next;

		if (slash)
			*slash = '\0';
		next = openat(fd, path, flags | O_CLOEXEC | O_NOFOLLOW);
		if (slash)
			*slash = '/';
		if (next < 0 || !slash)
			return next < 0 ? -errno : next;
		close(fd);
		fd = next;
		path = slash + 1;
	}
	return -errno;
}

/* After the flush, one by one. */
static int mend_file(struct recovery *rc, char *path)
{
	autoclose int fd = open_place(rc, path);
	uint8_t page[BLOCK_SIZE];
	struct cfile *f = NULL;
	int r = fd < 0 ? fd : open_alone(rc, fd, page, &f);

	rc->touched = false;
	if (r == 0)
		r = recover_mend(rc, f, page, path, false);
	cfile_alone_free(f);
	/* Half mended it would be lost for good once the log is empty: the next mount tries again.
	 */
	if (recover_this_file_only(r) && !store_failed(rc->s) && !rc->touched) {
		note_damaged(rc, path, r, false);
		r = 0;
	}
	if (r < 0)
		store_log(rc->s, "recovery: %s: %s", path, strerror(-r));
	if (r == 0 && rc->s->log.used > rc->s->log.ring / 2)
		r = recover_flush(rc, rc->epoch);
	return r;
}

static int mend_all(struct recovery *rc)
{
	int r = 0;

	for (size_t i = 0; i < rc->ntodo && r == 0; i++)
		r = mend_file(rc, rc->todo[i]);
	return r;
}

static int recover(struct recovery *rc, struct err *err)
{
	struct store *s = rc->s;
	int r;

	r = recover_read_log(rc);
	if (r < 0)
		return err_set(err, r, "read the log of the store");
	s->log.head = (s->log.st.tail + rc->used) % s->log.ring;
	s->log.next_seq = MAX(rc->last_seq + 1, s->log.st.tail_seq);
	r = recover_walk(rc, look_file);
	if (r == 0)
		r = recover_find_strange(rc);
	if (r > 0)
		r = recover_walk(rc, look_file);
	if (r == -ENOSPC || r == -EDQUOT)
		return err_set(err, r,
			       "what the log holds of the time before the crash does not fit the "
			       "disk: free up to %llu KiB and try again, nothing is lost.",
			       (unsigned long long)rc->data_pages * 5);
	if (r == 0 && check_unread(rc) < 0)
		return err_set(err, -EIO,
			       "a file of the store cannot be read, and the log holds changes that "
			       "may be its own (see the log): let it be read and written, and try "
			       "again, nothing is lost.");
	if (r == 0)
		r = recover_flush(rc, rc->epoch);
	if (r == 0)
		r = mend_all(rc);
	if (r == 0)
		r = recover_flush(rc, rc->epoch + 1);
	if (r == -EBADMSG)
		return err_set(
			err, r,
			"files are newer than the state of the store: store/log was put back "
			"from an older copy.");
	if (r < 0)
		return err_set(err, r, "mend the store after a crash");
	return 0;
}

int store_recover(struct store *s, struct err *err)
{
	struct recovery rc = { .s = s,
			       .epoch = s->log.st.epoch,
			       .lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t began = store_now_ms();
	int r;

	if (rc.epoch >= UINT32_MAX - 1)
		return err_set(err, -EOVERFLOW, "the store has used up its epochs");
	s->epoch = rc.epoch + 1;
	r = recover_count_begin(&rc);
	r = r < 0 ? err_set(err, r, "mend the store after a crash") : recover(&rc, err);
	if (r == 0)
		recover_count_end(&rc);
	free(rc.v);
	free(rc.sums);
	free(rc.inos);
	idset_free(&rc.links);
	for (size_t i = 0; i < rc.ntodo; i++)
		free(rc.todo[i]);
	free(rc.todo);
	if (r < 0)
		return r;
	store_log(s,
		  "recovery: %llu of %llu files looked at, %zu batches, %u files mended, %u "
		  "emptied, %u damaged, %llu ms",
		  (unsigned long long)rc.looked, (unsigned long long)rc.files, rc.n, rc.mended,
		  rc.emptied, rc.damaged, (unsigned long long)(store_now_ms() - began));
	/* All of it is durable: a crash before the first change need not find this to do again. */
	r = gate_shut(s);
	return r < 0 ? err_set(err, r, "write the state of the store") : 0;
}
