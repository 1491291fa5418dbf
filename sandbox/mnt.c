#include "sandbox/mnt.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

int mnt_new(const char *type, const char *const *opts, unsigned attrs, struct err *err)
{
	autoclose int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_set(err, -errno, "open the filesystem type %s", type);
	for (; opts && opts[0]; opts += 2) {
		int r = opts[1] ? fsconfig(fs, FSCONFIG_SET_STRING, opts[0], opts[1], 0)
				: fsconfig(fs, FSCONFIG_SET_FLAG, opts[0], NULL, 0);

		if (r < 0)
			return err_set(err, -errno, "set the option %s of a %s", opts[0], type);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(err, -errno, "make a %s", type);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	if (fd < 0)
		return err_set(err, -errno, "mount a %s", type);
	return fd;
}

int mnt_new_tmpfs(const struct mnt_tmpfs *t, struct err *err)
{
	char size[24], inodes[24];
	const char *opts[] = { "size", size, "nr_inodes", inodes, "mode", t->mode, NULL };

	snprintf(size, sizeof(size), "%llu", (unsigned long long)t->bytes);
	snprintf(inodes, sizeof(inodes), "%llu", (unsigned long long)t->inodes);
	return mnt_new("tmpfs", opts, MNT_BASE | t->attrs, err);
}

int mnt_clone_plain(int dirfd, const char *path)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW;
	int fd = open_tree(dirfd, path, flags | (path[0] ? 0u : (unsigned)AT_EMPTY_PATH));

	return fd < 0 ? -errno : fd;
}

int mnt_clone(int dirfd, const char *path, unsigned attrs, struct err *err)
{
	autoclose int fd = mnt_clone_plain(dirfd, path);
	int r;

	if (fd < 0)
		return err_set(err, fd, "clone the mount of '%s'", path);
	r = mnt_set(fd, attrs, err);
	if (r < 0)
		return r;
	return take_fd(&fd);
}

int mnt_set(int mnt_fd, unsigned attrs, struct err *err)
{
	struct mount_attr a = { .attr_set = attrs };

	if (mount_setattr(mnt_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof(a)) < 0)
		return err_set(err, -errno, "set the attributes of a mount");
	return 0;
}

int mnt_idmap(int mnt_fd, int userns_fd, struct err *err)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd };

	if (mount_setattr(mnt_fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		return err_set(err, -errno, "map the owners of a mount");
	return 0;
}

int mnt_move(int mnt_fd, int target_fd, const char *what, struct err *err)
{
	if (move_mount(mnt_fd, "", target_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_set(err, -errno, "put '%s' into its place", what);
	return 0;
}

int mnt_put(int mnt_fd, bool is_dir, int dir, const char *name, struct err *err)
{
	int r = is_dir ? mkdirat(dir, name, 0755) : mknodat(dir, name, S_IFREG | 0444, 0);

	assert(!strchr(name, '/'));
	if (r < 0 && errno != EEXIST)
		return err_set(err, -errno, "make the place '%s' in the sandbox", name);
	/* Without MOVE_MOUNT_T_SYMLINKS, so a link at the end is not followed. */
	if (move_mount(mnt_fd, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(err, -errno, "put '%s' into its place", name);
	return 0;
}

static int open_resolved(int at, const char *path, const struct open_how *how)
{
	long fd;

	do
		fd = syscall(SYS_openat2, at, path, how, sizeof(*how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

static int open_in(int root, const char *path, int flags, mode_t mode)
{
	const struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return open_resolved(root, path, &how);
}

int mnt_open_source(const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return open_resolved(AT_FDCWD, path, &how);
}

int mnt_open_in(int root, const char *path)
{
	return open_in(root, path, O_PATH, 0);
}

/* Split "a/b/c" after the last '/': returns the descriptor of a/b (made), *ret_name = "c". */
static int open_parent(int root, const char *path, const char **ret_name, struct err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	*ret_name = slash ? slash + 1 : path;
	if (!slash || slash == path)
		return mnt_target_dir(root, "", err);
	if ((size_t)(slash - path) >= sizeof(dir))
		return err_set(err, -ENAMETOOLONG, "make '%s' in the sandbox", path);
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	return mnt_target_dir(root, dir, err);
}

int mnt_target_dir(int root, const char *path, struct err *err)
{
	/* Mostly it is there. */
	int whole = open_in(root, *path ? path : "/", O_PATH | O_DIRECTORY, 0);
	autoclose int at = -1;
	const char *p = path;

	if (whole >= 0)
		return whole;
	at = open_in(root, "/", O_PATH | O_DIRECTORY, 0);
	if (at < 0)
		return err_set(err, at, "open the new root");
	while (*(p += strspn(p, "/"))) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(p, "/");
		int next;

		if (n > NAME_MAX)
			return err_set(err, -ENAMETOOLONG, "make '%s' in the sandbox", path);
		memcpy(name, p, n);
		name[n] = '\0';
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "make the place '%s' in the sandbox", path);
		next = open_in(at, name, O_PATH | O_DIRECTORY, 0);
		if (next < 0)
			return err_set(err, next, "reach the place '%s' in the sandbox", path);
		close(at);
		at = next;
		p += n;
	}
	return take_fd(&at);
}

int mnt_target_file(int root, const char *path, struct err *err)
{
	const char *name;
	autoclose int dir = open_parent(root, path, &name, err);
	int r;

	if (dir < 0)
		return dir;
	r = open_in(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0444);
	/* O_PATH: what is there may be a device that must not be opened. */
	if (r == -EEXIST || r == -EROFS)
		r = open_in(dir, name, O_PATH, 0);
	return r < 0 ? err_set(err, r, "make the place '%s' in the sandbox", path) : r;
}

int mnt_write_file(int dir, const char *name, const char *text, struct err *err)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	int r;

	assert(!strchr(name, '/'));
	r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	return r < 0 ? err_set(err, r, "write '%s' in the sandbox", name) : 0;
}

int mnt_symlink(int root, const char *path, const char *to, struct err *err)
{
	const char *name;
	autoclose int dir = open_parent(root, path, &name, err);

	if (dir < 0)
		return dir;
	if (symlinkat(to, dir, name) < 0)
		return err_set(err, -errno, "make the link '%s' in the sandbox", path);
	return 0;
}

int mnt_show(int root, const char *source, const char *dest, unsigned attrs, struct err *err)
{
	autoclose int mnt = mnt_clone(AT_FDCWD, source, attrs, err);
	autoclose int target = -1;
	struct stat st;

	if (mnt < 0)
		return mnt;
	if (fstat(mnt, &st) < 0)
		return err_set(err, -errno, "look at '%s'", source);
	target = S_ISDIR(st.st_mode) ? mnt_target_dir(root, dest, err)
				     : mnt_target_file(root, dest, err);
	if (target < 0)
		return target;
	return mnt_move(mnt, target, dest, err);
}
