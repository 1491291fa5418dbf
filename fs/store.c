/* Opening and closing a store; what its parts share. */
#include "fs/store_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/quota.h"

#define IDLE_MS 30000

void store_log(const struct store *s, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	if (!s->p.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	s->p.log(s->p.log_ctx, line);
}

int store_fail(struct store *s, int r, const char *what)
{
	/* After a failed sync the kernel may have dropped the pages: nothing later may look like
	 * a success, so the store takes no change any more. */
	if (!atomic_exchange(&s->failed, true))
		store_log(s, "%s failed: %s; the workspace is read-only from now on", what,
			  strerror(-r));
	return r;
}

bool store_failed(const struct store *s)
{
	return atomic_load(&s->failed);
}

int store_may_change(const struct store *s)
{
	return s->p.read_only || store_failed(s) ? -EROFS : 0;
}

uint64_t store_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void store_note_change(struct store *s)
{
	atomic_store_explicit(&s->changed, true, memory_order_relaxed);
	atomic_store_explicit(&s->last_change_ms, store_now_ms(), memory_order_relaxed);
}

void store_place(int fd, char *ret, size_t size)
{
	char proc[64], path[4096];
	const char *t = NULL;
	struct stat st;
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	for (const char *at = path; (at = strstr(at, "/store/t")); at++)
		if (at[8] == '/' || at[8] == 0)
			t = at; /* the last one: the workspace may be below another */
	if (t)
		str_printable(t + strlen("/store/"), ret, size);
	else if (fstat(fd, &st) == 0)
		snprintf(ret, size, "inode %llu", (unsigned long long)st.st_ino);
	else
		snprintf(ret, size, "a file");
}

int store_dirfd(const struct store *s)
{
	return s->dirfd;
}

const struct store_params *store_get_params(const struct store *s)
{
	return &s->p;
}

int store_create(int store_dirfd, const struct store_params *p, uint32_t ring_pages,
		 struct err *err)
{
	static const char *const dirs[] = { "t", "l" };

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		if (mkdirat(store_dirfd, dirs[i], 0700) < 0)
			return err_set(err, -errno, "create store/%s", dirs[i]);
	}
	return log_create(store_dirfd, p, ring_pages, err);
}

static void store_free(struct store *s)
{
	if (!s)
		return;
	if (s->table)
		cfile_free_all(s);
	free(s->table);
	free(s->gens);
	log_destroy(s);
	marks_free(s);
	tagcache_free(s->tags);
	if (s->log_fd >= 0)
		close(s->log_fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	pthread_rwlock_destroy(&s->epoch_lock);
	free(s);
}

static struct store *store_alloc(const struct store_params *p)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_rwlockattr_t attr;
	pthread_condattr_t ca;

	if (!s)
		return NULL;
	s->p = *p;
	s->io = p->io ? p->io : &store_io_system;
	s->dirfd = s->log_fd = -1;
	/* Writers of files come without end: the checkpoint must get its turn. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->epoch_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&s->reg_lock, NULL);
	pthread_mutex_init(&s->bg_lock, NULL);
	pthread_mutex_init(&s->reclaim_lock, NULL);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&s->bg_cond, &ca);
	pthread_condattr_destroy(&ca);
	s->table = calloc(REG_BUCKETS, sizeof(struct cfile *));
	s->gens = calloc(REG_BUCKETS, sizeof(*s->gens));
	s->tags = tagcache_new(TAGCACHE_PAGES);
	if (!s->table || !s->gens || !s->tags) {
		store_free(s);
		return NULL;
	}
	if (s->p.idle_ms == 0)
		s->p.idle_ms = IDLE_MS;
	return s;
}

/* A clean store: the next epoch; "not clean" is written before the first change. */
static int begin_clean(struct store *s, struct err *err)
{
	struct state st = s->log.st;
	int r;

	quota_set_used(s->p.quota, st.used_bytes, st.used_files);
	if (s->p.read_only) {
		s->epoch = st.epoch;
		return 0;
	}
	if (st.epoch == UINT32_MAX)
		return err_set(err, -EOVERFLOW, "the store has used up its epochs");
	s->epoch = st.epoch + 1;
	r = gate_begin_clean(s, s->log.twice_clean);
	return r < 0 ? err_set(err, r, "write the state of the store") : 0;
}

int store_open(int store_dirfd, const struct store_params *p, struct store **ret, struct err *err)
{
	struct store *s = store_alloc(p);
	int r;

	if (!s)
		return err_set(err, -ENOMEM, "open the store");
	s->dirfd = fcntl(store_dirfd, F_DUPFD_CLOEXEC, 3);
	if (s->dirfd >= 0)
		s->log_fd = openat(s->dirfd, "log",
				   (p->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	if (s->dirfd < 0 || s->log_fd < 0) {
		r = err_set(err, -errno, "open store/log");
		store_free(s);
		return r;
	}
	r = log_open(s, err);
	if (r == 0 && s->log.st.clean)
		r = begin_clean(s, err);
	else if (r == 0 && p->inspect)
		s->epoch = s->log.st.epoch + 1; /* recovery may have begun before it was cut off */
	else if (r == 0 && p->read_only)
		r = err_set(err, -EROFS,
			    "the workspace was not closed and must be mended first, which needs "
			    "writing: open it once with a key that may write.");
	else if (r == 0)
		r = store_recover(s, err);
	if (r == 0 && !p->read_only)
		r = store_bg_start(s);
	if (r < 0) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Nothing may be left that the clean state on disk does not say: who counted wrong is found out. */
static int close_clean(struct store *s)
{
	int r = 0;

	if (store_failed(s))
		return -EROFS;
	if (atomic_load(&s->shut) && !gate_sums_hold(s)) {
		r = gate_open(s);
		if (r == 0)
			store_end_change(s);
	}
	return r < 0 ? r : store_make_clean(s);
}

int store_close(struct store *s, struct err *err)
{
	int r = 0;

	store_bg_stop(s);
	if (!s->p.read_only) {
		r = close_clean(s);
		if (r < 0)
			err_set(err, r, "close the store");
	}
	store_free(s);
	return r;
}

void store_abandon(struct store *s)
{
	if (!s)
		return;
	store_bg_stop(s);
	store_free(s);
}

int store_sync(struct store *s)
{
	int r;

	if (s->p.read_only)
		return 0;
	r = store_failed(s) ? -EIO : store_make_clean(s);
	return r == -EBUSY ? 0 : r;
}

void store_note_charge(struct store *s, uint64_t ino, int64_t bytes, int files)
{
	marks_charge(s, ino, bytes, files);
}

int store_set_conf_counter(struct store *s, uint64_t counter)
{
	struct state st;
	int r = store_begin_change(s);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->reclaim_lock);
	s->p.conf_counter = counter;
	pthread_mutex_lock(&s->log.lock);
	st = s->log.st;
	pthread_mutex_unlock(&s->log.lock);
	r = log_write_state(s, &st);
	pthread_mutex_unlock(&s->reclaim_lock);
	store_end_change(s);
	return r;
}
