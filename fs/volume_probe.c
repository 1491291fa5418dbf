/* What the backing filesystem can do, tried in a scratch directory; and removing directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fs/volume_priv.h"

#define NAME_CHARS 255

static int lacks(struct err *err, const char *what)
{
	return err_set(
		err, -EOPNOTSUPP,
		"the filesystem there %s: put the workspace on another one (ext4, xfs, btrfs "
		"and tmpfs will do).",
		what);
}

static int probe_names(int fd, struct err *err)
{
	char longest[NAME_CHARS + 1];
	autoclose int lower = openat(fd, "case", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	autoclose int other = -1, many = -1;

	if (lower < 0)
		return err_set(err, -errno, "create a file there");
	other = openat(fd, "CASE", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (other < 0)
		return lacks(err, "does not tell upper from lower case in names");
	memset(longest, 'x', NAME_CHARS);
	longest[NAME_CHARS] = '\0';
	many = openat(fd, longest, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (many < 0)
		return lacks(err, "does not take names of 255 characters");
	return 0;
}

static int probe_links(int fd, struct err *err)
{
	char target[8];

	if (symlinkat("case", fd, "symlink") < 0 ||
	    readlinkat(fd, "symlink", target, sizeof(target)) != 4)
		return lacks(err, "has no symbolic links");
	if (linkat(fd, "case", fd, "link", 0) < 0)
		return lacks(err, "has no hard links");
	return 0;
}

/* Both kinds, and as large as ours: some filesystems offer xattrs on files only. */
static bool has_xattrs(int fd)
{
	static const char value[64];
	char back[64];
	autoclose int file = openat(fd, "CASE", O_RDONLY | O_CLOEXEC);

	return file >= 0 && fsetxattr(file, "user.wfs.probe", value, sizeof(value), 0) == 0 &&
	       fsetxattr(fd, "user.wfs.probe", value, sizeof(value), 0) == 0 &&
	       fgetxattr(fd, "user.wfs.probe", back, sizeof(back)) == sizeof(back);
}

int volume_probe(int dirfd, bool *ret_flat, struct err *err)
{
	autoclose int fd = -1;
	int r, removed;

	if (mkdirat(dirfd, "probe", 0700) < 0)
		return err_set(err, -errno, "create a directory there");
	fd = openat(dirfd, "probe", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open a directory there");
	r = probe_names(fd, err);
	if (r == 0)
		r = probe_links(fd, err);
	if (r == 0)
		*ret_flat = !has_xattrs(fd);
	removed = remove_tree(dirfd, "probe");
	if (removed < 0 && r == 0)
		r = err_set(err, removed, "remove what was tried there");
	return r;
}

static int remove_entries(int fd)
{
	autoclosedir DIR *dir = NULL;
	const struct dirent *e;
	int own = dup(fd), r = 0;

	dir = own >= 0 ? fdopendir(own) : NULL;
	if (!dir)
		return -errno;
	for (errno = 0; (e = readdir(dir)); errno = 0)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			int k = remove_tree(fd, e->d_name);

			r = k < 0 ? k : r;
		}
	return errno ? -errno : r;
}

int remove_tree(int dirfd, const char *name)
{
	autoclose int fd = -1;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = remove_entries(fd); /* says more than "not empty" */
	return unlinkat(dirfd, name, AT_REMOVEDIR) == 0 ? 0 : r < 0 ? r : -errno;
}
