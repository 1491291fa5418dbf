/* Permission bits: what creation and chmod leave. */
#include "tests/posix/posix.h"

#include <fcntl.h>
#include <unistd.h>

static int create(const char *path, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	return fd < 0 ? fd : close(fd);
}

static int create_node(const char *path, mode_t mode)
{
	return mknod(path, S_IFREG | mode, 0);
}

static int create_socket(const char *path, mode_t mode)
{
	return mknod(path, S_IFSOCK | mode, 0);
}

static const struct {
	const char *name;
	int (*fn)(const char *path, mode_t mode);
	mode_t kept; /* of the bits beyond 0777 */
} ways[] = {
	{ "open", create, 07000 },
	{ "mkdir", mkdir, 01000 },
	{ "mkfifo", mkfifo, 07000 },
	{ "mknod", create_node, 07000 },
	{ "mknod of a socket", create_socket, 07000 },
};

static void check_creation(void)
{
	static const mode_t masks[] = { 0, 022, 0137 };

	for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
		for (size_t m = 0; m < 3; m++) {
			umask(masks[m]);
			for (mode_t mode = 0; mode <= 0777; mode += m == 0 ? 1 : 7) {
				GIVES(ways[w].fn("x", mode), 0, "%s %o", ways[w].name, mode);
				ok(mode_of("x") == (mode & ~masks[m]), "%s %o with umask %o: %o",
				   ways[w].name, mode, masks[m], mode_of("x"));
				wipe("x");
			}
		}
		umask(0);
		for (mode_t high = 01000; high <= 07000; high += 01000) {
			GIVES(ways[w].fn("x", high | 0755), 0, "%s %o", ways[w].name, high | 0755);
			ok(mode_of("x") == ((high & ways[w].kept) | 0755), "%s %o: %o",
			   ways[w].name, high | 0755, mode_of("x"));
			wipe("x");
		}
	}
}

static void check_chmod(void)
{
	make("reg", S_IFREG);
	make("dir", S_IFDIR);
	for (mode_t mode = 0; mode <= 07777; mode++) {
		GIVES(chmod("reg", mode), 0, "chmod of a file to %o", mode);
		ok(mode_of("reg") == mode, "a file after chmod to %o: %o", mode, mode_of("reg"));
		GIVES(chmod("dir", mode), 0, "chmod of a directory to %o", mode);
		ok(mode_of("dir") == mode, "a directory after chmod to %o: %o", mode,
		   mode_of("dir"));
	}
	for (size_t i = 2; i < 4; i++) {
		make("other", types[i]);
		for (mode_t mode = 0; mode <= 07777; mode += 13) {
			GIVES(chmod("other", mode), 0, "chmod of %s to %o", type_name(types[i]),
			      mode);
			ok(mode_of("other") == mode, "%s after chmod to %o: %o",
			   type_name(types[i]), mode, mode_of("other"));
		}
		wipe("other");
	}
}

static void check_ways_of_chmod(void)
{
	int fd = chmod("reg", 0600) < 0 ? -1 : open("reg", O_RDONLY | O_CLOEXEC);

	GIVES(fchmod(fd, 0640), 0, "fchmod");
	ok(mode_of("reg") == 0640, "after fchmod");
	close(fd);
	make("target", S_IFREG);
	make("link", S_IFLNK);
	GIVES(chmod("link", 0604), 0, "chmod through a symlink");
	ok(mode_of("target") == 0604, "the target of a symlink");
	ok(mode_of("link") == 0777, "a symlink itself");
	GIVES(fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW), EOPNOTSUPP,
	      "chmod of a symlink itself");
	/* A link shares the inode. */
	GIVES(link("target", "second"), 0, "link");
	GIVES(chmod("second", 0711), 0, "chmod of the second name");
	ok(mode_of("target") == 0711, "the first name");
}

void check_modes(void)
{
	check_creation();
	check_chmod();
	check_ways_of_chmod();
}
