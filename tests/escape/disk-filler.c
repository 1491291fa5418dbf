/* Attacks 4 and 5: fill the workspace: "blocks", "append" (one byte each), "fallocate", "sparse",
 * "files", "dirs" (deep).  Prints "met ERRNO after N"; 'max' ends it: no limit was met (exit 1). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char block[65536];

static int met(long n)
{
	printf("met %s after %ld\n", strerrorname_np(errno), n);
	return 0;
}

static int new_file(const char *name)
{
	return open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static int fill_blocks(long max)
{
	int fd = new_file("fill");

	/* A short one is followed by the one that says why. */
	for (long n = 0; n < max; n++)
		if (write(fd, block, sizeof(block)) < 0)
			return met(n);
	/* What was only cached is told here at the latest. */
	return fsync(fd) < 0 ? met(max) : close(fd) < 0 ? met(max) : 1;
}

static int fill_append(long max)
{
	char name[32];

	for (long n = 0; n < max; n++) {
		int fd;

		snprintf(name, sizeof(name), "a%ld", n % 2);
		fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, block, 1) != 1)
			return met(n);
		close(fd);
	}
	return 1;
}

/* In one call: what is promised must fit. */
static int fill_fallocate(long max)
{
	int fd = new_file("allocated");

	if (fallocate(fd, 0, 0, max * (off_t)sizeof(block)) < 0)
		return met(0);
	return 1;
}

/* Blocks far apart: each costs a whole block of ciphertext. */
static int fill_sparse(long max)
{
	int fd = new_file("sparse");

	for (long n = 0; n < max; n++)
		if (pwrite(fd, block, 4096, n * 1048576L) != 4096)
			return met(n);
	return fsync(fd) < 0 ? met(max) : 1;
}

static int fill_files(long max)
{
	char name[256];

	for (long n = 0; n < max; n++) {
		int fd;

		/* Long names, which cost more than short ones. */
		snprintf(name, sizeof(name), "%0200ld", n);
		fd = new_file(name);
		if (fd < 0)
			return met(n);
		close(fd);
	}
	return 1;
}

static int fill_dirs(long max)
{
	for (long n = 0; n < max; n++)
		if (mkdir("d", 0700) < 0 || chdir("d") < 0)
			return met(n);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*fn)(long);
	} kinds[] = { { "blocks", fill_blocks },       { "append", fill_append },
		      { "fallocate", fill_fallocate }, { "sparse", fill_sparse },
		      { "files", fill_files },         { "dirs", fill_dirs } };

	setvbuf(stdout, NULL, _IONBF, 0);
	memset(block, 'x', sizeof(block));
	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0) {
			if (kinds[i].fn(atol(argv[2])) == 0)
				return 0;
			printf("no limit met\n");
			return 1;
		}
	return 2;
}
