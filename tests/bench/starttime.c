/* Start programs and wait for their ends, in interleaved rounds, so that all meet the same machine.
 *
 *   starttime ROUNDS NAME PROGRAM [ARG..] [+after PROGRAM [ARG..]] [+next NAME PROGRAM [ARG..]]..
 *
 * Prints a line "NAME MEDIAN P95" for each, in ms.  What follows +after runs when the clock stands,
 * until it succeeds.  Input is empty and output dropped; the first round is thrown away.  ROUNDS
 * may be "xN": one round then, of N of each at once, whose line has the time until all had ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CANDIDATES 16

struct candidate {
	const char *name;
	char **argv, **after;
	double *ms;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "starttime: %s: %s\n", what, why);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(char **argv)
{
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
	if (r != 0)
		die(argv[0], strerror(r));
	posix_spawn_file_actions_destroy(&quiet);
	return pid;
}

static bool ended_well(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("wait", strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static double once(const struct candidate *c)
{
	double t = now(), ms;

	if (!ended_well(start(c->argv)))
		die(c->name, "did not end with 0");
	ms = now() - t;
	for (int tries = 0; c->after && !ended_well(start(c->after)); tries++) {
		if (tries == 1000)
			die(c->after[0], "does not succeed");
		usleep(2000);
	}
	return ms;
}

static double together(const struct candidate *c, int n)
{
	pid_t *pids = calloc((size_t)n, sizeof(*pids));
	double t = now();

	for (int i = 0; i < n; i++)
		pids[i] = start(c->argv);
	for (int i = 0; i < n; i++)
		if (!ended_well(pids[i]))
			die(c->name, "did not end with 0");
	free(pids);
	return now() - t;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int read_candidates(int argc, char **argv, struct candidate *c)
{
	int n = 0;

	for (int i = 2; i < argc; i++) {
		if (n == CANDIDATES || i + 1 >= argc)
			die("candidates", "too many, or one without a program");
		c[n] = (struct candidate){ .name = argv[i], .argv = argv + i + 1 };
		for (i++; i < argc && strcmp(argv[i], "+next") != 0; i++)
			if (!strcmp(argv[i], "+after")) {
				argv[i] = NULL;
				c[n].after = argv + i + 1;
			}
		if (i < argc)
			argv[i] = NULL;
		n++;
	}
	return n;
}

int main(int argc, char **argv)
{
	struct candidate c[CANDIDATES];
	int n = argc < 4 ? 0 : read_candidates(argc, argv, c), rounds;

	if (n == 0)
		die("usage", "starttime ROUNDS|xN NAME PROGRAM [ARG..] [+next ..]");
	if (argv[1][0] == 'x') {
		for (int i = 0; i < n; i++)
			printf("%s %.1f\n", c[i].name, together(&c[i], atoi(argv[1] + 1)));
		return 0;
	}
	rounds = atoi(argv[1]);
	for (int i = 0; i < n; i++)
		c[i].ms = calloc((size_t)rounds + 1, sizeof(double));
	for (int round = 0; round <= rounds; round++)
		for (int i = 0; i < n; i++)
			c[i].ms[round] = once(&c[i]);
	for (int i = 0; i < n; i++) {
		qsort(c[i].ms + 1, (size_t)rounds, sizeof(double), compare);
		printf("%s %.2f %.2f\n", c[i].name, c[i].ms[1 + rounds / 2],
		       c[i].ms[1 + rounds * 95 / 100]);
		free(c[i].ms);
	}
	return 0;
}
