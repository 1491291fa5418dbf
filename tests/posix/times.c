/* Which times an operation moves, and setting them. */
#include "tests/posix/posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { M = 1, C = 2 }; /* mtime, ctime */

static long long ns(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The clock of inodes moves in steps of up to 10 ms. */
static void tick(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 12000000 }, NULL);
}

static int opened(int fd)
{
	return fd < 0 ? fd : close(fd);
}

static int op_write(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC), r = write(fd, "x", 1) == 1 ? 0 : -1;

	return close(fd) | r;
}

static int op_write_nothing(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC), r = (int)write(fd, "x", 0);

	return close(fd) | r;
}

static int op_trunc(void)
{
	return opened(open("d/f", O_WRONLY | O_TRUNC | O_CLOEXEC));
}

static int op_truncate(void)
{
	return truncate("d/f", 1);
}

static int op_grow(void)
{
	return truncate("d/f", 100000);
}

static int op_fallocate(void)
{
	int fd = open("d/f", O_WRONLY | O_CLOEXEC), r = fallocate(fd, 0, 0, 9999);

	return close(fd) | r;
}

static int op_chmod(void)
{
	return chmod("d/f", 0640);
}

static int op_chown(void)
{
	return chown("d/f", geteuid(), getegid());
}

static int op_link(void)
{
	return link("d/f", "d/g");
}

static int op_unlink_other(void)
{
	return link("d/f", "h") | unlink("d/f") | rename("h", "d/f");
}

static int op_rename(void)
{
	return rename("d/f", "d/g") | rename("d/g", "d/f");
}

static int op_setxattr(void)
{
	return setxattr("d/f", "user.a", "b", 1, 0);
}

static int op_read(void)
{
	char c;
	int fd = open("d/f", O_RDONLY | O_CLOEXEC), r = read(fd, &c, 1) >= 0 ? 0 : -1;

	return close(fd) | r;
}

static int op_create(void)
{
	return opened(open("d/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static int op_open_creat(void)
{
	return opened(open("d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static int op_mkdir(void)
{
	return mkdir("d/new", 0755);
}

static int op_symlink(void)
{
	return symlink("x", "d/new");
}

static int op_mkfifo(void)
{
	return mkfifo("d/new", 0644);
}

static int op_unlink(void)
{
	return unlink("d/f2");
}

static int op_rmdir(void)
{
	return rmdir("d/sub");
}

static int op_move_out(void)
{
	return rename("d/f2", "out");
}

static int op_move_in(void)
{
	return rename("in", "d/in");
}

static int op_failing(void)
{
	return mkdir("d/f", 0755) < 0 && rmdir("d/none") < 0 && unlink("d/none") < 0 &&
			       link("d/f2", "d/f") < 0
		       ? 0
		       : -1;
}

static const struct {
	const char *name;
	int (*fn)(void);
	int file, dir; /* what of d/f and of d moves */
} ops[] = {
	{ "write", op_write, M | C, 0 },
	{ "write of nothing", op_write_nothing, 0, 0 },
	{ "O_TRUNC", op_trunc, M | C, 0 },
	{ "truncate", op_truncate, M | C, 0 },
	{ "truncate that grows", op_grow, M | C, 0 },
	{ "fallocate that grows", op_fallocate, M | C, 0 },
	{ "chmod", op_chmod, C, 0 },
	{ "chown", op_chown, C, 0 },
	{ "link", op_link, C, M | C },
	{ "unlink of another name", op_unlink_other, C, M | C },
	{ "rename", op_rename, C, M | C },
	{ "setxattr", op_setxattr, C, 0 },
	{ "read", op_read, 0, 0 },
	{ "create", op_create, 0, M | C },
	{ "O_CREAT of what is there", op_open_creat, 0, 0 },
	{ "mkdir", op_mkdir, 0, M | C },
	{ "symlink", op_symlink, 0, M | C },
	{ "mkfifo", op_mkfifo, 0, M | C },
	{ "unlink", op_unlink, 0, M | C },
	{ "rmdir", op_rmdir, 0, M | C },
	{ "rename away", op_move_out, 0, M | C },
	{ "rename into", op_move_in, 0, M | C },
	{ "what fails", op_failing, 0, 0 },
};

static void moved(const char *op, const char *what, const struct stat *a, const struct stat *b,
		  int want)
{
	ok((ns(b->st_mtim) > ns(a->st_mtim)) == !!(want & M), "mtime of the %s after %s %s", what,
	   op, want & M ? "moves" : "stays");
	ok((ns(b->st_ctim) > ns(a->st_ctim)) == !!(want & C), "ctime of the %s after %s %s", what,
	   op, want & C ? "moves" : "stays");
	ok(ns(b->st_mtim) >= ns(a->st_mtim) && ns(b->st_ctim) >= ns(a->st_ctim),
	   "times of the %s after %s never go back", what, op);
}

static void check_operations(void)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct stat f0, d0, f1, d1;

		make("d", S_IFDIR);
		put("d/f", "some text");
		put("d/f2", "text");
		put("in", "text");
		make("d/sub", S_IFDIR);
		GIVES(stat("d/f", &f0) | stat("d", &d0), 0, "stat");
		tick();
		GIVES(ops[i].fn(), 0, "%s", ops[i].name);
		GIVES(stat("d/f", &f1) | stat("d", &d1), 0, "stat");
		moved(ops[i].name, "file", &f0, &f1, ops[i].file);
		moved(ops[i].name, "directory", &d0, &d1, ops[i].dir);
		wipe("d");
		wipe("in");
		wipe("out");
		wipe("h");
	}
}

/* -- utimensat ------------------------------------------------------------ */

static const struct timespec values[] = {
	{ 0, UTIME_NOW },
	{ 0, UTIME_OMIT },
	{ 0, 0 },
	{ 0, 1 },
	{ 1, 999999999 },
	{ 1234567890, 987654321 },
	{ 2147483648LL, 5 },
	{ 4294967296LL, 6 },
	{ 1000000000, 1000 },
};

enum { NVALUES = sizeof(values) / sizeof(values[0]) };

static void time_is(const char *what, const struct timespec *set, struct timespec got,
		    struct timespec before, struct timespec start)
{
	if (set->tv_nsec == UTIME_OMIT)
		ok(ns(got) == ns(before), "%s is left alone", what);
	else if (set->tv_nsec == UTIME_NOW)
		ok(ns(got) + 20000000 >= ns(start), "%s is now", what);
	else
		ok(ns(got) == ns(*set), "%s is %lld.%09ld, set to %lld.%09ld", what,
		   (long long)got.tv_sec, got.tv_nsec, (long long)set->tv_sec, set->tv_nsec);
}

static void check_setting(mode_t type)
{
	make("x", type);
	for (size_t a = 0; a < NVALUES; a++) {
		for (size_t m = 0; m < NVALUES; m++) {
			struct timespec ts[2] = { values[a], values[m] }, start;
			struct stat before, after;

			GIVES(lstat("x", &before), 0, "lstat");
			clock_gettime(CLOCK_REALTIME, &start);
			GIVES(utimensat(AT_FDCWD, "x", ts, AT_SYMLINK_NOFOLLOW), 0,
			      "utimensat of %s", type_name(type));
			GIVES(lstat("x", &after), 0, "lstat");
			time_is("atime", &ts[0], after.st_atim, before.st_atim, start);
			time_is("mtime", &ts[1], after.st_mtim, before.st_mtim, start);
		}
	}
	wipe("x");
}

static void check_bad_values(void)
{
	static const long bad[] = { -1, 1000000000, 2000000000 };
	struct timespec ts[2] = { { 1, 1 }, { 1, 1 } };

	put("x", "text");
	for (size_t i = 0; i < 3; i++) {
		ts[0].tv_nsec = bad[i];
		GIVES(utimensat(AT_FDCWD, "x", ts, 0), EINVAL, "atime with %ld ns", bad[i]);
		ts[0].tv_nsec = 1;
		ts[1].tv_nsec = bad[i];
		GIVES(utimensat(AT_FDCWD, "x", ts, 0), EINVAL, "mtime with %ld ns", bad[i]);
		ts[1].tv_nsec = 1;
	}
	wipe("x");
}

/* The owner may set anything; who may write may only say "now"; nothing at all is anybody's. */
static void check_rights(void)
{
	static const struct {
		struct timespec ts[2];
		int owner, writer, other;
	} rows[] = {
		{ { { 0, UTIME_NOW }, { 0, UTIME_NOW } }, 0, 0, EACCES },
		{ { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } }, 0, 0, 0 },
		{ { { 0, UTIME_NOW }, { 0, UTIME_OMIT } }, 0, EPERM, EPERM },
		{ { { 0, UTIME_OMIT }, { 0, UTIME_NOW } }, 0, EPERM, EPERM },
		{ { { 5, 5 }, { 6, 6 } }, 0, EPERM, EPERM },
		{ { { 5, 5 }, { 0, UTIME_OMIT } }, 0, EPERM, EPERM },
		{ { { 0, UTIME_NOW }, { 6, 6 } }, 0, EPERM, EPERM },
	};

	if (!is_root)
		return;
	for (size_t t = 0; t < 4; t++) {
		make("x", types[t]);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			GIVES(chown("x", 3001, 4001) | chmod("x", 0664), 0, "chown");
			be(3001, 4009, 0);
			GIVES(utimensat(AT_FDCWD, "x", rows[i].ts, 0), rows[i].owner,
			      "owner, row %zu", i);
			be_root();
			be(3002, 4001, 0);
			GIVES(utimensat(AT_FDCWD, "x", rows[i].ts, 0), rows[i].writer,
			      "writer, row %zu", i);
			be_root();
			be(3002, 4009, 0);
			GIVES(utimensat(AT_FDCWD, "x", rows[i].ts, 0), rows[i].other,
			      "other, row %zu", i);
			be_root();
		}
		wipe("x");
	}
}

/* A time that was set is not moved by data that is written back later. */
static void check_after_write(void)
{
	const struct timespec ts[2] = { { 77, 7 }, { 88, 8 } };
	struct stat st;
	int fd = open("w", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	for (int i = 0; i < 20; i++)
		ok(write(fd, "some text", 9) == 9, "write");
	GIVES(futimens(fd, ts), 0, "futimens");
	GIVES(fsync(fd), 0, "fsync");
	ok(fstat(fd, &st) == 0 && ns(st.st_mtim) == ns(ts[1]), "mtime after fsync");
	close(fd);
	ok(stat("w", &st) == 0 && ns(st.st_mtim) == ns(ts[1]), "mtime after close");
}

void check_times(void)
{
	GIVES(chmod(".", 0777), 0, "chmod");
	check_operations();
	for (size_t t = 0; t < 5; t++)
		check_setting(types[t]);
	check_bad_values();
	check_rights();
	check_after_write();
}
