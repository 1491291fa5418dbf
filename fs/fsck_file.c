/* The check of one regular file: header, sizes, blocks, entries, attributes.
 *
 * On a store that was not closed the log speaks first: the header is that of the file's last batch,
 * and the blocks that its batches hold (whose bytes were verified when the log was read) are not
 * looked at at home, where a crash may have torn their writing. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/examine.h"
#include "fs/fsck_int.h"
#include "fs/quota.h"

#define RESTORE "restore the file from a copy"

struct look {
	struct fsck *k;
	const struct fsck_job *job;
	struct cfile *f;
	bool logged; /* the log holds batches of it */
	struct ranges covered;
	uint64_t told; /* bytes of it that the progress knows of */
};

__attribute__((format(printf, 4, 5))) static void
damage(const struct look *l, const char *consequence, const char *remedy, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	fsck_tell(l->k,
		  &(struct finding){ .kind = FSCK_DAMAGE,
				     .path = l->job->path,
				     .place = l->job->place,
				     .consequence = consequence,
				     .remedy = remedy },
		  "%s", what);
}

__attribute__((format(printf, 3, 4))) static void
unsynced(const struct look *l, const char *consequence, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	fsck_tell(l->k,
		  &(struct finding){ .kind = FSCK_UNSYNCED,
				     .state = FSCK_RECOVERABLE,
				     .path = l->job->path,
				     .place = l->job->place,
				     .consequence = consequence,
				     .remedy = "the next mount does so, or: sbxctl fsck --repair" },
		  "%s", what);
}

/* -- header --------------------------------------------------------------- */

static void header_fails(const struct look *l, int r, const uint8_t *page)
{
	if (r == -EOPNOTSUPP)
		damage(l, "it cannot be opened here", "use a newer version or another machine",
		       "the header needs a newer version or another cipher");
	else if (l->k->crashed && examine_never_durable(l->k->epoch, page))
		unsynced(l, "recovery makes it an empty file",
			 "it was created and never synced before the crash");
	else
		damage(l, "opening it gives EIO, none of its data can be read", RESTORE,
		       "the header does not verify");
}

/* 0, or -EBADMSG when it was told what is wrong and nothing more can be looked at. */
static int check_header(struct look *l, const uint8_t *page)
{
	struct fsck *k = l->k;
	int r = 0;

	memcpy(l->f->h.file_id, head_clear_file_id(page), FILE_ID_LEN);
	if (k->crashed && k->rc.n)
		r = recover_overlay(&k->rc, l->f, &l->covered);
	if (r < 0)
		return r;
	l->logged = r > 0;
	if (!l->logged)
		r = examine_header(l->f, page);
	if (r < 0) {
		header_fails(l, r, page);
		return -EBADMSG;
	}
	if (l->f->h.epoch > k->epoch + (k->crashed ? 1 : 0)) {
		damage(l, "opening it gives EIO", "put back all of the store, not a part of it",
		       "the file is newer than the store's state: store/log is an older copy");
		return -EBADMSG;
	}
	return 0;
}

static int check_id(struct look *l)
{
	struct fsck *k = l->k;
	uint64_t before = 0;
	int r;

	pthread_mutex_lock(&k->lock);
	r = idset_note(&k->ids, l->f->h.file_id, l->job->st.st_ino, &before);
	pthread_mutex_unlock(&k->lock);
	if (r == 0 && before)
		damage(l, "one of the two does not hold what its name says",
		       "restore both files from a copy",
		       "the file is a copy, within the store, of the one with inode %" PRIu64,
		       before);
	return r;
}

/* Between header and entries; no reader looks at it, and nobody writes there. */
static void check_unused(const struct look *l, const uint8_t *page)
{
	for (size_t i = HEAD_LEN; i < HEAD_ENTRIES_AT; i++) {
		if (page[i] == 0)
			continue;
		damage(l, "none, but the disk changed it", "look at the disk",
		       "the unused part of page 0 is not zero");
		return;
	}
}

/* What the fields of a header that verifies say of each other and of the backing file. */
static void check_fields(struct look *l)
{
	const struct head *h = &l->f->h;
	uint64_t want = blockmap_backing_size(h->size, l->k->p.sp.pad);
	bool sparse = h->flags & HEAD_SPARSE;

	if (l->k->crashed)
		return; /* what recovery sets right by itself */
	if (l->f->backing != want)
		damage(l, "opening it gives EIO", RESTORE,
		       "the backing file has %" PRIu64 " bytes and its header says %" PRIu64,
		       l->f->backing, want);
	if (sparse != (h->mapped < cfile_nblocks(l->f)) || h->synced > h->size)
		damage(l, "its size and holes may be shown wrongly",
		       "copy the file, and remove this one",
		       "fields of the header contradict each other");
}

/* -- blocks --------------------------------------------------------------- */

static void block_progress(void *ctx, uint64_t bytes)
{
	struct look *l = ctx;

	bytes = MIN(bytes, l->f->backing);
	if (bytes > l->told) {
		atomic_fetch_add(&l->k->bytes_done, bytes - l->told);
		l->told = bytes;
	}
}

static void tell_lost(const struct look *l, const struct findings *fi)
{
	char runs[160];
	uint64_t until, n = cfile_nblocks(l->f), size = l->f->h.size, kept;

	fsck_blocks_text(&fi->lost, runs, sizeof(runs));
	if (!(l->f->h.flags & HEAD_SPARSE) && n && ranges_has(&fi->lost, n - 1, &until)) {
		kept = MAX(MIN(l->f->h.synced, size), fi->good_end);
		if (kept < size) {
			unsynced(l, "recovery cuts them off",
				 "%" PRIu64
				 " bytes at the end were never synced and did not reach the disk",
				 size - kept);
			return;
		}
	}
	unsynced(l, "recovery makes them zeros",
		 "blocks %s of %" PRIu64 " were never synced and did not reach the disk", runs, n);
}

static void tell_blocks(const struct look *l, const struct findings *fi)
{
	uint64_t n = cfile_nblocks(l->f);
	char runs[160];

	if (fi->bad.len) {
		fsck_blocks_text(&fi->bad, runs, sizeof(runs));
		damage(l, "reading them gives EIO, the rest of the file is whole", RESTORE,
		       "blocks %s of %" PRIu64 " (of 4096 bytes, from 0) do not verify", runs, n);
	}
	if (fi->missing.len) {
		fsck_blocks_text(&fi->missing, runs, sizeof(runs));
		damage(l, "reading them gives EIO, the rest of the file is whole", RESTORE,
		       "blocks %s of %" PRIu64 " (of 4096 bytes, from 0) are gone", runs, n);
	}
	if (fi->newer.len) {
		fsck_blocks_text(&fi->newer, runs, sizeof(runs));
		damage(l, "what was written after that copy was made may be lost",
		       "put back all of the store, not a part of it",
		       "blocks %s of %" PRIu64
		       " are newer than the store's state: store/log is an older copy",
		       runs, n);
	}
	if (fi->lost.len)
		tell_lost(l, fi);
}

static void tell_end(const struct look *l, const struct findings *fi)
{
	if (fi->past)
		damage(l, "growing the file may show blocks that were cut off as damaged",
		       "copy the file, and remove this one",
		       "there are entries past the end of the file");
	if (fi->too_long)
		damage(l, "bytes past the end may show when the file grows",
		       "copy the file, and remove this one",
		       "the last block is longer than the size of the file says");
	if (fi->mapped != l->f->h.mapped)
		damage(l, "it is charged wrongly to the quota",
		       "copy the file, and remove this one",
		       "it has %" PRIu64 " blocks with data and its header says %" PRIu64,
		       fi->mapped, l->f->h.mapped);
}

static int check_blocks(struct look *l)
{
	struct fsck *k = l->k;
	const struct examine x = {
		.epoch = k->epoch,
		.crashed = k->crashed,
		.all = true,
		.skip = l->logged ? &l->covered : NULL,
		.progress = block_progress,
		.ctx = l,
	};
	struct findings fi = { 0 };
	int r = examine_blocks(&x, l->f, &fi);

	if (r == 0)
		tell_blocks(l, &fi);
	if (r == 0 && !k->crashed) {
		r = examine_end(l->f, l->f->h.size, &fi);
		if (r == 0)
			tell_end(l, &fi);
	}
	findings_clear(&fi);
	return r;
}

/* -- all of it ------------------------------------------------------------ */

static int check_opened(struct look *l)
{
	struct fsck *k = l->k;
	int r = check_id(l);

	if (r < 0)
		return r;
	check_fields(l);
	if (!k->p.quick)
		r = check_blocks(l);
	if (r == 0)
		r = fsck_attrs(k, l->f->fd, &l->job->st, l->f->h.file_id, l->job->path,
			       l->job->place);
	pthread_mutex_lock(&k->lock);
	k->sum_bytes += quota_file_bytes(l->f->h.mapped);
	pthread_mutex_unlock(&k->lock);
	return r;
}

static int check_file(struct look *l)
{
	uint8_t page[BLOCK_SIZE];
	int r = examine_page0(l->job->fd, page);

	if (r < 0)
		return r;
	memcpy(l->f->head_entries, page + HEAD_ENTRIES_AT, sizeof(l->f->head_entries));
	r = check_header(l, page);
	if (r == 0) {
		check_unused(l, page);
		return check_opened(l);
	}
	if (r != -EBADMSG)
		return r;
	pthread_mutex_lock(&l->k->lock);
	l->k->sum_unknown = true;
	pthread_mutex_unlock(&l->k->lock);
	return fsck_attrs(l->k, l->job->fd, &l->job->st, NULL, l->job->path, l->job->place);
}

int fsck_file(struct fsck *k, const struct fsck_job *job)
{
	struct look l = { .k = k, .job = job };
	int r = cfile_alone(k->s, job->fd, &l.f);

	if (r == 0)
		r = check_file(&l);
	if (l.f)
		block_progress(&l, UINT64_MAX);
	atomic_fetch_add(&k->files_done, 1);
	cfile_alone_free(l.f);
	ranges_clear(&l.covered);
	if (r == 0 || r == -ENOMEM)
		return r;
	pthread_mutex_lock(&k->lock);
	k->sum_unknown = true;
	pthread_mutex_unlock(&k->lock);
	fsck_tell(k,
		  &(struct finding){ .kind = FSCK_UNREADABLE,
				     .path = job->path,
				     .place = job->place,
				     .consequence = "reading it gives an error, what follows was "
						    "not checked",
				     .remedy = "look at the disk and its filesystem" },
		  "it cannot be read: %s", strerror(-r));
	return 0;
}
