/* The threads that make an index, and that unpack. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "fs/arch_int.h"
#include "fs/arch_proto.h"
#include "fs/arch_run.h"
#include "fs/arch_stream.h"

static int thread_start(struct arch_cache *c, void *(*fn)(void *), void *arg)
{
	pthread_attr_t at;
	pthread_t t;
	int r = pthread_attr_init(&at);

	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&t, &at, fn, arg);
	pthread_attr_destroy(&at);
	if (r == 0)
		c->threads++;
	return -r;
}

static void thread_ends(struct arch_cache *c)
{
	pthread_mutex_lock(&c->lock);
	if (--c->threads == 0)
		pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

/* -- index ----------------------------------------------------------------- */

struct index_job {
	struct arch_cache *c;
	struct arch_item *item; /* stays while 'busy' */
	int source;
	struct arch_id id;
	struct arch_build *build;
	char name[65];
	char base[256];
	char format[ARCH_FORMAT_TEXT];
	uint8_t flags;
	struct err err;
};

static int index_entry(void *ctx, const struct arch_entry *e)
{
	struct index_job *j = ctx;
	int r = arch_build_add(j->build, e);

	if (r == -EFBIG)
		err_set(&j->err, r,
			"it has more entries than %u, or unpacked more bytes than may be.",
			ARCH_ENTRIES_MAX);
	else if (r < 0)
		err_set(&j->err, r, "its entries contradict each other");
	return r;
}

static int index_progress(void *ctx, uint64_t done)
{
	struct index_job *j = ctx;

	pthread_mutex_lock(&j->c->lock);
	j->item->progress.done = MIN(done, j->id.size);
	j->item->progress.entries = arch_build_entries(j->build);
	pthread_mutex_unlock(&j->c->lock);
	return 0;
}

static int on_end(void *ctx, uint8_t flags, const char *format)
{
	struct index_job *j = ctx;

	j->flags = flags;
	snprintf(j->format, sizeof(j->format), "%.*s", (int)sizeof(j->format) - 1, format);
	return 0;
}

static int fail_text(struct err *err, uint8_t reason, const char *text)
{
	static const struct {
		int code;
		const char *what;
	} rows[] = {
		[ARCH_NOT] = { -ENOEXEC, "" },
		[ARCH_LOCKED] = { -EOPNOTSUPP, "encrypted archives are not supported: " },
		[ARCH_BROKEN] = { -EBADMSG, "damaged or cut off: " },
		[ARCH_TOO_BIG] = { -EFBIG, "" },
		[ARCH_FAILED] = { -ENOMEM, "" },
	};

	if (reason == 0 || reason >= ARRAY_LEN(rows))
		return err_set(err, -EBADMSG, "its reader gives a reason that nobody knows.");
	return err_set(err, rows[reason].code, "%s%s.", rows[reason].what, text);
}

static int index_fail(void *ctx, uint8_t reason, const char *text)
{
	struct index_job *j = ctx;

	return fail_text(&j->err, reason, text);
}

/* "data.csv.gz" shows "data.csv". */
static int single_name(const char *base, char ret[static 256])
{
	static const char *const ends[] = { ".gz",  ".xz", ".zst",  ".bz2",
					    ".lz4", ".lz", ".lzma", ".Z" };
	size_t n = strlen(base);

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		size_t m = strlen(ends[i]);

		if (n <= m || n >= 256 || strcmp(base + n - m, ends[i]) != 0)
			continue;
		memcpy(ret, base, n - m);
		ret[n - m] = '\0';
		return strcmp(ret, ".") != 0 && strcmp(ret, "..") != 0 ? 0 : -ENOEXEC;
	}
	return -ENOEXEC;
}

static int index_build(struct index_job *j, void **ret, size_t *ret_size)
{
	static const struct arch_stream_ops ops = {
		.entry = index_entry,
		.progress = index_progress,
		.end = on_end,
		.fail = index_fail,
	};
	struct arch_build_limits limits = {
		.archive_size = j->id.size,
		.max_bytes = j->c->p.bytes,
		.max_entries = ARCH_ENTRIES_MAX,
	};
	struct arch_run run = {
		.source = j->source,
		.max_bytes = limits.max_bytes,
		.max_entries = limits.max_entries,
		.ops = &ops,
		.ctx = j,
		.cancel = &j->c->cancel,
	};
	char name[256];
	int r = arch_build_new(&limits, &j->build);

	if (r < 0)
		return err_set(&j->err, r, "make its index");
	r = arch_run(&run, &j->err);
	if (r == 0 && j->flags & ARCH_SINGLE) {
		r = single_name(j->base, name);
		if (r == 0)
			arch_build_rename_single(j->build, name);
		else
			err_set(&j->err, r, "it is no archive.");
	}
	if (r == 0) {
		r = arch_build_finish(j->build, &j->id, j->flags, j->format, ret, ret_size);
		if (r < 0)
			err_set(&j->err, r, "make its index");
	}
	arch_build_free(j->build);
	j->build = NULL;
	return r;
}

/* Where it cannot be saved it is kept in memory, and made again by the next daemon. */
static int index_keep(struct index_job *j, void *mem, size_t size, struct arch **ret)
{
	struct arch_id now;
	struct arch_index ix;
	void *map = NULL;
	int r = arch_index_check(mem, size, &ix);

	if (r < 0) {
		free(mem);
		return err_set(&j->err, r, "its index is not sound");
	}
	if (arch_id_of(j->source, &now) < 0 || !arch_id_same(&now, &j->id)) {
		free(mem);
		return err_set(&j->err, -ESTALE, "it was changed while it was read.");
	}
	if (arch_store_save(j->c, j->name, mem, size, &map) == 0) {
		free(mem);
		mem = map;
	}
	r = arch_make(j->c, j->name, j->source, mem, size, map != NULL, ret);
	if (r == 0)
		j->source = -1;
	else if (map)
		munmap(map, size);
	else
		free(mem);
	return r < 0 ? err_set(&j->err, r, "open it") : 0;
}

static void index_done(struct index_job *j, int r, struct arch *a)
{
	struct arch_cache *c = j->c;
	struct arch *old = NULL;
	bool gone;

	pthread_mutex_lock(&c->lock);
	j->item->busy = false;
	gone = j->item->gone;
	if (r == 0 && !gone) {
		old = j->item->now;
		j->item->now = a;
		a = NULL;
	} else if (r < 0) {
		j->item->failed = true;
		j->item->failed_id = j->id;
		j->item->why = j->err;
		j->item->why.code = r;
	}
	pthread_mutex_unlock(&c->lock);
	arch_unref(old, 1);
	arch_unref(a, 1);
	if (gone)
		arch_store_remove(c, j->name);
}

static void *index_thread(void *arg)
{
	struct index_job *j = arg;
	struct arch_cache *c = j->c;
	struct arch *a = NULL;
	size_t size = 0;
	void *mem = NULL;
	int r = index_build(j, &mem, &size);

	if (r == 0)
		r = index_keep(j, mem, size, &a);
	if (r < 0 && r != -ENOEXEC && r != -ECANCELED)
		arch_log(c, "dataset '%s': %s", j->name, j->err.text);
	index_done(j, r, a);
	if (j->source >= 0)
		close(j->source);
	free(j);
	thread_ends(c);
	return NULL;
}

int arch_start_index(struct arch_cache *c, struct arch_item *item, const char *base, int source)
{
	struct index_job *j = calloc(1, sizeof(*j));
	int r = j ? arch_id_of(source, &j->id) : -ENOMEM;

	if (r == 0) {
		j->c = c;
		j->item = item;
		j->source = source;
		snprintf(j->name, sizeof(j->name), "%s", item->name);
		snprintf(j->base, sizeof(j->base), "%s", base);
		item->progress = (struct arch_progress){ .total = j->id.size };
		item->busy = true;
		r = thread_start(c, index_thread, j);
	}
	if (r < 0) {
		item->busy = false;
		close(source);
		free(j);
	}
	return r;
}

/* -- unpack ---------------------------------------------------------------- */

struct unpack_job {
	struct arch *a; /* with a reference */
	int fd;
	uint64_t done;
	struct err err;
};

static int unpack_data(void *ctx, const uint8_t *p, size_t len)
{
	struct unpack_job *j = ctx;
	struct arch *a = j->a;
	int r;

	if (len > a->ix.head->unpacked - j->done)
		return err_set(&j->err, -EBADMSG, "it has more bytes than its index says.");
	r = fd_pwrite_full(j->fd, p, len, j->done);
	if (r < 0)
		return err_set(&j->err, r, "write to the cache");
	j->done += len;
	pthread_mutex_lock(&a->c->lock);
	a->done = j->done;
	pthread_mutex_unlock(&a->c->lock);
	return 0;
}

static int ignore_progress(void *ctx, uint64_t done)
{
	return 0;
}

static int unpack_end(void *ctx, uint8_t flags, const char *format)
{
	return 0;
}

static int unpack_fail(void *ctx, uint8_t reason, const char *text)
{
	struct unpack_job *j = ctx;

	return fail_text(&j->err, reason, text);
}

static int unpack(struct unpack_job *j)
{
	static const struct arch_stream_ops ops = {
		.data = unpack_data,
		.progress = ignore_progress,
		.end = unpack_end,
		.fail = unpack_fail,
	};
	struct arch *a = j->a;
	struct arch_run run = {
		.source = a->source,
		.unpack = true,
		.max_bytes = a->ix.head->unpacked,
		.max_entries = ARCH_ENTRIES_MAX,
		.ops = &ops,
		.ctx = j,
		.cancel = &a->c->cancel,
	};
	struct arch_id now;
	int r = arch_run(&run, &j->err);

	if (r == 0 && j->done != a->ix.head->unpacked)
		r = err_set(&j->err, -EBADMSG, "it has fewer bytes than its index says.");
	if (r == 0 && (arch_id_of(a->source, &now) < 0 || !arch_id_same(&now, &a->ix.head->id)))
		r = err_set(&j->err, -ESTALE, "it was changed while it was read.");
	if (r == 0 && arch_store_data_done(a, j->fd) < 0)
		arch_store_data_drop(a); /* it serves until the last file is closed */
	return r;
}

static void *unpack_thread(void *arg)
{
	struct unpack_job *j = arg;
	struct arch *a = j->a;
	struct arch_cache *c = a->c;
	int r = unpack(j);

	if (r < 0) {
		arch_store_data_drop(a);
		if (r != -ECANCELED)
			arch_log(c, "dataset '%s' cannot be unpacked: %s", a->name, j->err.text);
	}
	pthread_mutex_lock(&c->lock);
	c->reserved -= a->ix.head->unpacked;
	a->unpack = r == 0 ? UNPACK_DONE : UNPACK_FAILED;
	if (r < 0 && a->uses == 0) { /* else a reader may be at it: arch_unuse() closes it */
		close(a->data);
		a->data = -1;
	}
	pthread_mutex_unlock(&c->lock);
	arch_unref(a, 1);
	free(j);
	thread_ends(c);
	return NULL;
}

int arch_start_unpack(struct arch *a)
{
	struct unpack_job *j = calloc(1, sizeof(*j));
	struct arch_cache *c = a->c;
	int r;

	if (!j)
		return -ENOMEM;
	r = arch_store_data_new(a, &j->err);
	if (r < 0) {
		arch_log(c, "dataset '%s' cannot be unpacked: %s", a->name, j->err.text);
		free(j);
		return r;
	}
	j->a = a;
	j->fd = a->data = r;
	a->refs++;
	a->done = 0;
	a->unpack = UNPACK_RUNS;
	c->reserved += a->ix.head->unpacked;
	r = thread_start(c, unpack_thread, j);
	if (r < 0) {
		close(a->data);
		a->data = -1;
		a->refs--;
		a->unpack = UNPACK_NOT;
		c->reserved -= a->ix.head->unpacked;
		free(j);
	}
	return r;
}
