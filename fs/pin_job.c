#include "fs/pin_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/arch.h"
#include "fs/pin_job_int.h"

/* -- all of them ----------------------------------------------------------- */

int pin_jobs_new(struct pin_jobs **ret)
{
	struct pin_jobs *js = calloc(1, sizeof(*js));

	if (!js)
		return -ENOMEM;
	pthread_mutex_init(&js->lock, NULL);
	pthread_cond_init(&js->idle, NULL);
	*ret = js;
	return 0;
}

void pin_jobs_free(struct pin_jobs *js)
{
	if (!js)
		return;
	atomic_store(&js->cancel, true);
	pthread_mutex_lock(&js->lock);
	while (js->running > 0)
		pthread_cond_wait(&js->idle, &js->lock);
	pthread_mutex_unlock(&js->lock);
	pthread_cond_destroy(&js->idle);
	pthread_mutex_destroy(&js->lock);
	free(js);
}

/* -- one ------------------------------------------------------------------- */

static void strings_free(char **v)
{
	for (char **s = v; s && *s; s++)
		free(*s);
	free(v);
}

static char **strings_copy(const char *const *v)
{
	size_t n = 0;
	char **copy;

	while (v && v[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(v[i]);
		if (!copy[i]) {
			strings_free(copy);
			return NULL;
		}
	}
	return copy;
}

static void job_unref(struct pin_job *j)
{
	if (!j || atomic_fetch_sub(&j->refs, 1) != 1)
		return;
	if (j->fd >= 0)
		close(j->fd);
	if (j->temp[0] && !j->committed)
		(void)unlinkat(j->dir, j->temp, 0);
	if (j->arch) {
		arch_unuse(j->arch);
		arch_unref(j->arch, 1);
	}
	if (j->top >= 0)
		close(j->top);
	pin_unref(j->pin);
	pin_tree_free(&j->tree);
	strings_free(j->include);
	strings_free(j->exclude);
	pthread_mutex_destroy(&j->lock);
	free(j->match);
	free(j->found);
	free(j->path);
	free(j->base);
	free(j);
}

bool job_cancelled(struct pin_job *j)
{
	return atomic_load_explicit(&j->cancel, memory_order_relaxed) ||
	       atomic_load_explicit(&j->all->cancel, memory_order_relaxed);
}

int job_fail(struct pin_job *j, int r, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&j->lock);
	if (!j->err.code) {
		size_t len = strlen(text);

		/* A sentence says why itself; else errno does. */
		if (len > 0 && text[len - 1] == '.')
			err_set(&j->err, r, "%.*s.", (int)len - 1, text);
		else
			err_set(&j->err, r, "%s", text);
	}
	pthread_mutex_unlock(&j->lock);
	atomic_store(&j->cancel, true);
	return r;
}

int job_find(struct pin_job *j, const struct pin_finding *f)
{
	int r = 0;

	pthread_mutex_lock(&j->lock);
	/* Pieces of one file are near each other. */
	for (size_t k = j->nfound;
	     f->kind == PIN_OTHER_CONTENT && k > j->told && j->nfound - k < 2 * PIN_THREADS_MAX;
	     k--) {
		struct pin_finding *have = &j->found[k - 1];

		if (have->kind != f->kind || have->i != f->i)
			continue;
		have->a += f->a;
		have->b = MIN(have->b, f->b);
		pthread_mutex_unlock(&j->lock);
		return 0;
	}
	if (j->nfound == j->room) {
		size_t room = j->room ? 2 * j->room : 64;
		struct pin_finding *v = reallocarray(j->found, room, sizeof(*v));

		if (v) {
			j->found = v;
			j->room = room;
		}
	}
	if (j->nfound < j->room)
		j->found[j->nfound++] = *f;
	else
		r = -ENOMEM;
	pthread_mutex_unlock(&j->lock);
	return r < 0 ? job_fail(j, r, "compare with the pin") : 0;
}

static int walk_progress(void *ctx, const struct pin_tree *t)
{
	struct pin_job *j = ctx;

	atomic_store(&j->files, t->n);
	return job_cancelled(j) ? -ECANCELED : 0;
}

static int walk_failed(void *ctx, const struct pin_tree *t, uint32_t i, int r)
{
	struct pin_job *j = ctx;
	autofree char *path = NULL;

	if (j->pin)
		return job_find(j,
				&(struct pin_finding){ PIN_UNREADABLE, false, i, 0, (uint64_t)-r });
	path = pin_tree_path(t, i);
	return job_fail(j, r, "read '%s/%s'", j->path, path ? path : "?");
}

static int walk(struct pin_job *j)
{
	struct pin_walk w = {
		.top = j->top,
		.base = j->what == DATA_IS_FILE ? j->base : NULL,
		.arch = j->arch,
		.filter = { (const char *const *)j->include, (const char *const *)j->exclude },
		.own = { j->own[0], j->own[1] },
		.progress = walk_progress,
		.failed = walk_failed,
		.ctx = j,
	};
	int r = pin_tree_walk(&j->tree, &w);

	if (r < 0)
		return r == -ECANCELED ? r : job_fail(j, r, "read '%s'", j->path);
	pthread_mutex_lock(&j->lock);
	j->total = j->tree.bytes;
	j->total_files = j->tree.files;
	pthread_mutex_unlock(&j->lock);
	atomic_store(&j->files, 0);
	return 0;
}

static int job_run(struct pin_job *j)
{
	int r;

	if (!j->arch) {
		j->top = data_source_open(j->path, O_PATH | O_NOFOLLOW);
		if (j->top < 0 && j->pin)
			return job_find(j, &(struct pin_finding){ PIN_UNREADABLE, true, 0, 0,
								  (uint64_t)-j->top });
		if (j->top < 0)
			return job_fail(j, j->top, "open '%s'", j->path);
	}
	r = walk(j);
	if (r == 0)
		r = j->pin ? pin_compare_names(j) : pin_write_begin(j);
	if (r == 0)
		r = pin_hash_content(j);
	if (r == 0 && !j->pin)
		r = pin_write_end(j);
	return r;
}

static void *job_thread(void *arg)
{
	struct pin_job *j = arg;
	struct pin_jobs *all = j->all;
	int r = job_run(j);

	pthread_mutex_lock(&j->lock);
	j->ended = true;
	j->result = j->err.code ? j->err.code : r;
	pthread_mutex_unlock(&j->lock);
	job_unref(j);
	pthread_mutex_lock(&all->lock);
	if (--all->running == 0)
		pthread_cond_broadcast(&all->idle);
	pthread_mutex_unlock(&all->lock);
	return NULL;
}

static int job_new(struct pin_jobs *js, const struct pin_job_params *p, struct pin_job **ret)
{
	struct pin_job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	atomic_init(&j->refs, 1);
	pthread_mutex_init(&j->lock, NULL);
	j->all = js;
	j->fd = j->top = -1;
	j->dir = p->dir;
	j->own[0] = p->own[0];
	j->own[1] = p->own[1];
	j->what = p->source->what;
	j->path = strdup(p->source->source);
	j->base =
		strdup(strrchr(p->source->source, '/') ? strrchr(p->source->source, '/') + 1 : "");
	j->include = strings_copy(p->source->include);
	j->exclude = strings_copy(p->source->exclude);
	j->pin = pin_ref(p->pin);
	if (p->arch) {
		arch_ref(p->arch, 1);
		arch_use(p->arch);
		j->arch = p->arch;
	}
	if (!j->path || !j->base || !j->include || !j->exclude) {
		job_unref(j);
		return -ENOMEM;
	}
	*ret = j;
	return 0;
}

int pin_job_start(struct pin_jobs *js, const struct pin_job_params *p, struct pin_job **ret,
		  struct err *err)
{
	struct pin_job *j = NULL;
	pthread_attr_t at;
	pthread_t t;
	int r = job_new(js, p, &j);

	if (r == 0)
		r = -pthread_attr_init(&at);
	if (r < 0) {
		job_unref(j);
		return err_set(err, r, "read the dataset");
	}
	(void)pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
	atomic_fetch_add(&j->refs, 1);
	pthread_mutex_lock(&js->lock);
	js->running++;
	r = -pthread_create(&t, &at, job_thread, j);
	if (r < 0)
		js->running--;
	pthread_mutex_unlock(&js->lock);
	pthread_attr_destroy(&at);
	if (r < 0) {
		job_unref(j);
		job_unref(j);
		return err_set(err, r, "start a thread");
	}
	*ret = j;
	return 0;
}

void pin_job_end(struct pin_job *j)
{
	if (!j)
		return;
	atomic_store(&j->cancel, true);
	job_unref(j);
}

int pin_job_state(struct pin_job *j, struct pin_progress *ret, struct err *err)
{
	int r;

	pthread_mutex_lock(&j->lock);
	*ret = (struct pin_progress){
		.done = atomic_load(&j->done),
		.total = j->total,
		.files = atomic_load(&j->files),
		.total_files = j->total_files,
	};
	r = j->ended ? j->result : -EINPROGRESS;
	if (r < 0 && r != -EINPROGRESS && err) {
		*err = j->err;
		if (!err->code)
			err_set(err, r, "read the dataset");
	}
	pthread_mutex_unlock(&j->lock);
	return r;
}

void pin_job_made(struct pin_job *j, struct pin_made *ret)
{
	*ret = j->made;
}

void pin_file_name(const char *name, char ret[static PIN_FILE_NAME])
{
	snprintf(ret, PIN_FILE_NAME, "%s.pin", name);
}

int pin_job_commit(struct pin_job *j, const char *name, struct err *err)
{
	char file[PIN_FILE_NAME];

	pin_file_name(name, file);
	if (renameat(j->dir, j->temp, j->dir, file) < 0 || fsync(j->dir) < 0)
		return err_set(err, -errno, "create '" PIN_DIR "/%s'", file);
	j->committed = true;
	return 0;
}

json_t *pin_job_findings(struct pin_job *j, size_t max)
{
	json_t *list = json_array();
	struct pin_finding f;

	while (max-- > 0) {
		pthread_mutex_lock(&j->lock);
		/* What is still being counted is told at the end. */
		if (j->told == j->nfound ||
		    (!j->ended && j->found[j->told].kind == PIN_OTHER_CONTENT)) {
			pthread_mutex_unlock(&j->lock);
			break;
		}
		f = j->found[j->told++];
		pthread_mutex_unlock(&j->lock);
		json_array_append_new(list, pin_finding_json(j, &f));
	}
	return list;
}

uint64_t pin_job_found(struct pin_job *j)
{
	uint64_t n;

	pthread_mutex_lock(&j->lock);
	n = j->nfound;
	pthread_mutex_unlock(&j->lock);
	return n;
}
