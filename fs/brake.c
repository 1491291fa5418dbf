#include "fs/brake.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/hmap.h"
#include "fs/quota.h"
#include "fs/slow.h"

/* In flight per writer when red begins, for so many of them at most. */
#define WRITER_SLACK (UINT64_C(1) << 20)
#define WRITERS_MAX  128u
/* So many are always expected. */
#define WRITERS_MIN 8u
/* The disk below has other users: look again so often while something changes or red is on. */
#define LOOK_MS 1000
/* Nobody waits longer for an answer because of us: better inexact than stuck. */
#define HOLD_MS 1000
/* The kernel lets a write(2) that meets too many dirty pages sleep for so long: what it had not
 * copied yet when red began shows up afterwards. Flush until nothing comes any more. */
#define PAUSE_MS     220
#define FLUSH_ROUNDS 8
/* One round: at most so long; and what was on its way is here when nothing came for so long. */
#define SYNC_MS  2000
#define QUIET_MS 20
#define STEP_MS  5

/* -- decisions ------------------------------------------------------------ */

uint64_t brake_slack(unsigned writers)
{
	return MIN(writers, WRITERS_MAX) * WRITER_SLACK;
}

uint64_t brake_margin(uint64_t bound, uint64_t slack)
{
	uint64_t sum;

	if (__builtin_add_overflow(bound, bound / 4, &sum) ||
	    __builtin_add_overflow(sum, slack, &sum))
		return UINT64_MAX;
	return sum;
}

bool brake_red_next(bool red, uint64_t room, uint64_t margin)
{
	return room < margin || (red && room - margin < margin / 4);
}

uint64_t brake_bound_next(uint64_t room, uint64_t slack, uint64_t bound)
{
	uint64_t left = MAX(room, slack) - slack, ideal = MAX(left / 2, BRAKE_BOUND_MIN);

	/* Too wide, or much narrower than need be; else all is well. */
	return bound > left / 4 * 3 || bound < ideal / 4 ? ideal : bound;
}

/* -- the brake ------------------------------------------------------------ */

struct job {
	struct job *next;
	void (*fn)(void *arg, enum brake_answer answer);
	void *arg;
	bool root;
};

struct brake {
	atomic_uint flags; /* first: brake_is_on() reads it */
	struct quota *q;
	struct brake_ops ops;
	void *mount;
	bool root_writes, write_through;
	pthread_t thread;
	bool running;
	int wake; /* eventfd */
	atomic_bool think, stop;
	atomic_uint writers, expected;
	atomic_uint_fast64_t events; /* cached writes that came while on */

	pthread_mutex_t lock; /* guards the next ones; taken inside the quota's, never around it */
	pthread_cond_t released;
	struct job *jobs, **last;
	struct hmap olds; /* while flushing */

	/* the thread's own */
	uint64_t asked, bound, used_before;
	uint64_t granted; /* times BRAKE_GRANT, since everything was flushed */
};
_Static_assert(offsetof(struct brake, flags) == 0, "brake_is_on() relies on it");

int brake_new(struct quota *q, const struct brake_ops *ops, bool root_writes, struct brake **ret)
{
	struct brake *b = calloc(1, sizeof(*b));
	pthread_condattr_t ca;

	if (!b)
		return -ENOMEM;
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->wake < 0) {
		free(b);
		return -errno;
	}
	b->q = q;
	b->ops = *ops;
	b->root_writes = root_writes;
	b->last = &b->jobs;
	b->used_before = UINT64_MAX;
	atomic_store(&b->flags, BRAKE_RED);
	atomic_store(&b->expected, UINT_MAX);
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&b->released, &ca);
	pthread_condattr_destroy(&ca);
	*ret = b;
	return 0;
}

static void wake(struct brake *b)
{
	uint64_t one = 1;
	ssize_t n = write(b->wake, &one, sizeof(one));

	(void)n; /* it cannot fail but by being awake */
}

/* Called by the quota, which is locked. */
static void on_quota(void *arg, bool high)
{
	struct brake *b = arg;

	if (high)
		atomic_fetch_or(&b->flags, BRAKE_HOLD);
	atomic_store(&b->think, true);
	wake(b);
}

static void clear_flags(struct brake *b, unsigned flags)
{
	pthread_mutex_lock(&b->lock);
	atomic_fetch_and(&b->flags, ~flags);
	pthread_cond_broadcast(&b->released);
	pthread_mutex_unlock(&b->lock);
}

/* -- the files that were open when red began ------------------------------- */

struct old {
	struct hlink link;
	uint64_t nodeid;
	bool asked, wrote;
};

static struct old *old_find(const struct brake *b, uint64_t nodeid)
{
	for (struct hlink *l = hmap_first(&b->olds, hmap_mix(nodeid)); l; l = hmap_next(l))
		if (container_of(l, struct old, link)->nodeid == nodeid)
			return container_of(l, struct old, link);
	return NULL;
}

/* Without memory one of them waits like the others. */
static void olds_set(struct brake *b, const uint64_t *ids, size_t n)
{
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < n; i++) {
		struct old *o = calloc(1, sizeof(*o));

		if (!o)
			break;
		o->nodeid = ids[i];
		if (hmap_insert(&b->olds, &o->link, hmap_mix(ids[i])) < 0) {
			free(o);
			break;
		}
	}
	pthread_mutex_unlock(&b->lock);
}

static void olds_clear(struct brake *b)
{
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < b->olds.size; i++) {
		for (struct hlink *l = b->olds.slots[i], *next; l; l = next) {
			next = l->next;
			free(container_of(l, struct old, link));
		}
	}
	hmap_free(&b->olds);
	pthread_mutex_unlock(&b->lock);
}

static void old_asked(struct brake *b, uint64_t nodeid)
{
	struct old *o;

	pthread_mutex_lock(&b->lock);
	o = old_find(b, nodeid);
	if (o)
		o->asked = true;
	pthread_mutex_unlock(&b->lock);
}

static void old_wrote(struct brake *b, uint64_t nodeid)
{
	struct old *o;

	pthread_mutex_lock(&b->lock);
	o = old_find(b, nodeid);
	if (o) {
		o->asked = false;
		o->wrote = true;
	}
	pthread_mutex_unlock(&b->lock);
}

/* Is there one that wrote and did not ask since?  It may be in the middle of a write(2). */
static bool olds_busy(struct brake *b)
{
	bool busy = false;

	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < b->olds.size && !busy; i++) {
		for (struct hlink *l = b->olds.slots[i]; l && !busy; l = l->next) {
			const struct old *o = container_of(l, struct old, link);

			busy = o->wrote && !o->asked;
		}
	}
	pthread_mutex_unlock(&b->lock);
	return busy;
}

/* -- turning red and green ------------------------------------------------ */

static bool ended(const struct brake *b)
{
	return atomic_load(&b->stop);
}

static void sync_wait(struct brake *b)
{
	struct pollfd p = { .fd = b->ops.sync_start(b->ops.ctx), .events = POLLIN };

	if (p.fd < 0)
		return; /* what is held comes later, by the kernel's own timers */
	for (int ms = 0; ms < SYNC_MS && !ended(b); ms += STEP_MS)
		if (poll(&p, 1, STEP_MS) > 0)
			break;
	close(p.fd);
}

/* Until no cached write came for 'ms'. */
static void quiet_wait(struct brake *b, int ms)
{
	uint64_t seen = atomic_load(&b->events);

	for (int t = 0, all = 0; t < ms && all < SYNC_MS && !ended(b); t += STEP_MS) {
		nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000L }, NULL);
		all += STEP_MS;
		if (atomic_load(&b->events) != seen) {
			seen = atomic_load(&b->events);
			t = 0;
		}
	}
}

/* Have everything written that the kernel holds, until nothing comes any more. */
static void flush_all(struct brake *b)
{
	for (int round = 0; round < FLUSH_ROUNDS && !ended(b); round++) {
		uint64_t seen = atomic_load(&b->events);

		sync_wait(b);
		quiet_wait(b, QUIET_MS);
		if (atomic_load(&b->events) == seen && !olds_busy(b))
			break;
		quiet_wait(b, PAUSE_MS);
	}
	b->granted = 0;
}

static void turn_red(struct brake *b)
{
	autofree uint64_t *ids = NULL;
	size_t n = 0;

	/* Whoever opens a file from here on sees the new state itself. */
	atomic_fetch_or(&b->flags, BRAKE_RED | BRAKE_FLUSHING | BRAKE_HOLD);
	if (b->ops.writers(b->ops.ctx, &ids, &n) < 0)
		n = 0; /* no memory for some numbers: what is held comes later */
	olds_set(b, ids, n);
	for (size_t i = 0; i < n; i++)
		b->ops.expire(b->mount, ids[i]);
	clear_flags(b, BRAKE_HOLD);
	flush_all(b);
	clear_flags(b, BRAKE_FLUSHING);
	olds_clear(b);
}

static uint64_t room_now(struct brake *b, struct quota_usage *ret)
{
	uint64_t room = UINT64_MAX, disk;

	quota_get(b->q, ret);
	if (ret->limit_bytes)
		room = MAX(ret->limit_bytes, ret->bytes) - ret->bytes;
	disk = b->ops.disk_room(b->ops.ctx);
	return MIN(room, disk);
}

/* Have the quota call when the decision would be another one. */
static void watch(struct brake *b, const struct quota_usage *u, uint64_t room, uint64_t margin,
		  bool red)
{
	struct quota_watch w = { .fn = on_quota, .arg = b, .wake = UINT64_MAX, .high = UINT64_MAX };
	uint64_t leave, rise;

	if (red) {
		leave = margin + margin / 4;
		w.low = leave > room && leave - room < u->bytes ? u->bytes - (leave - room) + 1 : 0;
	} else {
		/* Where the bound must become narrower, or red begins. */
		rise = MIN(room - margin, room / 4);
		if (__builtin_add_overflow(u->bytes, rise, &w.high))
			w.high = UINT64_MAX;
		if (u->bytes == b->used_before)
			w.wake = u->bytes; /* asleep until something is charged */
	}
	quota_watch(b->q, &w);
}

/* How long until the next look, if nobody calls. */
static int think(struct brake *b)
{
	bool red = atomic_load(&b->flags) & BRAKE_RED, next;
	struct quota_usage u;
	uint64_t room = room_now(b, &u), want, margin;
	unsigned expected;
	bool still;

	expected = MAX(2 * atomic_load(&b->writers), WRITERS_MIN);
	atomic_store(&b->expected, expected);
	want = brake_bound_next(room, brake_slack(expected), b->asked);
	b->bound = b->ops.bound(b->ops.ctx, want == b->asked ? 0 : want);
	b->asked = want;
	margin = brake_margin(b->bound, brake_slack(expected));
	next = brake_red_next(red, room, margin);
	if (next && !red)
		turn_red(b);
	watch(b, &u, room, margin, next);
	if (!next)
		clear_flags(b, BRAKE_RED | BRAKE_HOLD);
	else
		clear_flags(b, BRAKE_HOLD);
	still = u.bytes == b->used_before && !next;
	b->used_before = u.bytes;
	return still ? -1 : LOOK_MS;
}

/* -- jobs ----------------------------------------------------------------- */

static int job_add(struct brake *b, bool root, void (*fn)(void *arg, enum brake_answer answer),
		   void *arg)
{
	struct job *j = NULL;

	pthread_mutex_lock(&b->lock);
	if (b->running && !atomic_load(&b->stop))
		j = malloc(sizeof(*j));
	if (j) {
		*j = (struct job){ NULL, fn, arg, root };
		*b->last = j;
		b->last = &j->next;
	}
	pthread_mutex_unlock(&b->lock);
	wake(b);
	return j ? 0 : -ENOMEM;
}

/* A writer that cannot be made to write through: may it take another BRAKE_GRANT bytes?  What was
 * granted before counts as taken until everything was flushed. */
static enum brake_answer grant(struct brake *b)
{
	struct quota_usage u;

	if (room_now(b, &u) / BRAKE_GRANT <= b->granted)
		flush_all(b);
	if (room_now(b, &u) / BRAKE_GRANT <= b->granted)
		return BRAKE_REFUSE;
	b->granted++;
	return BRAKE_AS_EVER;
}

static enum brake_answer decide(struct brake *b, const struct job *j)
{
	if (!(atomic_load(&b->flags) & BRAKE_RED))
		return BRAKE_AS_EVER;
	return j->root ? grant(b) : BRAKE_WRITE_THROUGH;
}

static struct job *job_take(struct brake *b)
{
	struct job *j;

	pthread_mutex_lock(&b->lock);
	j = b->jobs;
	if (j)
		b->jobs = j->next;
	if (!b->jobs)
		b->last = &b->jobs;
	pthread_mutex_unlock(&b->lock);
	return j;
}

static void serve_jobs(struct brake *b, bool ending)
{
	struct job *j;

	while ((j = job_take(b))) {
		j->fn(j->arg, ending ? BRAKE_AS_EVER : decide(b, j));
		free(j);
	}
}

static void *thread_main(void *arg)
{
	struct brake *b = arg;
	int wait_ms = think(b);

	while (!atomic_load(&b->stop)) {
		struct pollfd p = { .fd = b->wake, .events = POLLIN };
		int r = poll(&p, 1, wait_ms);
		uint64_t n;

		if (r > 0 && read(b->wake, &n, sizeof(n)) < 0)
			continue;
		if (atomic_exchange(&b->think, false) || r == 0)
			wait_ms = think(b);
		serve_jobs(b, false);
	}
	quota_watch(b->q, NULL);
	return NULL;
}

int brake_start(struct brake *b, void *mount, bool write_through)
{
	int r;

	b->mount = mount;
	b->write_through = write_through;
	pthread_mutex_lock(&b->lock);
	r = pthread_create(&b->thread, NULL, thread_main, b);
	b->running = r == 0;
	pthread_mutex_unlock(&b->lock);
	return -r;
}

void brake_stop(struct brake *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock); /* after this nobody adds a job */
	atomic_store(&b->stop, true);
	pthread_cond_broadcast(&b->released);
	pthread_mutex_unlock(&b->lock);
	wake(b);
	if (b->running)
		pthread_join(b->thread, NULL);
	b->running = false;
	clear_flags(b, ~0u);
	olds_clear(b);
	serve_jobs(b, true);
}

void brake_free(struct brake *b)
{
	if (!b)
		return;
	brake_stop(b);
	pthread_cond_destroy(&b->released);
	pthread_mutex_destroy(&b->lock);
	close(b->wake);
	free(b);
}

/* -- requests ------------------------------------------------------------- */

void brake_count(struct brake *b, int n)
{
	unsigned now;

	if (!b)
		return;
	now = atomic_fetch_add_explicit(&b->writers, (unsigned)n, memory_order_relaxed) +
	      (unsigned)n;
	if (n > 0 && now > atomic_load_explicit(&b->expected, memory_order_relaxed)) {
		atomic_store(&b->expected, UINT_MAX); /* until it was thought about */
		on_quota(b, true);
	}
}

void brake_hold(struct brake *b, uint64_t nodeid)
{
	unsigned flags = atomic_load(&b->flags);
	struct timespec end;

	atomic_fetch_add(&b->events, 1);
	if (flags & BRAKE_FLUSHING)
		old_wrote(b, nodeid);
	if (!(flags & BRAKE_HOLD))
		return;
	slow_ahead();
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += HOLD_MS / 1000;
	pthread_mutex_lock(&b->lock);
	while (atomic_load(&b->flags) & BRAKE_HOLD && !atomic_load(&b->stop)) {
		if (pthread_cond_timedwait(&b->released, &b->lock, &end) == ETIMEDOUT)
			break;
	}
	pthread_mutex_unlock(&b->lock);
}

void brake_look(struct brake *b)
{
	atomic_store(&b->think, true);
	wake(b);
}

enum brake_answer brake_ask(struct brake *b, uint64_t nodeid, unsigned uid,
			    void (*fn)(void *arg, enum brake_answer answer), void *arg)
{
	unsigned flags = atomic_load(&b->flags);
	bool root = !b->write_through || (b->root_writes && uid == 0);

	if (flags == 0 || atomic_load(&b->stop))
		return BRAKE_AS_EVER;
	if (flags == BRAKE_RED && !root)
		return BRAKE_WRITE_THROUGH;
	if (flags & BRAKE_FLUSHING)
		old_asked(b, nodeid);
	return job_add(b, root, fn, arg) == 0 ? BRAKE_LATER : BRAKE_REFUSE;
}
