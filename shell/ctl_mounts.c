/* What is mounted, from /proc/self/mountinfo: also mounts whose daemon is dead, which every system
 * call on their paths would answer with ENOTCONN. */
#include "shell/ctl_mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

#define FSTYPE "fuse.sbx"

/* "\040" and friends back to bytes, in place. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

struct line {
	char *point, *fstype, *options;
};

/* "id parent dev root MOUNTPOINT options [tags] - FSTYPE source OPTIONS". */
static bool parse_line(char *text, struct line *ret)
{
	char *save, *word = strtok_r(text, " \n", &save);

	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " \n", &save);
	ret->point = word;
	while (word && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " \n", &save);
	ret->fstype = word ? strtok_r(NULL, " \n", &save) : NULL;
	word = ret->fstype ? strtok_r(NULL, " \n", &save) : NULL;
	ret->options = word ? strtok_r(NULL, " \n", &save) : NULL;
	if (!ret->options)
		return false;
	unescape(ret->point);
	return true;
}

int mounts_each(mounts_fn *fn, void *arg)
{
	autofclose FILE *f = fopen("/proc/self/mountinfo", "re");
	autofree char *text = NULL;
	size_t size = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&text, &size, f) >= 0) {
		struct line l;

		if (parse_line(text, &l) && !strcmp(l.fstype, FSTYPE))
			r = fn(l.point, l.options, arg);
	}
	return r;
}

static int is_same(const char *point, const char *options, void *arg)
{
	return !strcmp(point, arg);
}

bool mounts_has(const char *path)
{
	return mounts_each(is_same, (void *)path) > 0;
}

struct owner {
	const char *path;
	uid_t uid;
};

static int find_owner(const char *point, const char *options, void *arg)
{
	struct owner *o = arg;
	const char *at = strstr(options, "user_id=");

	if (strcmp(point, o->path) != 0 || !at)
		return 0;
	o->uid = (uid_t)strtoul(at + strlen("user_id="), NULL, 10);
	return 1;
}

uid_t mounts_owner(const char *path)
{
	struct owner o = { .path = path, .uid = geteuid() };

	(void)mounts_each(find_owner, &o);
	return o.uid;
}

bool mounts_is_dead(const char *path)
{
	struct statfs st;

	return statfs(path, &st) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Does the link lead to 'dir' or below it? */
static bool link_below(int dirfd, const char *link, const char *dir)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, link, target, sizeof(target) - 1);
	size_t len = strlen(dir);

	if (n < (ssize_t)len)
		return false;
	target[n] = '\0';
	return !strncmp(target, dir, len) && (target[len] == '/' || !target[len]);
}

static bool any_fd_below(int procfd, const char *dir)
{
	int fd = openat(procfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclosedir DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && link_below(dirfd(d), e->d_name, dir))
			return true;
	return false;
}

static bool any_map_below(int procfd, const char *dir)
{
	int fd = openat(procfd, "maps", O_RDONLY | O_CLOEXEC);
	autofclose FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	autofree char *line = NULL;
	size_t size = 0, len = strlen(dir);

	if (!f && fd >= 0)
		close(fd);
	while (f && getline(&line, &size, f) >= 0) {
		const char *path = strchr(line, '/');

		if (path && !strncmp(path, dir, len) && path[len] == '/')
			return true;
	}
	return false;
}

static const char *how_busy(int procfd, const char *dir)
{
	if (link_below(procfd, "cwd", dir))
		return "its working directory is there";
	if (any_fd_below(procfd, dir))
		return "it has files open there";
	if (link_below(procfd, "exe", dir) || any_map_below(procfd, dir))
		return "it runs or maps a file there";
	return link_below(procfd, "root", dir) ? "its root is there" : NULL;
}

/* "process 12 (bash)" */
static void name_process(const char *pid, int procfd, char *ret, size_t size)
{
	autofree char *comm = NULL;
	char safe[128] = "?";

	if (fd_read_attr(procfd, "comm", &comm) == 0) {
		comm[strcspn(comm, "\n")] = '\0';
		str_printable(comm, safe, sizeof(safe));
	}
	snprintf(ret, size, "process %.20s (%s)", pid, safe);
}

bool mounts_find_user(const char *dir, char *ret, size_t size)
{
	autoclosedir DIR *proc = opendir("/proc");
	struct dirent *e;

	while (proc && (e = readdir(proc))) {
		autoclose int fd = -1;
		const char *how;
		char name[200];

		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		fd = openat(dirfd(proc), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		how = fd >= 0 ? how_busy(fd, dir) : NULL;
		if (!how)
			continue;
		name_process(e->d_name, fd, name, sizeof(name));
		snprintf(ret, size, "%s: %s", name, how);
		return true;
	}
	return false;
}
