/* The lock of four bytes: it excludes, it waits, it wakes. */
#include "base/mutex.h"

#include <pthread.h>
#include <sched.h>

#include "tests/check.h"

enum { THREADS = 8, ROUNDS = 20000 };

static struct mutex mu;
static unsigned count, inside, most;

static void *work(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		mutex_lock(&mu);
		inside++;
		if (inside > most)
			most = inside;
		if (i % 64 == 0)
			sched_yield(); /* others come to wait */
		count++;
		inside--;
		mutex_unlock(&mu);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	CHECK_EQ(sizeof(mu), 4);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, work, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0); /* hangs if somebody is not woken */
	CHECK_EQ(count, THREADS * ROUNDS);
	CHECK_EQ(most, 1);
	CHECK_EQ(atomic_load(&mu.state), 0);
	return check_report();
}
