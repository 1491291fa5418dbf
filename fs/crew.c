#include "fs/crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define CREW_MAX 16u

/* One thing, on the stack of whoever has it. */
struct task {
	struct task *next;
	void (*part)(void *ctx, size_t i);
	void *ctx;
	size_t n, taken, done;
};

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct task *tasks; /* of which parts are left to be taken */
	pthread_t threads[CREW_MAX];
	unsigned max, nthreads;
	bool stop;
};

int crew_new(unsigned max, struct crew **ret)
{
	struct crew *c = calloc(1, sizeof(*c));
	cpu_set_t cpus;
	unsigned have = 1;

	if (!c)
		return -ENOMEM;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		have = MAX(1u, (unsigned)CPU_COUNT(&cpus));
	c->max = MIN(MIN(max, CREW_MAX), have - 1);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->work, NULL);
	pthread_cond_init(&c->done, NULL);
	*ret = c;
	return 0;
}

/* Do a part of it; the lock is held and given away meanwhile. */
static void do_part(struct crew *c, struct task *t)
{
	size_t i = t->taken++;

	if (t->taken == t->n) { /* nothing is left for others */
		struct task **p = &c->tasks;

		while (*p != t)
			p = &(*p)->next;
		*p = t->next;
	}
	pthread_mutex_unlock(&c->lock);
	t->part(t->ctx, i);
	pthread_mutex_lock(&c->lock);
	if (++t->done == t->n)
		pthread_cond_broadcast(&c->done);
}

static void *helper(void *arg)
{
	struct crew *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (c->tasks)
			do_part(c, c->tasks);
		else
			pthread_cond_wait(&c->work, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

void crew_do(struct crew *c, size_t n, void (*part)(void *ctx, size_t i), void *ctx)
{
	struct task t = { .part = part, .ctx = ctx, .n = n };

	if (n < 2 || c->max == 0) {
		for (size_t i = 0; i < n; i++)
			part(ctx, i);
		return;
	}
	pthread_mutex_lock(&c->lock);
	while (c->nthreads < c->max &&
	       pthread_create(&c->threads[c->nthreads], NULL, helper, c) == 0)
		c->nthreads++;
	t.next = c->tasks;
	/* It leaves the list before we do. */
	/* cppcheck-suppress autoVariables */
	c->tasks = &t;
	pthread_cond_broadcast(&c->work);
	while (t.taken < t.n)
		do_part(c, &t);
	while (t.done < t.n)
		pthread_cond_wait(&c->done, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->nthreads; i++)
		pthread_join(c->threads[i], NULL);
	pthread_cond_destroy(&c->work);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
