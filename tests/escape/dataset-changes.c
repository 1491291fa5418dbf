/* Attacks 34 to 39: change a dataset, by name, by descriptor, by mapping, by moving pages.  PLACE
 * is a directory of the dataset, FILE a file in it that holds "one\n"; the working directory is
 * ours to write.  Outside, PLACE is a copy that may be changed, made anew for each act. */
#include "tests/escape/escape.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/xattr.h>

#define ACL "system.posix_acl_access"

static int place = -1; /* of PLACE */
static const char *file = "a.csv";
static char path[4096]; /* PLACE/FILE */

static int must(int r)
{
	if (r < 0)
		_exit(200);
	return r;
}

static void make(int dir, const char *name, const char *text)
{
	int fd = must(openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));

	must((int)write(fd, text, strlen(text)));
	close(fd);
}

/* What every act begins with. */
static void arrange(void)
{
	const char *p = getenv("PLACE"), *f = getenv("FILE");

	if (!p)
		_exit(200);
	file = f ? f : file;
	place = must(open(p, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	snprintf(path, sizeof(path), "%s/%s", p, file);
	if (in_control) {
		unlinkat(place, "new", 0);
		unlinkat(place, "new", AT_REMOVEDIR);
		unlinkat(place, "dir", AT_REMOVEDIR);
		unlinkat(place, file, 0);
		make(place, file, "one\n");
		must(mkdirat(place, "dir", 0777));
		unlink("linked");
		unlink("stolen");
	}
	make(AT_FDCWD, "mine", "own text\n");
}

static int readable(void)
{
	arrange();
	return must(open(path, O_RDONLY | O_CLOEXEC));
}

static int writable_own(void)
{
	return must(open("mine", O_RDWR | O_CLOEXEC));
}

/* ---- 34: by hard link ---- */

static int link_out(void)
{
	arrange();
	if (linkat(AT_FDCWD, path, AT_FDCWD, "linked", 0) < 0)
		return errno;
	return errno_of(open("linked", O_WRONLY | O_CLOEXEC));
}

static int link_by_descriptor(void)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", readable());
	return errno_of(linkat(AT_FDCWD, self, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
}

static int link_in(void)
{
	arrange();
	return errno_of(linkat(AT_FDCWD, "mine", place, "new", 0));
}

/* ---- 35: by opening, cutting ---- */

static int open_with(int flags)
{
	arrange();
	return errno_of(open(path, flags | O_CLOEXEC));
}

static int open_write(void)
{
	return open_with(O_WRONLY);
}

static int open_both(void)
{
	return open_with(O_RDWR);
}

static int open_trunc(void)
{
	return open_with(O_RDONLY | O_TRUNC);
}

static int open_append(void)
{
	return open_with(O_WRONLY | O_APPEND);
}

static int create(void)
{
	arrange();
	return errno_of(openat(place, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int create_unnamed(void)
{
	arrange();
	return errno_of(openat(place, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
}

static int cut(void)
{
	arrange();
	return errno_of(truncate(path, 0));
}

static int cut_by_descriptor(void)
{
	return errno_of(ftruncate(
		in_control ? (arrange(), must(open(path, O_RDWR | O_CLOEXEC))) : readable(), 0));
}

static int cut_by_magic_link(void)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", readable());
	return errno_of(truncate(self, 0));
}

static int reopen(int flags)
{
	char self[64];
	int fd;

	arrange();
	fd = must(open(path, flags | O_CLOEXEC));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return errno_of(open(self, O_RDWR | O_CLOEXEC));
}

static int reopen_read(void)
{
	return reopen(O_RDONLY);
}

static int reopen_path(void)
{
	return reopen(O_PATH);
}

static int allocate(void)
{
	int fd = in_control ? (arrange(), must(open(path, O_RDWR | O_CLOEXEC))) : readable();

	return errno_of(fallocate(fd, 0, 0, 1 << 20));
}

static int write_to_read_only(void)
{
	int fd = in_control ? (arrange(), must(open(path, O_RDWR | O_CLOEXEC))) : readable();

	return errno_of(pwrite(fd, "X", 1, 0));
}

/* ---- 36: by mapping ---- */

static int map_shared(void)
{
	int fd = in_control ? (arrange(), must(open(path, O_RDWR | O_CLOEXEC))) : readable();

	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? errno
											 : 0;
}

static int map_then_protect(void)
{
	int fd = in_control ? (arrange(), must(open(path, O_RDWR | O_CLOEXEC))) : readable();
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? 200 : errno_of(mprotect(p, 4096, PROT_READ | PROT_WRITE));
}

/* Writing through /proc/self/mem goes past the protection of the mapping: of a private one it makes
 * a copy, of a shared one it must be refused. */
static int write_by_mem(void)
{
	int fd = readable(), mem = must(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? 200 : errno_of(pwrite(mem, "X", 1, (off_t)(uintptr_t)p));
}

/* A private page is ours, the file stays. */
static int private_page_stays_private(void)
{
	int fd = readable();
	char c, *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return errno;
	p[0] = 'X';
	madvise(p, 4096, MADV_DONTNEED);
	return pread(fd, &c, 1, 0) == 1 && c == 'o' && p[0] == 'o' ? 0 : EBADMSG;
}

/* ---- 37: what describes the file ---- */

static int change_mode(void)
{
	arrange();
	return errno_of(chmod(path, 0600));
}

static int change_mode_by_descriptor(void)
{
	return errno_of(fchmod(readable(), 0600));
}

static int change_owner(void)
{
	arrange();
	return errno_of(chown(path, geteuid(), getegid()));
}

static int change_times(void)
{
	const struct timespec t[2] = { { 1, 0 }, { 1, 0 } };

	arrange();
	return errno_of(utimensat(AT_FDCWD, path, t, 0));
}

static int change_times_by_descriptor(void)
{
	const struct timespec t[2] = { { 1, 0 }, { 1, 0 } };

	return errno_of(futimens(readable(), t));
}

static int set_attribute(void)
{
	arrange();
	return errno_of(setxattr(path, "user.sbx", "x", 1, 0));
}

static int set_attribute_by_descriptor(void)
{
	return errno_of(fsetxattr(readable(), "user.sbx", "x", 1, 0));
}

static int remove_attribute(void)
{
	arrange();
	if (in_control && setxattr(path, "user.sbx", "x", 1, 0) < 0)
		return errno;
	return errno_of(removexattr(path, "user.sbx"));
}

static int set_acl(void)
{
	/* version 2; user::rw group::r mask::r other::r */
	static const unsigned char acl[] = { 2,   0,   0, 0, 1,   0,   6,   0,   255, 255,
					     255, 255, 4, 0, 4,   0,   255, 255, 255, 255,
					     32,  0,   4, 0, 255, 255, 255, 255 };

	arrange();
	return errno_of(setxattr(path, ACL, acl, sizeof(acl), 0));
}

static int set_flags(void)
{
	int flags = FS_NODUMP_FL;

	return errno_of(ioctl(readable(), FS_IOC_SETFLAGS, &flags));
}

static int set_project(void)
{
	struct fsxattr x = { .fsx_projid = 7 };

	return errno_of(ioctl(readable(), FS_IOC_FSSETXATTR, &x));
}

/* ---- 38: names ---- */

static int rename_within(void)
{
	arrange();
	return errno_of(renameat(place, file, place, "new"));
}

static int rename_over(void)
{
	arrange();
	return errno_of(renameat(AT_FDCWD, "mine", place, file));
}

static int rename_out(void)
{
	arrange();
	return errno_of(renameat(place, file, AT_FDCWD, "stolen"));
}

static int exchange(void)
{
	arrange();
	return errno_of(renameat2(place, file, AT_FDCWD, "mine", RENAME_EXCHANGE));
}

static int whiteout(void)
{
	arrange();
	return errno_of(renameat2(place, file, place, "new", RENAME_WHITEOUT));
}

static int remove_file(void)
{
	arrange();
	return errno_of(unlinkat(place, file, 0));
}

static int remove_dir(void)
{
	arrange();
	return errno_of(unlinkat(place, "dir", AT_REMOVEDIR));
}

static int remove_place(void)
{
	const char *p = getenv("PLACE");

	arrange();
	if (in_control) {
		unlinkat(place, "dir", AT_REMOVEDIR);
		unlinkat(place, file, 0);
	}
	if (rmdir(p) < 0)
		return errno;
	return in_control ? errno_of(mkdir(p, 0777)) : 0;
}

static int make_dir(void)
{
	arrange();
	return errno_of(mkdirat(place, "new", 0700));
}

static int make_symlink(void)
{
	arrange();
	return errno_of(symlinkat("x", place, "new"));
}

static int make_fifo(void)
{
	arrange();
	return errno_of(mknodat(place, "new", S_IFIFO | 0600, 0));
}

/* ---- 39: by moving pages ---- */

/* Where the bytes shall go: outside a descriptor that may be written. */
static int target(void)
{
	arrange();
	return must(open(path, (in_control ? O_RDWR : O_RDONLY) | O_CLOEXEC));
}

static int splice_into(void)
{
	int p[2], to = target();

	must(pipe(p));
	must((int)write(p[1], "own", 3));
	return errno_of(splice(p[0], NULL, to, NULL, 3, 0));
}

static int send_into(void)
{
	int to = target();

	return errno_of(sendfile(to, writable_own(), NULL, 3));
}

static int copy_into(void)
{
	int to = target();

	return errno_of(copy_file_range(writable_own(), NULL, to, NULL, 3, 0));
}

static int clone_into(void)
{
	int to = target();

	return errno_of(ioctl(to, FICLONE, writable_own()));
}

static int dedupe_into(void)
{
	union {
		struct file_dedupe_range head;
		char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
	} d = { .room = { 0 } };
	int to = target();

	d.head.src_length = 4;
	d.head.dest_count = 1;
	d.head.info[0].dest_fd = to;
	if (ioctl(writable_own(), FIDEDUPERANGE, &d) < 0)
		return errno;
	return d.head.info[0].status < 0 ? -d.head.info[0].status : 0;
}

static int gift_pages(void)
{
	char page[4096] = "X";
	struct iovec v = { page, sizeof(page) };
	int p[2];

	arrange();
	must(pipe(p));
	return errno_of(vmsplice(p[1], &v, 1, SPLICE_F_GIFT));
}

/* The way of CVE-2022-0847: a page of the file goes into a pipe, what is written behind must not
 * land in the page. */
static int page_in_pipe_stays(void)
{
	int p[2], fd = readable();
	char c = 0, fill[4096] = "";
	off_t at = 0;

	must(pipe(p));
	for (int i = 0; i < 16; i++)
		must((int)write(p[1], fill, sizeof(fill)));
	for (int i = 0; i < 16; i++)
		must((int)read(p[0], fill, sizeof(fill)));
	if (splice(fd, &at, p[1], NULL, 1, 0) != 1 || write(p[1], "XXXX", 4) != 4)
		return errno;
	return pread(fd, &c, 1, 1) == 1 && c == 'n' ? 0 : EBADMSG;
}

/* O_DIRECT reads into a page that is shared with the file would be a way to write it. */
static int read_into_own_map(void)
{
	int fd = readable();
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	int own = writable_own();

	return p == MAP_FAILED ? 200 : errno_of(read(own, p, 4));
}

#define RO4                                                                                        \
	{                                                                                          \
		EROFS, EACCES, EPERM                                                               \
	}
#define RO_X                                                                                       \
	{                                                                                          \
		EROFS, EACCES, EPERM, EXDEV                                                        \
	}
#define RO_NOT                                                                                     \
	{                                                                                          \
		EROFS, EPERM, EOPNOTSUPP                                                           \
	}
#define RO_TTY                                                                                     \
	{                                                                                          \
		EROFS, EPERM, ENOTTY, EOPNOTSUPP                                                   \
	}
#define P CONTROL_PLAIN
#define N CONTROL_NONE
#define OK                                                                                         \
	{                                                                                          \
		0                                                                                  \
	}
#define MAYBE                                                                                      \
	{                                                                                          \
		WORKS, EOPNOTSUPP, ENOTTY, EPERM                                                   \
	}

static const struct act acts[] = {
	{ "34 hard link out", link_out, { EXDEV, EPERM }, P, OK },
	{ "34 hard link by descriptor", link_by_descriptor, { EXDEV, EPERM }, P, OK },
	{ "34 hard link in", link_in, { EXDEV, EROFS, EACCES, EPERM }, P, OK },
	{ "35 open to write", open_write, RO4, P, OK },
	{ "35 open to read and write", open_both, RO4, P, OK },
	{ "35 open with O_TRUNC", open_trunc, RO4, P, OK },
	{ "35 open to append", open_append, RO4, P, OK },
	{ "35 create", create, RO4, P, OK },
	{ "35 create unnamed", create_unnamed, RO_NOT, P, { WORKS, EOPNOTSUPP } },
	{ "35 truncate", cut, RO4, P, OK },
	{ "35 ftruncate", cut_by_descriptor, { EINVAL, EBADF }, P, OK },
	{ "35 truncate by /proc/self/fd", cut_by_magic_link, RO4, P, OK },
	{ "35 reopen a descriptor", reopen_read, RO4, P, OK },
	{ "35 reopen an O_PATH descriptor", reopen_path, RO4, P, OK },
	{ "35 fallocate", allocate, { EBADF }, P, OK },
	{ "35 write to a descriptor for reading", write_to_read_only, { EBADF }, P, OK },
	{ "36 map shared to write", map_shared, { EACCES }, P, OK },
	{ "36 mprotect later", map_then_protect, { EACCES }, P, OK },
	{ "36 write by /proc/self/mem", write_by_mem, { EIO, EFAULT, EPERM, EACCES }, N, OK },
	{ "36 a private page stays private", private_page_stays_private, { WORKS }, P, OK },
	{ "37 chmod", change_mode, RO4, P, OK },
	{ "37 fchmod", change_mode_by_descriptor, RO4, P, OK },
	{ "37 chown", change_owner, RO4, P, OK },
	{ "37 utimensat", change_times, RO4, P, OK },
	{ "37 futimens", change_times_by_descriptor, RO4, P, OK },
	{ "37 setxattr", set_attribute, RO_NOT, P, { WORKS, EOPNOTSUPP } },
	{ "37 fsetxattr", set_attribute_by_descriptor, RO_NOT, P, { WORKS, EOPNOTSUPP } },
	{ "37 removexattr", remove_attribute, RO_NOT, P, { WORKS, EOPNOTSUPP } },
	{ "37 ACL", set_acl, RO_NOT, P, { WORKS, EOPNOTSUPP } },
	{ "37 FS_IOC_SETFLAGS", set_flags, RO_TTY, P, MAYBE },
	{ "37 FS_IOC_FSSETXATTR", set_project, RO_TTY, P, { WORKS, EOPNOTSUPP, ENOTTY, EINVAL } },
	{ "38 rename within", rename_within, RO4, P, OK },
	{ "38 rename over", rename_over, RO_X, P, OK },
	{ "38 rename out", rename_out, RO_X, P, OK },
	{ "38 RENAME_EXCHANGE", exchange, RO_X, P, OK },
	{ "38 RENAME_WHITEOUT", whiteout, { EROFS, EPERM, EINVAL }, P, MAYBE },
	{ "38 unlink", remove_file, RO4, P, OK },
	{ "38 rmdir in it", remove_dir, RO4, P, OK },
	{ "38 rmdir of it", remove_place, { EROFS, EACCES, EPERM, EBUSY }, P, OK },
	{ "38 mkdir", make_dir, RO4, P, OK },
	{ "38 symlink", make_symlink, RO4, P, OK },
	{ "38 mkfifo", make_fifo, RO4, P, OK },
	{ "39 splice", splice_into, { EBADF }, P, OK },
	{ "39 sendfile", send_into, { EBADF }, P, OK },
	{ "39 copy_file_range", copy_into, { EBADF }, P, OK },
	{ "39 FICLONE", clone_into, { EBADF, EOPNOTSUPP, EXDEV, EPERM }, P, MAYBE },
	{ "39 FIDEDUPERANGE",
	  dedupe_into,
	  { EPERM, EXDEV, EOPNOTSUPP, EINVAL },
	  P,
	  { WORKS, EOPNOTSUPP, EINVAL, ENOTTY } },
	{ "39 vmsplice", gift_pages, { EPERM }, P, OK },
	{ "39 a page in a pipe stays as it is", page_in_pipe_stays, { WORKS }, P, OK },
	{ "39 read into a mapping", read_into_own_map, { EFAULT }, N, OK },
};

ESCAPE_MAIN(acts)
