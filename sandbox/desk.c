/* The folder of a notebook is shown read-only at a place of its own, and the kernel works in the
 * workspace, where it can write.  Links join the two: "data.csv" beside the notebook opens as
 * data.csv, and what the code makes is the workspace's.  A link's text depends on its name alone,
 * so kernels that share a workspace make the same ones. */
#include "sandbox/desk.h"

#include <dirent.h>
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
#include "sandbox/plan.h"

#define LINKS_MAX 1024 /* a folder with more is no notebook's */

static int write_file(const struct plan_kernel *k, struct err *err)
{
	char dir[PATH_MAX];
	autoclose int fd = -1;
	int r;

	snprintf(dir, sizeof(dir), "%s", k->file);
	*strrchr(dir, '/') = '\0';
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "make '%s' in the sandbox", dir);
	fd = open(k->file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(err, -errno, "make '%s' in the sandbox", k->file);
	r = fd_write_full(fd, k->text, strlen(k->text));
	return r < 0 ? err_set(err, r, "write '%s' in the sandbox", k->file) : 0;
}

/* Is it a link of ours, from this run or an earlier one? */
static bool is_ours(const char *name, const char *dir)
{
	char text[PATH_MAX], want[PATH_MAX];
	ssize_t n = readlink(name, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return (size_t)snprintf(want, sizeof(want), "%s/%s", dir, name) < sizeof(want) &&
	       !strcmp(text, want);
}

/* A link that leads nowhere would turn the making of such a file into an error. */
static void sweep(const char *dir)
{
	autoclosedir DIR *d = opendir(".");
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_LNK && is_ours(e->d_name, dir) && access(e->d_name, F_OK) < 0)
			unlink(e->d_name);
}

static int make_links(const char *dir, struct err *err)
{
	autoclosedir DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned made = 0;

	if (!d)
		return err_set(err, -errno, "open '%s' in the sandbox", dir);
	while (made < LINKS_MAX && (e = readdir(d))) {
		char target[PATH_MAX];

		/* Dot files are a person's settings, and no notebook's data. */
		if (e->d_name[0] == '.' || (size_t)snprintf(target, sizeof(target), "%s/%s", dir,
							    e->d_name) >= sizeof(target))
			continue;
		/* A full or read-only workspace has its own way of saying so. */
		made += symlink(target, e->d_name) == 0;
	}
	return 0;
}

int desk_lay(const struct plan_kernel *k, struct err *err)
{
	int r = write_file(k, err);

	if (r < 0 || !k->links)
		return r;
	sweep(k->links);
	return make_links(k->links, err);
}
