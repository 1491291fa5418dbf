#include "sandbox/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

#define LINKS_MAX 16

static const char *path_of(char *const *envp)
{
	for (; *envp; envp++) {
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	}
	return "/usr/local/bin:/usr/bin:/bin";
}

/* The folder to show, for a program: of /opt/py/bin/python3 it is /opt/py, with the libraries. */
static void folder_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash && slash != path)
		*slash = '\0';
	slash = strrchr(path, '/');
	if (slash && slash != path && strcmp(slash, "/bin") == 0)
		*slash = '\0';
}

/* One link further; 'path' becomes where it leads. False when it is none. */
static bool step(char path[PATH_MAX])
{
	char link[PATH_MAX], next[2 * PATH_MAX];
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	const char *slash = strrchr(path, '/');

	if (n < 0)
		return false;
	link[n] = '\0';
	if (link[0] == '/' || !slash)
		snprintf(next, sizeof(next), "%s", link);
	else
		snprintf(next, sizeof(next), "%.*s/%s", (int)(slash - path), path, link);
	if (strlen(next) >= PATH_MAX)
		return false;
	memcpy(path, next, strlen(next) + 1);
	return true;
}

/* The interpreter that the first line of a script names. */
static bool script_of(char path[PATH_MAX])
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char line[256];
	ssize_t n = fd < 0 ? -1 : fd_read_full(fd, line, sizeof(line) - 1);
	const char *p = line + 2;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	p += strspn(p, " \t");
	snprintf(path, PATH_MAX, "%.*s", (int)strcspn(p, " \t"), p);
	return path[0] == '/';
}

/* 'name' is there, and yet the kernel says ENOENT: follow it to what is missing. */
static bool explain_missing(const char *name, struct err *err)
{
	char at[PATH_MAX], folder[PATH_MAX];
	struct stat st;

	if (lstat(name, &st) < 0)
		return false;
	snprintf(at, sizeof(at), "%s", name);
	for (int i = 0; i < LINKS_MAX && lstat(at, &st) == 0; i++) {
		if (!step(at) && !script_of(at))
			return false;
	}
	if (lstat(at, &st) == 0)
		return false;
	snprintf(folder, sizeof(folder), "%s", at);
	folder_of(folder);
	err_set(err, -ENOEXEC,
		"'%s' needs '%s', which is not there in the sandbox; if it is on the host, show it "
		"with --ro %s.",
		name, at, folder);
	return true;
}

int lookup_exec(const struct sandbox_plan *p, struct err *err)
{
	const char *name = p->argv[0], *dir;
	bool denied = false;
	char full[PATH_MAX];

	err_set(err, -ENOENT, "run '%s'", name);
	if (strchr(name, '/')) {
		int e;

		execve(name, p->argv, p->envp);
		e = errno;
		if (e != ENOENT || !explain_missing(name, err))
			err_set(err, -e, "run '%s'", name);
		return e;
	}
	for (dir = path_of(p->envp); *dir; dir += strspn(dir, ":")) {
		size_t n = strcspn(dir, ":");
		int e;

		if ((size_t)snprintf(full, sizeof(full), "%.*s/%s", (int)n, dir, name) >=
		    sizeof(full))
			return ENAMETOOLONG;
		execve(full, p->argv, p->envp);
		e = errno;
		if (e == EACCES) {
			denied = true;
		} else if (e != ENOENT && e != ENOTDIR) {
			err_set(err, -e, "run '%s'", name);
			return e;
		} else if (e == ENOENT && explain_missing(full, err)) {
			return e;
		}
		dir += n;
	}
	if (denied)
		err_set(err, -EACCES, "run '%s'", name);
	return denied ? EACCES : ENOENT;
}
