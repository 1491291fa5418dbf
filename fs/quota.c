#include "fs/quota.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/blockmap.h"

struct quota {
	pthread_mutex_t lock; /* guards the rest */
	struct quota_usage u;
	struct quota_watch watch;
};

uint64_t quota_file_bytes(uint64_t mapped_blocks)
{
	uint64_t tag_pages = 0;

	if (mapped_blocks > HEAD_BLOCKS)
		tag_pages = (mapped_blocks - HEAD_BLOCKS + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
	return QUOTA_PAGE * (1 + mapped_blocks + tag_pages);
}

int quota_new(uint64_t limit_bytes, uint64_t limit_files, struct quota **ret)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	q->u.limit_bytes = limit_bytes;
	q->u.limit_files = limit_files;
	q->watch.wake = q->watch.high = UINT64_MAX;
	*ret = q;
	return 0;
}

void quota_free(struct quota *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* After a change of what is charged; the lock is held. */
static void tell(struct quota *q)
{
	struct quota_watch *w = &q->watch;

	if (q->u.bytes > w->high) {
		w->high = UINT64_MAX;
		w->fn(w->arg, true);
	} else if (q->u.bytes > w->wake || q->u.bytes < w->low) {
		w->wake = UINT64_MAX;
		w->low = 0;
		w->fn(w->arg, false);
	}
}

void quota_watch(struct quota *q, const struct quota_watch *w)
{
	pthread_mutex_lock(&q->lock);
	q->watch = w ? *w : (struct quota_watch){ 0 };
	if (!w)
		q->watch.wake = q->watch.high = UINT64_MAX;
	tell(q);
	pthread_mutex_unlock(&q->lock);
}

void quota_set_limits(struct quota *q, uint64_t limit_bytes, uint64_t limit_files)
{
	pthread_mutex_lock(&q->lock);
	q->u.limit_bytes = limit_bytes;
	q->u.limit_files = limit_files;
	/* Whoever watches must think again, before anything else is charged. */
	if (q->watch.fn)
		q->watch.fn(q->watch.arg, true);
	pthread_mutex_unlock(&q->lock);
}

void quota_set_used(struct quota *q, uint64_t bytes, uint64_t files)
{
	pthread_mutex_lock(&q->lock);
	q->u.bytes = bytes;
	q->u.files = files;
	pthread_mutex_unlock(&q->lock);
}

/* Would 'used + more' pass 'limit'?  Nothing more is always allowed, also above the limit. */
static int passes(uint64_t used, uint64_t more, uint64_t limit)
{
	uint64_t sum;

	if (more == 0)
		return 0;
	if (__builtin_add_overflow(used, more, &sum))
		return 1;
	return limit != 0 && sum > limit;
}

int quota_charge(struct quota *q, uint64_t bytes, uint64_t files)
{
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (passes(q->u.bytes, bytes, q->u.limit_bytes)) {
		r = -ENOSPC;
	} else if (passes(q->u.files, files, q->u.limit_files)) {
		r = -EDQUOT;
	} else {
		q->u.bytes += bytes;
		q->u.files += files;
		tell(q);
	}
	q->u.refused += r < 0;
	pthread_mutex_unlock(&q->lock);
	return r;
}

void quota_release(struct quota *q, uint64_t bytes, uint64_t files)
{
	pthread_mutex_lock(&q->lock);
	q->u.bytes -= bytes < q->u.bytes ? bytes : q->u.bytes;
	q->u.files -= files < q->u.files ? files : q->u.files;
	tell(q);
	pthread_mutex_unlock(&q->lock);
}

void quota_get(const struct quota *q, struct quota_usage *ret)
{
	struct quota *mut = (struct quota *)q; /* only its lock changes */

	pthread_mutex_lock(&mut->lock);
	*ret = q->u;
	pthread_mutex_unlock(&mut->lock);
}
