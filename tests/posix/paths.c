/* Exact errors of every call that takes a path, for every way in which a path can be wrong. */
#include "tests/posix/posix.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int opened(int fd)
{
	return fd < 0 ? fd : close(fd);
}

static int c_read(const char *p)
{
	return opened(open(p, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

static int c_write(const char *p)
{
	return opened(open(p, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

static int c_create(const char *p)
{
	return opened(open(p, O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644));
}

static int c_excl(const char *p)
{
	return opened(open(p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}

static int c_list(const char *p)
{
	return opened(open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int c_nofollow(const char *p)
{
	return opened(open(p, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

static int c_stat(const char *p)
{
	struct stat st;

	return stat(p, &st);
}

static int c_lstat(const char *p)
{
	struct stat st;

	return lstat(p, &st);
}

static int c_access(const char *p)
{
	return faccessat(AT_FDCWD, p, F_OK, AT_EACCESS);
}

static int c_chmod(const char *p)
{
	return chmod(p, 0755);
}

static int c_chown(const char *p)
{
	return chown(p, geteuid(), getegid());
}

static int c_lchown(const char *p)
{
	return lchown(p, geteuid(), getegid());
}

static int c_truncate(const char *p)
{
	return truncate(p, 0);
}

static int c_mkdir(const char *p)
{
	return mkdir(p, 0755);
}

static int c_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}

static int c_mknod(const char *p)
{
	return mknod(p, S_IFREG | 0644, 0);
}

static int c_symlink(const char *p)
{
	return symlink("target", p);
}

static int c_readlink(const char *p)
{
	char buf[16];

	return (int)readlink(p, buf, sizeof(buf));
}

static int c_link_from(const char *p)
{
	return link(p, "made");
}

static int c_link_to(const char *p)
{
	return link("reg", p);
}

static int c_rename_from(const char *p)
{
	return rename(p, "made");
}

static int c_rename_to(const char *p)
{
	return rename("spare", p);
}

static int c_utimens(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, 0);
}

static int c_lutimens(const char *p)
{
	const struct timespec ts[2] = { { 5, 5 }, { 6, 6 } };

	return utimensat(AT_FDCWD, p, ts, AT_SYMLINK_NOFOLLOW);
}

static int c_getxattr(const char *p)
{
	return (int)getxattr(p, "user.none", NULL, 0);
}

static int c_setxattr(const char *p)
{
	return setxattr(p, "user.some", "v", 1, 0);
}

static int c_listxattr(const char *p)
{
	return listxattr(p, NULL, 0) < 0 ? -1 : 0;
}

static int c_statfs(const char *p)
{
	struct statfs st;

	return statfs(p, &st);
}

/* What each does with a name that is there: 0 where it does not matter for errors of the way. */
enum kind { FOLLOWS, LOOKS, MAKES, REMOVES };

static const struct call {
	const char *name;
	int (*fn)(const char *path);
	enum kind kind;
	/* Errors for a file, directory, fifo, socket, symlink to a file, symlink to nothing. */
	int on[6];
} calls[] = {
	{ "open to read", c_read, FOLLOWS, { 0, 0, 0, ENXIO, 0, ENOENT } },
	{ "open to write", c_write, FOLLOWS, { 0, EISDIR, ENXIO, ENXIO, 0, ENOENT } },
	{ "O_CREAT", c_create, FOLLOWS, { 0, EISDIR, ENXIO, ENXIO, 0, 0 } },
	{ "O_EXCL", c_excl, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "O_DIRECTORY", c_list, FOLLOWS, { ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
	{ "O_NOFOLLOW", c_nofollow, LOOKS, { 0, 0, 0, ENXIO, ELOOP, ELOOP } },
	{ "stat", c_stat, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "lstat", c_lstat, LOOKS, { 0, 0, 0, 0, 0, 0 } },
	{ "access", c_access, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "chmod", c_chmod, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "chown", c_chown, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "lchown", c_lchown, LOOKS, { 0, 0, 0, 0, 0, 0 } },
	{ "truncate", c_truncate, FOLLOWS, { 0, EISDIR, EINVAL, EINVAL, 0, ENOENT } },
	{ "utimensat", c_utimens, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "utimensat, no follow", c_lutimens, LOOKS, { 0, 0, 0, 0, 0, 0 } },
	{ "mkdir", c_mkdir, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "mkfifo", c_mkfifo, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "mknod", c_mknod, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "symlink", c_symlink, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "readlink", c_readlink, LOOKS, { EINVAL, EINVAL, EINVAL, EINVAL, 0, 0 } },
	{ "link of", c_link_from, LOOKS, { 0, EPERM, 0, 0, 0, 0 } },
	{ "link to", c_link_to, MAKES, { EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST } },
	{ "chdir", chdir, FOLLOWS, { ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOENT } },
	{ "getxattr", c_getxattr, FOLLOWS, { ENODATA, ENODATA, -1, -1, ENODATA, ENOENT } },
	{ "setxattr", c_setxattr, FOLLOWS, { 0, 0, EPERM, EPERM, 0, ENOENT } },
	{ "listxattr", c_listxattr, FOLLOWS, { 0, 0, -1, -1, 0, ENOENT } },
	{ "statfs", c_statfs, FOLLOWS, { 0, 0, 0, 0, 0, ENOENT } },
	{ "unlink", unlink, REMOVES, { 0, EISDIR, 0, 0, 0, 0 } },
	{ "rmdir", rmdir, REMOVES, { ENOTDIR, 0, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR } },
	{ "rename of", c_rename_from, REMOVES, { 0, 0, 0, 0, 0, 0 } },
	{ "rename to", c_rename_to, REMOVES, { 0, EISDIR, 0, 0, 0, 0 } },
};

enum { NCALLS = sizeof(calls) / sizeof(calls[0]) };

static char long_name[257], long_path[PATH_MAX + 2];

static void furniture(void)
{
	make("reg", S_IFREG);
	make("spare", S_IFREG);
	make("fifo", S_IFIFO);
	GIVES(symlink("loop2", "loop1") | symlink("loop1", "loop2"), 0, "symlink");
	GIVES(symlink("nothing", "dangling"), 0, "symlink");
	GIVES(symlink("reg", "tofile"), 0, "symlink");
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (size_t i = 0; i + 1 < sizeof(long_path); i++)
		long_path[i] = i % 2 ? '/' : '.';
}

static void check_faults(void)
{
	char below[600];
	const struct {
		const char *path, *what;
		int want;
	} faults[] = {
		{ "", "an empty path", ENOENT },
		{ "none/x", "below a missing directory", ENOENT },
		{ "none/none/x", "below missing directories", ENOENT },
		{ "reg/x", "below a file", ENOTDIR },
		{ "reg/.", "in a file", ENOTDIR },
		{ "fifo/x", "below a fifo", ENOTDIR },
		{ "tofile/x", "below a symlink to a file", ENOTDIR },
		{ "dangling/x", "below a symlink to nothing", ENOENT },
		{ "loop1/x", "below symlinks in a circle", ELOOP },
		{ long_name, "a name of 256 bytes", ENAMETOOLONG },
		{ below, "below a name of 256 bytes", ENAMETOOLONG },
		{ long_path, "a path of 4097 bytes", ENAMETOOLONG },
		{ NULL, "no path at all", EFAULT },
	};

	snprintf(below, sizeof(below), "./%s/x", long_name);
	for (size_t c = 0; c < NCALLS; c++) {
		bool by_libc = calls[c].fn == c_utimens || calls[c].fn == c_lutimens;

		for (size_t f = 0; f < sizeof(faults) / sizeof(faults[0]) - by_libc; f++)
			GIVES(calls[c].fn(faults[f].path), faults[f].want, "%s: %s", calls[c].name,
			      faults[f].what);
		if (calls[c].kind == FOLLOWS)
			GIVES(calls[c].fn("loop1"), ELOOP, "%s: symlinks in a circle",
			      calls[c].name);
		if (calls[c].kind == FOLLOWS && calls[c].fn != c_create)
			GIVES(calls[c].fn("none"), ENOENT, "%s: nothing", calls[c].name);
		if (calls[c].kind == LOOKS ||
		    (calls[c].kind == REMOVES && calls[c].fn != c_rename_to))
			GIVES(calls[c].fn("none"), ENOENT, "%s: nothing", calls[c].name);
	}
}

/* Without the right to search a directory nothing below it can be told. */
static void check_search(void)
{
	make("closed", S_IFDIR);
	put("closed/x", "text");
	GIVES(chmod("closed", 0666), 0, "chmod");
	GIVES(chmod(".", 0777), 0, "chmod");
	if (is_root)
		be(3001, 3001, 0);
	for (size_t c = 0; c < NCALLS; c++) {
		if (calls[c].fn == c_rename_to || calls[c].fn == c_link_to) /* not theirs */
			continue;
		GIVES(calls[c].fn("closed/x"), EACCES, "%s: below a closed directory",
		      calls[c].name);
		GIVES(calls[c].fn("closed/none"), EACCES, "%s: nothing below a closed directory",
		      calls[c].name);
	}
	if (is_root)
		be_root();
	GIVES(chmod("closed", 0755), 0, "chmod");
}

static void make_nth(size_t n)
{
	if (n < 4)
		make("x", types[n]);
	else
		GIVES(symlink(n == 4 ? "target" : "nothing2", "x"), 0, "symlink");
}

static void check_types(void)
{
	static const char *const names[6] = {
		"a file",   "a directory",         "a fifo",
		"a socket", "a symlink to a file", "a symlink to nothing"
	};
	char base[PATH_MAX];

	make("target", S_IFREG);
	if (!getcwd(base, sizeof(base)))
		return;
	for (size_t c = 0; c < NCALLS; c++) {
		for (size_t n = 0; n < 6; n++) {
			make_nth(n);
			wipe("spare");
			put("spare", "x");
			if (calls[c].on[n] >= 0)
				GIVES(calls[c].fn("x"), calls[c].on[n], "%s: %s", calls[c].name,
				      names[n]);
			GIVES(chdir(base), 0, "chdir");
			wipe("x");
			wipe("made");
			wipe("nothing2");
		}
	}
}

/* A slash at the end asks for a directory. */
static void check_slashes(void)
{
	static const struct {
		int (*fn)(const char *path);
		const char *name;
		int on_file, on_none;
	} rows[] = {
		{ c_stat, "stat", ENOTDIR, ENOENT },
		{ c_lstat, "lstat", ENOTDIR, ENOENT },
		{ c_read, "open", ENOTDIR, ENOENT },
		{ c_create, "O_CREAT", EISDIR, EISDIR },
		{ c_truncate, "truncate", ENOTDIR, ENOENT },
		{ c_chmod, "chmod", ENOTDIR, ENOENT },
		{ unlink, "unlink", ENOTDIR, ENOENT },
		{ rmdir, "rmdir", ENOTDIR, ENOENT },
		{ c_mknod, "mknod", EEXIST, ENOENT },
		{ c_symlink, "symlink", EEXIST, ENOENT },
		{ c_link_to, "link to", EEXIST, ENOENT },
		{ c_rename_to, "rename to", ENOTDIR, ENOTDIR },
	};

	put("spare", "x");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		GIVES(rows[i].fn("reg/"), rows[i].on_file, "%s of 'file/'", rows[i].name);
		GIVES(rows[i].fn("none/"), rows[i].on_none, "%s of 'none/'", rows[i].name);
	}
	GIVES(mkdir("sl/", 0755), 0, "mkdir of 'name/'");
	GIVES(rename("sl/", "sl2/"), 0, "rename of directories with slashes");
	GIVES(rmdir("sl2///"), 0, "rmdir with slashes");
	GIVES(rmdir("."), EINVAL, "rmdir of '.'");
	GIVES(rmdir(".."), ENOTEMPTY, "rmdir of '..'");
	GIVES(unlink("."), EISDIR, "unlink of '.'");
	GIVES(rename(".", "z"), EBUSY, "rename of '.'");
	GIVES(rename("spare", ".."), EBUSY, "rename to '..'");
	GIVES(mkdir(".", 0755), EEXIST, "mkdir of '.'");
	GIVES(mkdir("..", 0755), EEXIST, "mkdir of '..'");
}

static void check_lengths(void)
{
	char path[PATH_MAX + 1];
	struct stat st;

	/* "././...reg" in exactly 4095 bytes. */
	memset(path, '/', sizeof(path));
	path[0] = '.';
	strcpy(path + PATH_MAX - 1 - 3, "reg");
	GIVES(stat(path, &st), 0, "a path of 4095 bytes");
	for (size_t target = 4090; target <= 4096; target++) {
		char text[4097];

		memset(text, 't', target);
		text[target] = '\0';
		GIVES(symlink(text, "sym"), target > 4095 ? ENAMETOOLONG : 0,
		      "symlink of %zu bytes", target);
		wipe("sym");
	}
	GIVES(symlink("", "sym"), ENOENT, "symlink to nothing");
	for (int i = 0; i < 45; i++) {
		char name[16], to[16];

		snprintf(name, sizeof(name), "c%d", i);
		snprintf(to, sizeof(to), "c%d", i - 1);
		GIVES(symlink(i ? to : "reg", name), 0, "symlink");
		GIVES(stat(name, &st), i + 1 > 40 ? ELOOP : 0, "%d symlinks in a row", i + 1);
	}
}

static void check_devices(void)
{
	const int refused = in_sandbox ? EACCES : EPERM; /* Landlock is asked first */

	/* On a filesystem of the host root may make them. */
	if (getenv("CONTROL") && is_root)
		return;
	GIVES(mknod("dev", S_IFCHR | 0644, 0x0103), refused, "a character device");
	GIVES(mknod("dev", S_IFBLK | 0644, 0x0103), refused, "a block device");
	ok(access("dev", F_OK) < 0, "there is none");
}

void check_paths(void)
{
	furniture();
	check_faults();
	check_search();
	check_types();
	check_slashes();
	check_lengths();
	check_devices();
}
