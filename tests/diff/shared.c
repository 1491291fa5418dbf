/* What threads do to each other: all work on few names of one directory.  No model can know who is
 * first, but the sum is known: a name was made as often as it was removed, or once more and then it
 * is there.  And of what all append to one file nothing is lost, torn or doubled. */
#include "tests/diff/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 6, DIRS = 4, NAMES = FILES + DIRS, RECORD = 64, MAX_THREADS = 64 };

static void name_path(unsigned i, char path[static PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%c%u", shared_dir, i < FILES ? 'f' : 'd', i);
}

static void log_path(char path[static PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/log", shared_dir);
}

void shared_start(void)
{
	if (mkdir(shared_dir, 0755) < 0) {
		perror(shared_dir);
		exit(2);
	}
}

/* 'r' is 0 or one of the errnos that a race allows; true: it worked. */
static bool allowed(struct thread *t, long r, int a, int b)
{
	int got = errno;

	if (r >= 0)
		return true;
	if (got != a && got != b)
		differs(t, "it gave %s, which no order of events explains", strerrorname_np(got));
	return false;
}

static void append(struct thread *t)
{
	char path[PATH_SIZE], record[RECORD];
	int fd;

	log_path(path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	note(t, "shared: append record %llu", (unsigned long long)t->records);
	expect(t, fd, 0);
	memset(record, 'a' + (int)(t->number % 26), sizeof(record));
	snprintf(record, sizeof(record), "%u %llu ", t->number, (unsigned long long)t->records);
	record[strlen(record)] = '.';
	record[RECORD - 1] = '\n';
	t->records++;
	if (write(fd, record, RECORD) != RECORD)
		differs(t, "it wrote less: %m");
	close(fd);
}

static void two_names(struct thread *t, unsigned a, unsigned b, uint64_t kind)
{
	char from[PATH_SIZE], to[PATH_SIZE];

	name_path(a, from);
	name_path(b, to);
	if (a == b)
		return;
	if (kind == 0) {
		note(t, "shared: link %s %s", from, to);
		if (allowed(t, link(from, to), ENOENT, EEXIST))
			t->balance[b]++;
	} else if (kind == 1) {
		note(t, "shared: exchange %s %s", from, to);
		(void)allowed(t, renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE), ENOENT,
			      ENOENT);
	} else {
		note(t, "shared: move %s %s", from, to);
		if (allowed(t, renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE), ENOENT,
			    EEXIST)) {
			t->balance[a]--;
			t->balance[b]++;
		}
	}
}

static void file_name(struct thread *t, unsigned i, bool make)
{
	char path[PATH_SIZE];

	name_path(i, path);
	note(t, "shared: %s %s", make ? "create" : "unlink", path);
	if (make) {
		int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		if (!allowed(t, fd, EEXIST, EEXIST))
			return;
		t->balance[i]++;
		if (write(fd, path, 8) != 8)
			differs(t, "write: %m");
		close(fd);
	} else if (allowed(t, unlink(path), ENOENT, ENOENT)) {
		t->balance[i]--;
	}
}

static void dir_name(struct thread *t, unsigned i, bool make)
{
	char path[PATH_SIZE], in[PATH_SIZE + 16];

	name_path(i, path);
	note(t, "shared: %s %s", make ? "mkdir" : "rmdir", path);
	if (make) {
		if (!allowed(t, mkdir(path, 0755), EEXIST, EEXIST))
			return;
		t->balance[i]++;
		/* Somebody may remove the directory before, or move it away. */
		snprintf(in, sizeof(in), "%s/%u", path, t->number);
		if (allowed(t, mkdir(in, 0755), ENOENT, EEXIST))
			(void)allowed(t, rmdir(in), ENOENT, ENOENT);
	} else if (allowed(t, rmdir(path), ENOENT, ENOTEMPTY)) {
		t->balance[i]--;
	}
}

void op_shared(struct thread *t)
{
	uint64_t own = t->rng, r;
	bool dirs;

	/* Draws of its own, however the races end: a subtree's life depends on the seed alone. */
	t->rng = t->shared_rng;
	dirs = below(t, 3) == 0;
	r = below(t, 10);
	if (r == 0)
		append(t);
	else if (r < 4)
		two_names(t, dirs ? FILES + (unsigned)below(t, DIRS) : (unsigned)below(t, FILES),
			  dirs ? FILES + (unsigned)below(t, DIRS) : (unsigned)below(t, FILES),
			  dirs ? 1 + below(t, 2) : below(t, 3));
	else if (dirs)
		dir_name(t, FILES + (unsigned)below(t, DIRS), r < 7);
	else
		file_name(t, (unsigned)below(t, FILES), r < 7);
	t->shared_rng = t->rng;
	t->rng = own;
}

static void check_log(struct thread *threads, unsigned n)
{
	uint64_t next[MAX_THREADS] = { 0 };
	char path[PATH_SIZE], record[RECORD + 1] = "";
	FILE *f;

	log_path(path);
	f = fopen(path, "re");
	while (f && fread(record, 1, RECORD, f) == RECORD) {
		unsigned number;
		unsigned long long at;

		if (sscanf(record, "%u %llu .", &number, &at) != 2 || number >= n ||
		    record[RECORD - 1] != '\n' || record[RECORD - 2] != 'a' + (int)(number % 26) ||
		    at != next[number])
			differs(&threads[0], "shared: the log holds '%s'", record);
		next[number]++;
	}
	if (f)
		fclose(f);
	for (unsigned i = 0; i < n; i++)
		if (next[i] != threads[i].records)
			differs(&threads[i], "shared: the log holds %llu records of %llu",
				(unsigned long long)next[i],
				(unsigned long long)threads[i].records);
}

void shared_check(struct thread *threads, unsigned n)
{
	for (unsigned i = 0; i < NAMES; i++) {
		char path[PATH_SIZE];
		struct stat st;
		long sum = 0;
		bool there;

		for (unsigned k = 0; k < n; k++)
			sum += threads[k].balance[i];
		name_path(i, path);
		there = lstat(path, &st) == 0;
		if (sum != there)
			differs(&threads[0], "shared: %s is %s, but the balance is %ld", path,
				there ? "there" : "not there", sum);
		if (there && S_ISDIR(st.st_mode) != (i >= FILES))
			differs(&threads[0], "shared: %s has another type", path);
	}
	check_log(threads, n);
}
