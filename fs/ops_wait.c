#include "fs/ops_wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"

#define LOOK_NS 2000000

struct item {
	struct item *next;
	struct waiting w;
};

struct wait {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct item *added; /* guarded by lock */
	bool stop;
};

/* True: it has its reply. */
static bool look(struct waiting *w, bool stop)
{
	if (!stop && !fuse_req_interrupted(w->req))
		return w->serve(w);
	fuse_reply_err(w->req, EINTR);
	return true;
}

static void *wait_thread(void *arg)
{
	struct wait *w = arg;
	struct item *list = NULL, *i;
	bool stop = false;

	while (!stop || list) {
		struct item **p = &list;

		pthread_mutex_lock(&w->lock);
		while (!w->added && !w->stop && !list)
			pthread_cond_wait(&w->cond, &w->lock);
		stop = w->stop;
		while (w->added) {
			i = w->added;
			w->added = i->next;
			i->next = list;
			list = i;
		}
		pthread_mutex_unlock(&w->lock);
		while ((i = *p)) {
			if (!look(&i->w, stop)) {
				p = &i->next;
				continue;
			}
			*p = i->next;
			free(i);
		}
		if (list)
			nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
	}
	return NULL;
}

struct wait *wait_new(void)
{
	struct wait *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	if (pthread_create(&w->thread, NULL, wait_thread, w) != 0) {
		free(w);
		return NULL;
	}
	return w;
}

void wait_free(struct wait *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void wait_add(struct wait *w, const struct waiting *what)
{
	struct item *i = w ? malloc(sizeof(*i)) : NULL;

	if (!i) {
		fuse_reply_err(what->req, EIO);
		return;
	}
	i->w = *what;
	pthread_mutex_lock(&w->lock);
	i->next = w->added;
	w->added = i;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}
