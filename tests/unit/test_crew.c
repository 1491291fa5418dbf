/* Every part is done once, whoever asks and however many ask at a time. */
#include "fs/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/check.h"

#define PARTS 100

static struct crew *crew;

struct thing {
	atomic_uint times[PARTS];
};

static void part(void *ctx, size_t i)
{
	struct thing *t = ctx;

	if (i % 16 == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 10000 }, NULL);
	atomic_fetch_add(&t->times[i], 1);
}

static void *ask(void *arg)
{
	atomic_uint *wrong = arg;

	for (size_t round = 0; round < 200; round++) {
		struct thing t = { 0 };
		size_t n = round % PARTS;

		crew_do(crew, n, part, &t);
		for (size_t i = 0; i < PARTS; i++)
			if (t.times[i] != (i < n))
				atomic_fetch_add(wrong, 1);
	}
	return NULL;
}

int main(void)
{
	for (unsigned max = 0; max < 8; max += 3) {
		pthread_t threads[4];
		atomic_uint wrong = 0;

		CHECK_EQ(crew_new(max, &crew), 0);
		for (size_t i = 0; i < 4; i++)
			CHECK_EQ(pthread_create(&threads[i], NULL, ask, &wrong), 0);
		for (size_t i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		CHECK_EQ(wrong, 0);
		crew_free(crew);
	}
	crew_free(NULL);
	return check_report();
}
