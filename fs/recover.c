/* Recovery at mount, when the last user did not close the store.
 *
 *   first walk    every file: the log's batches are brought home
 *   flush         all of it durable, the log empty, numbers far ahead of any stale batch
 *   second walk   every file: lost blocks, sizes, headers; each change goes through the log
 *   flush         the next epoch
 *
 * Until the last flush a second crash finds the old epoch and does it all again.  What the walk
 * finds unchanged is flushed too: after a mere kill of the daemon it was never on the disk. */
#include "fs/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/examine.h"
#include "fs/quota.h"

/* Far beyond what a ring could hold: a batch that the crash cut off is never taken for a new one.
 */
#define SEQ_JUMP (UINT64_C(1) << 32)

typedef int (*file_fn)(struct recovery *rc, int fd, const char *path);

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

/* Is it this file that cannot be read (a bad sector, an immutable or a foreign file)? Then it does
 * not stop all the others. */
static bool this_file_only(int r)
{
	return r == -EIO || r == -EPERM || r == -EACCES || r == -ELOOP || r == -ENXIO ||
	       r == -ETXTBSY;
}

static int note_unread(struct recovery *rc, const char *path, int r)
{
	store_log(rc->s, "recovery: %s: %s", path, strerror(-r));
	rc->unread++;
	return 0;
}

static int note_damaged(struct recovery *rc, const char *path, int r)
{
	store_log(rc->s, "damaged: %s: %s", path, strerror(-r));
	rc->damaged++;
	return 0;
}

/* A file that could not be read may be the one that a batch is for. */
static int check_unread(struct recovery *rc)
{
	for (size_t i = 0; rc->unread && i < rc->n; i++)
		if (!rc->v[i].dead && !rc->v[i].met)
			return -EIO;
	return 0;
}

/* First walk. */
static int apply_file(struct recovery *rc, int fd, const char *path)
{
	uint8_t page[BLOCK_SIZE];
	struct timespec kept[2];
	struct cfile *f = NULL;
	int r;

	r = open_alone(rc, fd, page, &f);
	if (r < 0)
		return this_file_only(r) ? note_unread(rc, path, r) : r;
	memcpy(f->h.file_id, head_clear_file_id(page), FILE_ID_LEN);
	home_keep_time(f, kept);
	r = recover_apply(rc, f);
	if (r > 0)
		put_newer_time(f, kept);
	cfile_alone_free(f);
	return r < 0 ? r : 0;
}

/* Second walk. */
static int mend_file(struct recovery *rc, int fd, const char *path)
{
	uint8_t page[BLOCK_SIZE];
	struct cfile *f = NULL;
	int r;

	r = open_alone(rc, fd, page, &f);
	if (r < 0)
		return r;
	r = recover_mend(rc, f, page, path);
	cfile_alone_free(f);
	if (this_file_only(r) && !store_failed(rc->s))
		r = note_damaged(rc, path, r);
	rc->files++;
	if (r == 0 && rc->s->log.used > rc->s->log.ring / 2)
		r = recover_flush(rc, rc->epoch);
	return r;
}

static struct inode *link_slot(struct inode *v, size_t cap, uint64_t dev, uint64_t ino)
{
	size_t i = (size_t)((ino ^ dev) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (cap - 1);

	while (v[i].ino != 0 && (v[i].ino != ino || v[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow_links(struct recovery *rc)
{
	size_t cap = rc->caplinks ? rc->caplinks * 2 : 64;
	struct inode *v = calloc(cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < rc->caplinks; i++) {
		if (rc->links[i].ino != 0)
			*link_slot(v, cap, rc->links[i].dev, rc->links[i].ino) = rc->links[i];
	}
	free(rc->links);
	rc->links = v;
	rc->caplinks = cap;
	return 0;
}

/* Was this inode met under another name? Otherwise it is noted. */
static int seen_link(struct recovery *rc, const struct stat *st, bool *ret)
{
	struct inode *slot;

	*ret = false;
	if (st->st_nlink < 2)
		return 0;
	if (rc->nlinks + 1 > rc->caplinks / 4 * 3 && grow_links(rc) < 0)
		return -ENOMEM;
	slot = link_slot(rc->links, rc->caplinks, st->st_dev, st->st_ino);
	*ret = slot->ino != 0;
	if (!*ret) {
		*slot = (struct inode){ st->st_dev, st->st_ino };
		rc->nlinks++;
	}
	return 0;
}

/* Charged by its size, as one whose header does not verify. */
static int unopened(struct recovery *rc, int dirfd, const char *name, const char *path, file_fn fn,
		    int r)
{
	struct stat st;

	if (fn == apply_file)
		return note_unread(rc, path, r);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	rc->bytes += quota_file_bytes((uint64_t)st.st_size / BLOCK_SIZE);
	rc->files++;
	return note_damaged(rc, path, r);
}

static int visit_file(struct recovery *rc, int dirfd, const char *name, const char *path,
		      file_fn fn)
{
	autoclose int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	bool seen;
	int r;

	if (fd < 0 && this_file_only(-errno))
		return unopened(rc, dirfd, name, path, fn, -errno);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = seen_link(rc, &st, &seen);
	return r < 0 || seen ? r : fn(rc, fd, path);
}

/* The second name of a long name is no file of its own. */
static bool is_sidecar(const char *name)
{
	size_t len = strlen(name);

	return name[0] == '~' && len > 2 && strcmp(name + len - 2, ".n") == 0;
}

static int walk(struct recovery *rc, int fd, const char *path, file_fn fn);

static int visit(struct recovery *rc, int dirfd, const char *name, const char *dirpath, file_fn fn)
{
	autofree char *path = str_printf("%s/%s", dirpath, name);
	struct stat st;
	int fd, r;

	if (!path)
		return -ENOMEM;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode)) {
		r = visit_file(rc, dirfd, name, path, fn);
		if (r < 0)
			store_log(rc->s, "recovery: %s: %s", path, strerror(-r));
		return r;
	}
	if (!is_sidecar(name)) {
		rc->bytes += QUOTA_PAGE;
		rc->files++;
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : walk(rc, fd, path, fn);
}

/* Takes ownership of 'fd'. */
static int walk(struct recovery *rc, int fd, const char *path, file_fn fn)
{
	autoclosedir DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0) {
		errno = 0;
		e = readdir(d);
		if (!e)
			return -errno;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = visit(rc, dirfd(d), e->d_name, path, fn);
	}
	return r;
}

static int walk_tree(struct recovery *rc, file_fn fn)
{
	int fd = openat(rc->s->dirfd, "t", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	rc->bytes = rc->files = 0;
	free(rc->links);
	rc->links = NULL;
	rc->nlinks = rc->caplinks = 0;
	return walk(rc, fd, "t", fn);
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
	r = walk_tree(rc, apply_file);
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
		r = walk_tree(rc, mend_file);
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
	struct recovery rc = { .s = s, .epoch = s->log.st.epoch };
	int r;

	if (rc.epoch >= UINT32_MAX - 1)
		return err_set(err, -EOVERFLOW, "the store has used up its epochs");
	s->epoch = rc.epoch + 1;
	r = recover(&rc, err);
	free(rc.v);
	free(rc.links);
	if (r < 0)
		return r;
	quota_set_used(s->p.quota, rc.bytes, rc.files);
	store_log(s, "recovery: %zu batches, %u files mended, %u emptied, %u damaged", rc.n,
		  rc.mended, rc.emptied, rc.damaged);
	atomic_store(&s->changed, true);
	return 0;
}
