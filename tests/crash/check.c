/* Power cuts in the recorded life of a workspace: many states that the disk may be left in, each
 * opened, mended and compared with what was promised.
 *
 *   crash_check [--seed N] [--count N] [--only N] [--keep] [--lie] [--own] [--whole] [--scratch
 * DIR]
 *               [--database PROGRAM] PLACE
 *
 * PLACE holds ws/ (whose keys open the states), before/, inodes, trace and journal: see
 * tests/lib/crash.py.  Exit code 1 when a state broke a promise. */
#include "tests/crash/check.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "fs/volume.h"
#include "keys/secret.h"

struct options {
	uint64_t seed;
	unsigned count;
	long only;
	bool lie, own;
	const char *place, *scratch, *database;
};

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void run(struct check *c, const struct options *o)
{
	uint64_t records = disk_records(c->disk), *at = malloc((o->count + 1) * sizeof(*at));

	for (unsigned i = 0; i < o->count; i++)
		at[i] = 1 + mix(o->seed * 1000003 + i) % records; /* the first one on was made */
	qsort(at, o->count, sizeof(*at), by_value);
	for (unsigned i = 0; i < o->count; i++) {
		if (o->only >= 0 && i != (unsigned)o->only)
			continue;
		c->number = i;
		c->at = at[i];
		disk_advance(c->disk, at[i]);
		model_advance(c->model, at[i]);
		free(c->met);
		c->met = calloc(model_paths(c->model) + 1, sizeof(*c->met));
		snprintf(c->dir, sizeof(c->dir), "%s/%u", c->scratch, i);
		check_state(c, mix(o->seed ^ mix(i)));
	}
	free(at);
}

/* In memory where that has xattrs, else beside the workspace. */
static void make_scratch(struct check *c, const struct options *o)
{
	const char *const bases[] = { o->scratch, "/dev/shm", o->place };

	for (size_t i = o->scratch ? 0 : 1; i < 3; i++) {
		snprintf(c->scratch, sizeof(c->scratch), "%s/sbx-crash-XXXXXX", bases[i]);
		if (!mkdtemp(c->scratch))
			continue;
		if (setxattr(c->scratch, "user.sbx", "x", 1, 0) == 0) {
			snprintf(c->dump, sizeof(c->dump), "%s/dump", c->scratch);
			return;
		}
		rmdir(c->scratch);
	}
	fprintf(stderr, "no directory with user xattrs for the states\n");
	exit(77);
}

static void start_database(struct check *c, const char *program)
{
	int to[2], from[2];

	if (!program)
		return;
	if (pipe(to) < 0 || pipe(from) < 0)
		exit(2);
	if (fork() == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execlp("python3", "python3", program, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	c->ask = fdopen(to[1], "w");
	c->answer = fdopen(from[0], "r");
}

static const char *in_place(const struct options *o, const char *name)
{
	char *s = malloc(strlen(o->place) + strlen(name) + 2);

	sprintf(s, "%s/%s", o->place, name);
	return s;
}

static int usage(void)
{
	fprintf(stderr, "usage: crash_check [--seed N] [--count N] [--only N] [--keep] [--lie] "
			"[--own] [--whole] "
			"[--scratch DIR] [--database PROGRAM] PLACE\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *o, struct check *c)
{
	static const struct option table[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' },
		{ "only", required_argument, NULL, 'o' },
		{ "scratch", required_argument, NULL, 'd' },
		{ "database", required_argument, NULL, 'b' },
		{ "keep", no_argument, NULL, 'k' },
		{ "lie", no_argument, NULL, 'l' },
		{ "own", no_argument, NULL, 'w' },
		{ "whole", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (opt == 's')
			o->seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			o->count = (unsigned)strtoul(optarg, NULL, 0);
		else if (opt == 'o')
			o->only = strtol(optarg, NULL, 0);
		else if (opt == 'd')
			o->scratch = optarg;
		else if (opt == 'b')
			o->database = optarg;
		else if (opt == 'k')
			c->keep = true;
		else if (opt == 'l')
			o->lie = true;
		else if (opt == 'w')
			o->own = true;
		else if (opt == 'a')
			c->whole = true;
		else
			return usage();
	}
	o->place = argv[optind];
	return optind + 1 == argc ? 0 : usage();
}

static void put64(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> 8 * i);
}

/* doc/format.md 7.1: the log and the tree, each by its number and when it was made. */
static void read_bind(struct check *c, const struct options *o)
{
	static const char *const names[] = { "ws/store/log", "ws/store/t" };

	for (int i = 0; i < 2; i++) {
		struct statx sx;

		if (statx(AT_FDCWD, in_place(o, names[i]), AT_SYMLINK_NOFOLLOW,
			  STATX_INO | STATX_BTIME, &sx) < 0)
			exit(2);
		put64(c->bind + 16 * i, sx.stx_ino);
		put64(c->bind + 16 * i + 8,
		      (uint64_t)sx.stx_btime.tv_sec * 1000000000 + (uint64_t)sx.stx_btime.tv_nsec);
	}
}

int main(int argc, char **argv)
{
	const struct volume_unlock unlock = { .no_prompt = true };
	struct options o = { .seed = 1, .count = 100, .only = -1 };
	struct check c = { 0 };
	struct err err = { 0 };

	if (parse(argc, argv, &o, &c) != 0)
		return 2;
	secret_setup(NULL);
	if (!c.whole && volume_open(in_place(&o, "ws"), &unlock, &c.vol, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	c.disk = disk_load(in_place(&o, "trace"), in_place(&o, "before"), in_place(&o, "inodes"));
	c.model = model_load(in_place(&o, "journal"));
	if (o.own)
		disk_own(c.disk);
	if (o.lie)
		disk_lie(c.disk);
	read_bind(&c, &o);
	make_scratch(&c, &o);
	start_database(&c, o.database);
	run(&c, &o);
	check_remove(c.dump);
	rmdir(c.scratch);
	printf("%u states of %llu records: %u clean, %u lost, %u unreadable; %u files emptied, %u "
	       "mended; %u times not all were looked at\n",
	       c.states, (unsigned long long)disk_records(c.disk), c.clean, c.lost, c.unreadable,
	       c.emptied, c.mended, c.part);
	volume_close(c.vol);
	return c.lost || c.unreadable;
}
