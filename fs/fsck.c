#include "fs/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "fs/fsck_int.h"
#include "fs/quota.h"

#define THREADS_MAX 16u

/* -- life ----------------------------------------------------------------- */

int fsck_new(const struct fsck_params *p, struct fsck **ret)
{
	struct fsck *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->p = *p;
	pthread_mutex_init(&k->lock, NULL);
	pthread_mutex_init(&k->emit_lock, NULL);
	pthread_cond_init(&k->cond, NULL);
	*ret = k;
	return 0;
}

void fsck_free(struct fsck *k)
{
	if (!k)
		return;
	store_abandon(k->s);
	free(k->rc.v);
	idset_free(&k->links);
	idset_free(&k->ids);
	idset_free(&k->tails);
	pthread_cond_destroy(&k->cond);
	pthread_mutex_destroy(&k->emit_lock);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

/* -- opening -------------------------------------------------------------- */

/* As it is. Nothing is written. */
static int open_as_is(struct fsck *k, struct err *err)
{
	struct store_params sp = k->p.sp;
	int r;

	sp.read_only = sp.inspect = true;
	sp.log = NULL;
	r = store_open(k->p.storefd, &sp, &k->s, err);
	if (r < 0)
		return r;
	k->crashed = !k->s->log.st.clean;
	k->epoch = k->s->log.st.epoch;
	return 0;
}

/* What recovery did, line by line: "recovery: t/AB/CD: 100 bytes ...". */
static void recovery_line(void *ctx, const char *line)
{
	static const char recovery[] = "recovery: ", damaged[] = "damaged: ";
	autofree char *place = NULL, *path = NULL, *full = NULL;
	struct finding f = { .kind = FSCK_UNSYNCED, .state = FSCK_REPAIRED };
	struct fsck *k = ctx;
	const char *end;

	if (strncmp(line, damaged, strlen(damaged)) == 0 ||
	    strncmp(line, recovery, strlen(recovery)) != 0)
		return; /* the check will find it again */
	line += strlen(recovery);
	end = strstr(line, ": ");
	if (strncmp(line, "t/", 2) != 0 || !end)
		return; /* the sums, which are told otherwise */
	place = strndup(line, (size_t)(end - line));
	full = place ? str_printf("store/%s", place) : NULL;
	path = place ? fsck_plain_path(k, place) : NULL;
	f.place = full;
	f.path = path;
	fsck_tell(k, &f, "%s", end + 2);
}

static void tell_unclean(struct fsck *k, bool mended, const char *why)
{
	const struct finding f = {
		.kind = FSCK_UNCLEAN,
		.state = mended ? FSCK_REPAIRED
			 : why  ? FSCK_REMAINS
				: FSCK_RECOVERABLE,
		.place = "store/log",
		.consequence = "what was synced is safe, what was not may be missing",
		.remedy = mended ? "recovered"
			  : why  ? "see the reason"
				 : "the next mount or run recovers, or: sbxctl fsck --repair",
	};

	if (why)
		fsck_tell(k, &f, "the store was not closed, and recovery failed: %s", why);
	else if (mended)
		fsck_tell(k, &f, "the store was not closed");
	else
		fsck_tell(k, &f,
			  "the store was not closed (power cut, killed daemon): its log holds %zu "
			  "batches of changes to bring home",
			  k->rc.n);
}

/* Recovery as at mount, and a clean end. */
static int recover_now(struct fsck *k, struct err *err)
{
	struct store_params sp = k->p.sp;
	struct store *s;
	int r;

	sp.read_only = sp.inspect = false;
	sp.log = recovery_line;
	sp.log_ctx = k;
	r = store_open(k->p.storefd, &sp, &s, err);
	return r < 0 ? r : store_close(s, err);
}

/* The crash that cuts the last write of a clean state short leaves one slot; so does damage. */
static int check_slots(struct fsck *k, struct err *err)
{
	struct finding f = { .kind = FSCK_UNSYNCED,
			     .state = FSCK_RECOVERABLE,
			     .place = "store/log",
			     .consequence = "none while the other one is whole",
			     .remedy = "the next mount writes both, or: sbxctl fsck --repair" };
	bool ok[2];
	int bad, r = 0;

	log_check_slots(k->s, ok);
	if (ok[0] && ok[1])
		return 0;
	bad = ok[0] ? 1 : 0;
	if (k->p.repair) {
		store_abandon(k->s);
		k->s = NULL;
		r = recover_now(k, err); /* opens and closes it: there is nothing to recover */
		if (r == 0)
			r = open_as_is(k, err);
		f.state = FSCK_REPAIRED;
		f.remedy = "written anew";
	}
	if (r == 0)
		fsck_tell(k, &f, "state slot %d of 2 does not verify", bad);
	return r;
}

static int open_store(struct fsck *k, struct err *err)
{
	struct err why = { 0 };
	int r = open_as_is(k, err);

	if (r == 0 && !k->crashed)
		return check_slots(k, err);
	if (r < 0)
		return r;
	if (k->p.repair) {
		store_abandon(k->s);
		k->s = NULL;
		k->recovered = true;
		r = recover_now(k, &why);
		tell_unclean(k, r == 0, r < 0 ? why.text : NULL);
		r = open_as_is(k, err);
		if (r < 0 || !k->crashed)
			return r;
	}
	k->rc = (struct recovery){ .s = k->s, .epoch = k->epoch };
	r = recover_read_log(&k->rc);
	if (r < 0)
		return err_set(err, r, "read the log of the store");
	if (!k->p.repair)
		tell_unclean(k, false, NULL);
	return 0;
}

/* Log, tree and tails are all there is. */
static void check_top(struct fsck *k)
{
	int fd = openat(k->p.storefd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		autofree char *place = str_printf("store/%s", e->d_name);

		if (e->d_name[0] == '.' || strcmp(e->d_name, "log") == 0 ||
		    strcmp(e->d_name, "t") == 0 || strcmp(e->d_name, "l") == 0)
			continue;
		fsck_tell(k,
			  &(struct finding){ .kind = FSCK_FOREIGN,
					     .place = place,
					     .consequence = "it is ignored",
					     .remedy = "move it away" },
			  "not a part of the store");
	}
}

/* -- files ---------------------------------------------------------------- */

static bool next_job(struct fsck *k, struct fsck_job *ret)
{
	bool have;

	pthread_mutex_lock(&k->lock);
	while (k->count == 0 && k->walking && !k->fatal)
		pthread_cond_wait(&k->cond, &k->lock);
	have = k->count > 0;
	if (have) {
		*ret = k->queue[k->first];
		k->first = (k->first + 1) % FSCK_QUEUE;
		k->count--;
		k->files++;
		pthread_cond_broadcast(&k->cond);
	}
	pthread_mutex_unlock(&k->lock);
	return have;
}

static void *worker(void *arg)
{
	struct fsck *k = arg;
	struct fsck_job job;
	int r;

	while (next_job(k, &job)) {
		r = k->fatal ? 0 : fsck_file(k, &job);
		close(job.fd);
		free(job.path);
		free(job.place);
		if (r < 0) {
			pthread_mutex_lock(&k->lock);
			k->fatal = r;
			pthread_cond_broadcast(&k->cond);
			pthread_mutex_unlock(&k->lock);
		}
	}
	return NULL;
}

static void stop_walking(struct fsck *k)
{
	pthread_mutex_lock(&k->lock);
	k->walking = false;
	pthread_cond_broadcast(&k->cond);
	pthread_mutex_unlock(&k->lock);
}

/* The walk in this thread, the files in others. */
static int check_tree(struct fsck *k)
{
	pthread_t threads[THREADS_MAX];
	unsigned want = k->p.threads, n = 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	if (want == 0)
		want = cpus > 0 ? (unsigned)cpus : 1;
	k->walking = true;
	while (n < MIN(want, THREADS_MAX)) {
		r = -pthread_create(&threads[n], NULL, worker, k);
		if (r < 0)
			break;
		n++;
	}
	if (n > 0)
		r = fsck_walk(k);
	stop_walking(k);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return k->fatal ? k->fatal : r;
}

static int check_with_progress(struct fsck *k)
{
	pthread_t ticker;
	int r = fsck_count(k);

	if (r == 0)
		r = -pthread_create(&ticker, NULL, fsck_ticker, k);
	if (r < 0)
		return r;
	r = check_tree(k);
	pthread_mutex_lock(&k->lock);
	k->done = true;
	pthread_mutex_unlock(&k->lock);
	pthread_join(ticker, NULL);
	return r;
}

/* -- sums ----------------------------------------------------------------- */

/* With sums that cannot be known, and after a crash, nothing is compared. */
static void check_sums(struct fsck *k)
{
	const struct state *st = &k->s->log.st;

	k->sum_unknown |= k->crashed;
	if (k->sum_unknown || (st->used_bytes == k->sum_bytes && st->used_files == k->sum_files))
		return;
	fsck_tell(k,
		  &(struct finding){ .kind = FSCK_QUOTA,
				     .place = "store/log",
				     .consequence = "the quota is reached too early or too late",
				     .remedy = "it is counted anew after the next crash; a larger "
					       "quota helps until then: sbxctl set" },
		  "the state says %llu bytes in %llu files are used, there are %llu in %llu",
		  (unsigned long long)st->used_bytes, (unsigned long long)st->used_files,
		  (unsigned long long)k->sum_bytes, (unsigned long long)k->sum_files);
}

static json_t *summary(struct fsck *k, bool was_clean)
{
	return json_pack(
		"{s:b, s:b, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:{s:b, s:I, s:I}}", "clean",
		k->remaining + k->recoverable == 0, "was_clean", was_clean, "remaining",
		(json_int_t)k->remaining, "recoverable", (json_int_t)k->recoverable, "repaired",
		(json_int_t)k->repaired, "checked", "files", (json_int_t)k->files, "directories",
		(json_int_t)k->dirs, "others", (json_int_t)k->others, "bytes",
		(json_int_t)atomic_load(&k->bytes_done), "quota", "checked", !k->sum_unknown,
		"bytes", (json_int_t)k->sum_bytes, "files", (json_int_t)k->sum_files);
}

int fsck_store(struct fsck *k, json_t **ret, struct err *err)
{
	bool was_clean;
	int r = open_store(k, err);

	if (r < 0)
		return r;
	was_clean = !k->crashed && !k->recovered;
	check_top(k);
	r = k->p.progress ? check_with_progress(k) : check_tree(k);
	if (r == 0)
		r = fsck_tails(k);
	if (r < 0)
		return err_set(err, r, "check the store");
	check_sums(k);
	*ret = summary(k, was_clean);
	return *ret ? 0 : err_set(err, -ENOMEM, "check the store");
}
