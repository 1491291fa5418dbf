/* The same file operations on any filesystem, timed exactly: one workload per call, so that the
 * caller can drop caches and mount anew in between.
 *
 *   fsbench DIR WORKLOAD     prints lines "ROW NUMBER": MB/s (10^6 bytes) or operations per second
 *
 * A sequential write gives two rows: WORKLOAD, the time of the write calls alone, and
 * WORKLOAD-close, the time up to and with the close, at which a FUSE filesystem with write-back
 * caching hands over all that it holds and a kernel filesystem nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WARM_BYTES   (1ul << 30)
#define FILE_BYTES   (256l << 20)
#define RANDOM_BYTES (64l << 20)
#define FILES        2000
#define SMALL_BYTES  3000
#define MIB          (1 << 20)

static char *buf;

static void die(const char *what)
{
	fprintf(stderr, "fsbench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int must_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		die(name);
	return fd;
}

static void row(const char *name, double value)
{
	printf("%s %.1f\n", name, value);
}

static int write_blocks(const char *name, long bytes, size_t block)
{
	int fd = must_open(name, O_WRONLY | O_CREAT | O_TRUNC);

	for (long done = 0; done < bytes; done += (long)block)
		if (write(fd, buf, block) != (ssize_t)block)
			die("write");
	return fd;
}

static void must_close(int fd)
{
	if (close(fd) < 0)
		die("close");
}

static void write_rows(const char *name, const char *close_name, size_t block)
{
	double begin = now(), written;
	int fd = write_blocks("big", FILE_BYTES, block);

	written = now() - begin;
	must_close(fd);
	row(name, (double)FILE_BYTES / 1e6 / written);
	row(close_name, (double)FILE_BYTES / 1e6 / (now() - begin));
}

static double write_big(void)
{
	write_rows("write-1m", "write-1m-close", MIB);
	return -1;
}

static double write_small(void)
{
	write_rows("write-4k", "write-4k-close", 4096);
	return -1;
}

static double write_synced(void)
{
	double begin = now(), end;
	int fd = write_blocks("big", FILE_BYTES, MIB);

	if (fsync(fd) < 0)
		die("fsync");
	end = now();
	must_close(fd);
	return (double)FILE_BYTES / 1e6 / (end - begin);
}

static double read_seq(void)
{
	double begin = now();
	int fd = must_open("big", O_RDONLY);
	long total = 0;
	ssize_t n;

	while ((n = read(fd, buf, MIB)) > 0)
		total += n;
	close(fd);
	if (total != FILE_BYTES)
		die("read: short");
	return (double)total / 1e6 / (now() - begin);
}

/* Mapped, in order: the first byte of every page. */
static double read_mapped(void)
{
	double begin = now();
	int fd = must_open("big", O_RDONLY);
	const volatile char *m = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	unsigned sum = 0;

	if (m == MAP_FAILED)
		die("mmap");
	for (long at = 0; at < FILE_BYTES; at += 4096)
		sum += (unsigned char)m[at];
	munmap((void *)m, FILE_BYTES);
	close(fd);
	if (sum == 0)
		die("mmap: zeros");
	return (double)FILE_BYTES / 1e6 / (now() - begin);
}

/* A fixed pseudo-random walk: the same for every candidate. */
static off_t next_block(unsigned long *state)
{
	*state = *state * 6364136223846793005ul + 1442695040888963407ul;
	return (off_t)((*state >> 33) % (RANDOM_BYTES / 4096)) * 4096;
}

static double make_random_file(void)
{
	int fd = write_blocks("random", RANDOM_BYTES, MIB);

	if (fsync(fd) < 0)
		die("fsync");
	must_close(fd);
	return -1;
}

/* One fsync at the end, after half as many writes as the file has blocks. */
static double random_write(void)
{
	int fd = must_open("random", O_RDWR), n = RANDOM_BYTES / 4096 / 2;
	unsigned long state = 5;
	double begin = now(), end;

	for (int i = 0; i < n; i++)
		if (pwrite(fd, buf, 4096, next_block(&state)) != 4096)
			die("pwrite");
	if (fsync(fd) < 0)
		die("fsync");
	end = now();
	must_close(fd);
	return n / (end - begin);
}

/* As databases do it: many writes in place, then one fsync, over and over. */
static double random_write_256(void)
{
	int fd = must_open("random", O_RDWR), n = 0;
	unsigned long state = 7;
	double begin = now(), end;

	do {
		for (int i = 0; i < 256; i++, n++)
			if (pwrite(fd, buf, 4096, next_block(&state)) != 4096)
				die("pwrite");
		if (fsync(fd) < 0)
			die("fsync");
		end = now();
	} while (end - begin < 1.5);
	close(fd);
	return n / (end - begin);
}

static double random_write_each(void)
{
	int fd = must_open("random", O_RDWR), n = 0;
	unsigned long state = 9;
	double begin = now(), end;

	do {
		if (pwrite(fd, buf, 4096, next_block(&state)) != 4096 || fsync(fd) < 0)
			die("pwrite, fsync");
		n++;
		end = now();
	} while (end - begin < 1);
	close(fd);
	return n / (end - begin);
}

static double random_read(void)
{
	int fd = must_open("random", O_RDONLY), n = 0;
	unsigned long state = 11;
	double begin = now(), end;

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	/* Fewer than a fifth of the blocks: mostly cold. */
	for (n = 0; n < 3000; n++)
		if (pread(fd, buf, 4096, next_block(&state)) != 4096)
			die("pread");
	end = now();
	close(fd);
	return n / (end - begin);
}

static const char *nth(const char *form, int n)
{
	static char names[2][64];
	static int which;

	which = !which;
	snprintf(names[which], sizeof(names[which]), form, n % 20, n);
	return names[which];
}

static double create_files(void)
{
	double begin;
	char dir[32];

	for (int d = 0; d < 20; d++) {
		snprintf(dir, sizeof(dir), "dir%d", d);
		mkdir(dir, 0755);
	}
	begin = now();
	for (int n = 0; n < FILES; n++)
		close(must_open(nth("dir%d/file-number-%d.csv", n), O_WRONLY | O_CREAT | O_EXCL));
	return FILES / (now() - begin);
}

static void make_small(int n)
{
	int fd = must_open(nth("dir%d/small-%d.csv", n), O_WRONLY | O_CREAT | O_TRUNC);

	if (write(fd, buf, SMALL_BYTES) != SMALL_BYTES)
		die("write");
	must_close(fd);
}

static double make_small_files(void)
{
	for (int n = 0; n < FILES; n++)
		make_small(n);
	return -1;
}

static double read_small_files(void)
{
	double begin = now();

	for (int n = 0; n < FILES; n++) {
		int fd = must_open(nth("dir%d/small-%d.csv", n), O_RDONLY);

		if (read(fd, buf, MIB) != SMALL_BYTES)
			die("read");
		close(fd);
	}
	return FILES / (now() - begin);
}

static double stat_files(void)
{
	struct stat st;
	double begin = now();

	for (int n = 0; n < FILES; n++)
		if (stat(nth("dir%d/file-number-%d.csv", n), &st) < 0)
			die("stat");
	return FILES / (now() - begin);
}

static double rename_files(void)
{
	double begin = now();

	for (int n = 0; n < FILES; n++)
		if (rename(nth("dir%d/file-number-%d.csv", n), nth("dir%d/renamed-%d.csv", n)) < 0)
			die("rename");
	return FILES / (now() - begin);
}

static double unlink_files(void)
{
	double begin = now();

	for (int n = 0; n < FILES; n++)
		if (unlink(nth("dir%d/renamed-%d.csv", n)) < 0)
			die("unlink");
	return FILES / (now() - begin);
}

/* Each returns the figure of the row of its own name, or has printed its rows and returns -1. */
static const struct {
	const char *name;
	double (*fn)(void);
} workloads[] = {
	{ "write-1m", write_big },
	{ "write-4k", write_small },
	{ "write-1m-fsync", write_synced },
	{ "read", read_seq },
	{ "read-mmap", read_mapped },
	{ "random-make", make_random_file },
	{ "random-write", random_write },
	{ "random-write-256", random_write_256 },
	{ "random-read", random_read },
	{ "create", create_files },
	{ "small-make", make_small_files },
	{ "read-small", read_small_files },
	{ "stat", stat_files },
	{ "rename", rename_files },
	{ "unlink", unlink_files },
	{ "random-write-each", random_write_each },
};

/* In a virtual machine that hands free memory back to its host, the first touch of a page costs
 * many times the copy into it, and whose turn comes after a quiet moment would pay for it.  Pages
 * that were touched just now are what the kernel hands out next. */
static void warm_memory(void)
{
	void *m = mmap(NULL, WARM_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (m != MAP_FAILED)
		munmap(m, WARM_BYTES);
}

int main(int argc, char **argv)
{
	double figure;

	if (argc != 3) {
		fprintf(stderr, "usage: fsbench DIR WORKLOAD\n");
		return 2;
	}
	if (chdir(argv[1]) < 0)
		die(argv[1]);
	buf = aligned_alloc(4096, MIB);
	if (!buf)
		die("memory");
	for (int i = 0; i < MIB; i++)
		buf[i] = (char)(i * 31 + i / 4096);
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
		if (strcmp(argv[2], workloads[i].name) == 0) {
			warm_memory();
			figure = workloads[i].fn();
			if (figure >= 0)
				row(argv[2], figure);
			return 0;
		}
	fprintf(stderr, "fsbench: no workload '%s'\n", argv[2]);
	return 2;
}
