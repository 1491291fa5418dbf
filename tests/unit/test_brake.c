/* The brake: its decisions, and its states with a kernel that is played. */
#include "fs/brake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/quota.h"
#include "tests/check.h"

#define MIB (UINT64_C(1) << 20)

/* What the played kernel does and saw. */
static struct {
	pthread_mutex_t lock;
	struct quota *q;
	struct brake *b;
	uint64_t disk, bound;
	unsigned expired[8], synced;
	uint64_t dirty[8]; /* charged when it is synced */
	bool cannot_sync;
	unsigned answers[8];
} k = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint64_t disk_room(void *ctx)
{
	return k.disk;
}

static int writers(void *ctx, uint64_t **ret, size_t *ret_n)
{
	*ret = calloc(3, sizeof(**ret));
	for (uint64_t i = 0; i < 3; i++)
		(*ret)[i] = i + 1;
	*ret_n = 3;
	return 0;
}

static void expire(void *mount, uint64_t nodeid)
{
	__atomic_fetch_add(&k.expired[nodeid], 1, __ATOMIC_SEQ_CST);
}

/* It writes what it holds, then nothing more. */
static int sync_start(void *ctx)
{
	int p[2];

	__atomic_fetch_add(&k.synced, 1, __ATOMIC_SEQ_CST);
	for (uint64_t id = 1; id < 8; id++) {
		if (k.dirty[id]) {
			CHECK_EQ(quota_charge(k.q, k.dirty[id], 0), 0);
			k.dirty[id] = 0;
			brake_hold(k.b, id);
		}
	}
	if (k.cannot_sync || pipe(p) < 0)
		return -EAGAIN;
	close(p[1]);
	return p[0];
}

static uint64_t bound(void *ctx, uint64_t want)
{
	if (want)
		__atomic_store_n(&k.bound, want, __ATOMIC_SEQ_CST);
	return k.bound;
}

static void later(void *arg, enum brake_answer answer)
{
	__atomic_store_n((unsigned *)arg, (unsigned)answer + 1, __ATOMIC_SEQ_CST);
}

/* Until 'on' is what is asked for; the thread takes its time, but not half a minute. */
static bool becomes(bool on)
{
	for (int i = 0; i < 3000 && brake_is_on(k.b) != on; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	return brake_is_on(k.b) == on;
}

static bool answered(const unsigned *a)
{
	for (int i = 0; i < 3000 && !__atomic_load_n(a, __ATOMIC_SEQ_CST); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	return __atomic_load_n(a, __ATOMIC_SEQ_CST) != 0;
}

static void start(uint64_t limit, bool root_writes, bool write_through)
{
	static const struct brake_ops ops = {
		.disk_room = disk_room,
		.writers = writers,
		.expire = expire,
		.sync_start = sync_start,
		.bound = bound,
	};

	memset(k.expired, 0, sizeof(k.expired));
	k.synced = 0;
	memset(k.dirty, 0, sizeof(k.dirty));
	memset(k.answers, 0, sizeof(k.answers));
	k.disk = UINT64_MAX;
	k.bound = 0;
	CHECK_EQ(quota_new(limit, 0, &k.q), 0);
	CHECK_EQ(brake_new(k.q, &ops, root_writes, &k.b), 0);
	CHECK(brake_is_on(k.b)); /* nothing is known yet */
	CHECK_EQ(brake_start(k.b, NULL, write_through), 0);
}

static void end(void)
{
	brake_stop(k.b);
	CHECK(!brake_is_on(k.b));
	CHECK_EQ(brake_ask(k.b, 1, 0, NULL, NULL), BRAKE_AS_EVER);
	brake_free(k.b);
	quota_free(k.q);
}

static void decisions(void)
{
	uint64_t bound = 4096 * MIB, slack = brake_slack(8);
	bool red = false;

	CHECK_EQ(brake_slack(0), 0);
	CHECK(brake_slack(100) >= 100 * MIB);
	CHECK_EQ(brake_slack(1000), brake_slack(1000000));
	CHECK_EQ(brake_margin(100, 7), 132);
	CHECK_EQ(brake_margin(UINT64_MAX, 7), UINT64_MAX);
	CHECK(!brake_red_next(false, 100, 100));
	CHECK(brake_red_next(false, 99, 100));
	CHECK(brake_red_next(true, 110, 100));
	CHECK(!brake_red_next(true, 125, 100));
	CHECK_EQ(brake_bound_next(UINT64_MAX, 0, 0), UINT64_MAX / 2);
	CHECK_EQ(brake_bound_next(0, slack, 0), BRAKE_BOUND_MIN);
	/* However room shrinks: never green with less than the margin, and narrower before red. */
	for (uint64_t room = 8192 * MIB; room > 0 && !red; room -= MIB / 2) {
		bound = brake_bound_next(room, slack, bound);
		red = brake_red_next(false, room, brake_margin(bound, slack));
		if (red)
			CHECK_EQ(bound, BRAKE_BOUND_MIN);
		else
			CHECK(bound + bound / 4 + slack <= room);
	}
	CHECK(red);
	/* And wider again. */
	CHECK(brake_bound_next(1024 * MIB, slack, BRAKE_BOUND_MIN) > 256 * MIB);
}

static void green_and_red(void)
{
	start(200 * MIB, false, true);
	CHECK(becomes(false));
	CHECK(k.bound >= BRAKE_BOUND_MIN && k.bound <= 100 * MIB);
	CHECK_EQ(brake_ask(k.b, 1, 7, later, &k.answers[1]), BRAKE_AS_EVER);
	CHECK_EQ(k.expired[1] + k.synced, 0);
	/* The line is crossed; what the kernel holds is charged before anybody goes on. */
	k.dirty[1] = 3 * MIB;
	k.dirty[2] = MIB;
	CHECK_EQ(quota_charge(k.q, 180 * MIB, 0), 0);
	CHECK(brake_is_on(k.b)); /* at once, by whoever charged */
	if (brake_ask(k.b, 3, 7, later, &k.answers[3]) == BRAKE_LATER) {
		CHECK(answered(&k.answers[3]));
		CHECK_EQ(k.answers[3], BRAKE_WRITE_THROUGH + 1);
	}
	/* One that was opened since waits until all is flushed, then no longer. */
	if (brake_ask(k.b, 5, 7, later, &k.answers[5]) == BRAKE_LATER)
		CHECK(answered(&k.answers[5]));
	CHECK_EQ(brake_ask(k.b, 5, 7, later, &k.answers[5]), BRAKE_WRITE_THROUGH);
	for (int i = 1; i <= 3; i++)
		CHECK(k.expired[i] > 0);
	CHECK(k.synced > 1); /* until nothing came any more */
	CHECK_EQ(k.dirty[1] + k.dirty[2], 0);
	/* A little room is not enough, much is. */
	quota_release(k.q, 5 * MIB, 0);
	CHECK(brake_is_on(k.b));
	quota_release(k.q, 150 * MIB, 0);
	CHECK(becomes(false));
	CHECK_EQ(brake_ask(k.b, 1, 7, later, &k.answers[1]), BRAKE_AS_EVER);
	/* A new limit is looked at before anything is charged under it. */
	quota_set_limits(k.q, 40 * MIB, 0);
	CHECK(brake_is_on(k.b));
	end();
}

/* More writers need more room. */
static void many_writers(void)
{
	start(100 * MIB, false, true);
	CHECK(becomes(false));
	for (int i = 0; i < 100; i++)
		brake_count(k.b, 1);
	CHECK(brake_is_on(k.b));
	for (int i = 0; i < 100; i++)
		brake_count(k.b, -1);
	quota_set_limits(k.q, 100 * MIB, 0);
	CHECK(becomes(false));
	brake_count(NULL, 1);
	end();
}

/* No quota, but a disk that others fill. */
static void disk_fills(void)
{
	start(0, false, true);
	CHECK(becomes(false));
	k.disk = 5 * MIB;
	CHECK_EQ(quota_charge(k.q, 4096, 0), 0); /* somebody writes: it is looked at */
	CHECK(becomes(true));
	k.disk = 500 * MIB;
	CHECK(becomes(false));
	end();
}

/* Who cannot be made to write through is let in by steps. */
static void root_is_granted(void)
{
	start(12 * MIB, true, true);
	k.dirty[1] = MIB;
	for (int i = 0; i < 30 && k.dirty[1]; i++) { /* what was granted is flushed by and by */
		k.answers[1] = 0;
		CHECK_EQ(brake_ask(k.b, 1, 0, later, &k.answers[1]), BRAKE_LATER);
		CHECK(answered(&k.answers[1]));
		CHECK_EQ(k.answers[1], BRAKE_AS_EVER + 1);
	}
	CHECK_EQ(k.dirty[1], 0);
	CHECK_EQ(quota_charge(k.q, 11 * MIB - BRAKE_GRANT / 2, 0), 0);
	CHECK_EQ(brake_ask(k.b, 2, 0, later, &k.answers[2]), BRAKE_LATER);
	CHECK(answered(&k.answers[2]));
	CHECK_EQ(k.answers[2], BRAKE_REFUSE + 1);
	end();
	/* Without that means in the kernel, everybody is. */
	start(12 * MIB, false, false);
	CHECK_EQ(brake_ask(k.b, 2, 7, later, &k.answers[2]), BRAKE_LATER);
	CHECK(answered(&k.answers[2]));
	end();
}

/* Nobody who could sync: the brake works all the same, on what the kernel writes by itself. */
static void no_sync(void)
{
	k.cannot_sync = true;
	start(200 * MIB, false, true);
	CHECK(becomes(false));
	CHECK_EQ(quota_charge(k.q, 199 * MIB, 0), 0);
	CHECK(becomes(true));
	if (brake_ask(k.b, 3, 7, later, &k.answers[3]) == BRAKE_LATER)
		CHECK(answered(&k.answers[3]));
	end();
	k.cannot_sync = false;
}

/* Nobody is left waiting at the end. */
static void ends_while_asked(void)
{
	for (int i = 0; i < 50; i++) {
		enum brake_answer a;

		start(MIB, true, true);
		a = brake_ask(k.b, 1, 0, later, &k.answers[1]);
		brake_stop(k.b);
		if (a == BRAKE_LATER)
			CHECK(k.answers[1] != 0);
		end();
	}
}

int main(void)
{
	decisions();
	green_and_red();
	many_writers();
	disk_fills();
	root_is_granted();
	no_sync();
	ends_while_asked();
	brake_free(NULL);
	return check_report();
}
