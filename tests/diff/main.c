/* usage: fsdiff [--seed N] [--count N] [--threads N] [--rounds N] [--between CMD] DIR
 *
 * 'count' operations in DIR, which must be empty, in 'rounds' rounds.  After each round everything
 * is compared; then CMD is run by the shell (it may unmount and mount again), and everything is
 * compared once more.  Prints the seed first.  Exit code 0: no difference. */
#include "tests/diff/model.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct run {
	unsigned threads, rounds;
	uint64_t count;
	const char *between, *dir;
};

struct job {
	struct thread *t;
	uint64_t count;
};

static void one(struct thread *t)
{
	uint64_t kind = below(t, 100);

	if (kind < 30)
		op_names(t);
	else if (kind < 78)
		op_files(t);
	else if (kind < 93)
		op_attrs(t);
	else if (kind < 96)
		op_scan(t);
	else
		op_shared(t);
}

static void *work(void *arg)
{
	struct job *j = arg;
	uint64_t end = j->t->done + j->count;

	/* Every operation writes itself down, so this counts the ones that were done. */
	while (j->t->done < end)
		one(j->t);
	handles_close(j->t);
	return NULL;
}

static void *check(void *arg)
{
	uint64_t done = ((struct job *)arg)->t->done;

	check_tree(((struct job *)arg)->t);
	((struct job *)arg)->t->done = done; /* checks are not counted */
	return NULL;
}

static void all(struct thread *threads, const struct run *r, void *(*fn)(void *))
{
	pthread_t ids[64];
	struct job jobs[64];

	for (unsigned i = 0; i < r->threads; i++) {
		jobs[i] = (struct job){ &threads[i], r->count / r->rounds / r->threads + 1 };
		if (pthread_create(&ids[i], NULL, fn, &jobs[i]) != 0)
			exit(2);
	}
	for (unsigned i = 0; i < r->threads; i++)
		pthread_join(ids[i], NULL);
}

static void thread_start(struct thread *t, unsigned number, const char *dir)
{
	t->number = number;
	t->rng = seed * 1000003 + number;
	t->shared_rng = ~t->rng;
	snprintf(t->base, sizeof(t->base), "%.900s/t%u", dir, number);
	if (mkdir(t->base, 0755) < 0) {
		perror(t->base);
		exit(2);
	}
	t->root = node_new(t, S_IFDIR | 0755);
	for (int i = 0; i < MAX_HANDLES; i++)
		t->handles[i].fd = -1;
}

/* Some filesystems do not count subdirectories as links. */
static bool counts_dirs(const char *dir)
{
	char path[PATH_SIZE];
	struct stat a, b;
	bool counts;

	snprintf(path, sizeof(path), "%s/probe", dir);
	counts = stat(dir, &a) == 0 && mkdir(path, 0755) == 0 && stat(dir, &b) == 0 &&
		 b.st_nlink == a.st_nlink + 1;
	rmdir(path);
	return counts;
}

static int run(const struct run *r)
{
	struct thread *threads = calloc(r->threads, sizeof(*threads));
	uint64_t done = 0;

	umask(022);
	is_root = geteuid() == 0;
	dir_nlink = counts_dirs(r->dir);
	snprintf(shared_dir, sizeof(shared_dir), "%.900s/shared", r->dir);
	shared_start();
	for (unsigned i = 0; threads && i < r->threads; i++)
		thread_start(&threads[i], i, r->dir);
	for (unsigned round = 0; threads && round < r->rounds; round++) {
		all(threads, r, work);
		all(threads, r, check);
		shared_check(threads, r->threads);
		if (!r->between)
			continue;
		if (system(r->between) != 0) {
			fprintf(stderr, "BAD round %u: '%s' failed\n", round, r->between);
			return 1;
		}
		all(threads, r, check);
		shared_check(threads, r->threads);
	}
	for (unsigned i = 0; threads && i < r->threads; i++)
		done += threads[i].done;
	printf("%llu operations, %u threads, %u rounds: no difference\n", (unsigned long long)done,
	       r->threads, r->rounds);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "between", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	struct run r = { .threads = 3, .rounds = 8, .count = 10000 };
	struct timespec now;
	int c;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'c')
			r.count = strtoull(optarg, NULL, 0);
		else if (c == 't')
			r.threads = (unsigned)atoi(optarg);
		else if (c == 'r')
			r.rounds = (unsigned)atoi(optarg);
		else if (c == 'b')
			r.between = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc || r.threads < 1 || r.threads > 64 || r.rounds < 1)
		return 2;
	r.dir = argv[optind];
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	return run(&r);
}
