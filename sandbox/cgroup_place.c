#include "sandbox/cgroup_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"

/* Where supervisors live in a delegated v2 cgroup: one with processes of its own may not have
 * children with limits. */
#define SUPERVISOR_DIR "sbx-supervisor"

static const char *const controllers[TREE_COUNT] = { "", "memory", "pids", "cpu", "freezer" };

struct texts {
	char *self, *mounts;
};

static int locate(const struct texts *t, enum cgroup_tree tree, bool top, char *ret, size_t size)
{
	char dir[PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	int r = cgroup_parse_mount(t->mounts, controllers[tree], dir, root, sizeof(dir));

	if (r == 0)
		r = cgroup_parse_path(t->self, controllers[tree], path, sizeof(path));
	if (r == 0 && top)
		r = (size_t)snprintf(ret, size, "%s", dir) >= size ? -ENAMETOOLONG : 0;
	else if (r == 0)
		r = cgroup_join_path(dir, root, path, ret, size);
	return r;
}

static int open_writable(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0 ||
	    faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) < 0)
		return -errno;
	return take_fd(&fd);
}

/* Each process of 'from' into 'to', both v2. */
static int move_all(int from, int to)
{
	autofree char *text = NULL;
	int r = fd_read_attr(from, "cgroup.procs", &text);

	for (char *p = text, *end; r == 0 && p && *p; p = end) {
		char line[24];
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		snprintf(line, sizeof(line), "%ld", pid);
		r = fd_write_attr(to, "cgroup.procs", line);
		/* It ended meanwhile; or it is a zombie or a kernel thread, which do not count. */
		if (r == -ESRCH || r == -EINVAL)
			r = 0;
		end += strspn(end, "\n");
	}
	return r;
}

/* What is not delegated (ENOENT) stays off: the leaf lacks the files then, and so we find out. */
static void enable_controllers(int dir)
{
	static const char *const wanted[] = { "+memory", "+pids", "+cpu" };

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		fd_write_attr(dir, "cgroup.subtree_control", wanted[i]);
}

/* The v2 rule "no processes beside limited children".  Out of the way before anything is enabled:
 * +memory would be refused, but +pids and +cpu would turn the place into the root of a threaded
 * tree, and nothing can be born below one of those. */
static int make_room(int dir)
{
	int r = 0;

	/* The root of the hierarchy is free from the rule.  Again: others may be starting programs
	 * here at the same time, and one left behind forbids all controllers. */
	for (int tries = 0; tries < 10 && faccessat(dir, "cgroup.type", F_OK, 0) == 0; tries++) {
		autofree char *procs = NULL;
		autoclose int own = -1;

		r = fd_read_attr(dir, "cgroup.procs", &procs);
		if (r < 0)
			return r;
		if (!*procs)
			break;
		if (mkdirat(dir, SUPERVISOR_DIR, 0755) < 0 && errno != EEXIST)
			return -errno;
		own = openat(dir, SUPERVISOR_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = own < 0 ? -errno : move_all(dir, own);
		if (r < 0)
			return r;
	}
	enable_controllers(dir);
	return 0;
}

/* systemd marks what it has handed over; we mark what we asked it for. */
static bool is_delegated(int fd)
{
	char v[8];

	return getenv("SBX_SCOPE") || fgetxattr(fd, "user.delegate", v, sizeof(v)) > 0 ||
	       fgetxattr(fd, "trusted.delegate", v, sizeof(v)) > 0;
}

/* Root without delegation: a place of our own at the top of what is visible. */
static int open_top(const struct texts *t, bool prepare)
{
	autoclose int top = -1;
	char path[PATH_MAX];
	int r = locate(t, TREE_UNIFIED, true, path, sizeof(path)), fd;

	if (r < 0)
		return r;
	top = open_writable(path);
	if (top < 0)
		return top;
	if (prepare) {
		make_room(top);
		if (mkdirat(top, "sbx", 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	fd = openat(top, "sbx", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (prepare)
		enable_controllers(fd);
	return fd;
}

static int open_unified_v2(const struct texts *t, bool prepare)
{
	autoclose int fd = -1;
	char path[PATH_MAX], *base;
	int r = locate(t, TREE_UNIFIED, false, path, sizeof(path));

	if (r == 0) {
		base = strrchr(path, '/');
		if (base && strcmp(base + 1, SUPERVISOR_DIR) == 0)
			*base = '\0';
		fd = open_writable(path);
		r = fd < 0 ? fd : 0;
	}
	if (r == 0 && (base = strrchr(path, '/')) && is_delegated(fd)) {
		if (prepare)
			r = make_room(fd);
		return r < 0 ? r : take_fd(&fd);
	}
	return geteuid() == 0 ? open_top(t, prepare) : -EACCES;
}

void cgroup_places_open(struct cgroup_places *ret, bool prepare)
{
	autofree char *self = NULL, *mounts = NULL;
	struct texts t;
	struct statfs sf;
	char path[PATH_MAX];

	for (int i = 0; i < TREE_COUNT; i++)
		ret->fd[i] = -1;
	ret->unified_only = statfs("/sys/fs/cgroup", &sf) == 0 && sf.f_type == CGROUP2_SUPER_MAGIC;
	if (fd_read_attr(AT_FDCWD, "/proc/self/cgroup", &self) < 0 ||
	    fd_read_attr(AT_FDCWD, "/proc/self/mountinfo", &mounts) < 0)
		return;
	t = (struct texts){ self, mounts };
	if (ret->unified_only) {
		ret->fd[TREE_UNIFIED] = open_unified_v2(&t, prepare);
		return;
	}
	/* v1 is never handed to a user: it would not be safe. As root, below our own places. */
	for (int i = 0; i < TREE_COUNT && geteuid() == 0; i++) {
		if (locate(&t, (enum cgroup_tree)i, false, path, sizeof(path)) == 0)
			ret->fd[i] = open_writable(path);
	}
	/* Only needed to stop a tree that has no cgroup.kill. */
	if (ret->fd[TREE_UNIFIED] >= 0 && ret->fd[TREE_FREEZER] >= 0) {
		close(ret->fd[TREE_FREEZER]);
		ret->fd[TREE_FREEZER] = -1;
	}
}

void cgroup_places_close(struct cgroup_places *p)
{
	for (int i = 0; i < TREE_COUNT; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
		p->fd[i] = -1;
	}
}

uint64_t cgroup_start_time(pid_t pid)
{
	unsigned long long start;
	autofree char *text = NULL;
	char path[48];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return 0;
	p = strrchr(text, ')');
	/* field 22; the first after the name is field 3 */
	if (!p || sscanf(p + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*d "
			 "%*d %*d %*d %llu",
			 &start) != 1)
		return 0;
	return start;
}
