#include "shell/ws_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "shell/opt.h"

#define NEIGHBOURS_MAX 64

static bool has(const char *dir, const char *name)
{
	autofree char *path = str_printf("%s/%s", dir, name);
	struct stat st;

	return path && lstat(path, &st) == 0;
}

/* Heap: the directory that holds 'path'. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* The workspace beside it that was probably meant, as one would type it; NULL if none is near. */
static char *near_workspace(const char *ws)
{
	autofree char *dir = parent_of(ws);
	autoclosedir DIR *d = dir ? opendir(dir) : NULL;
	const char *slash = strrchr(ws, '/'), *name = slash ? slash + 1 : ws, *near;
	char *names[NEIGHBOURS_MAX], *ret = NULL;
	const struct dirent *e;
	size_t n = 0;

	while (d && n < NEIGHBOURS_MAX && (e = readdir(d))) {
		autofree char *path = str_printf("%s/%s", dir, e->d_name);

		if (e->d_name[0] != '.' && path && has(path, "workspace.json"))
			names[n++] = strdup(e->d_name);
	}
	near = opt_nearest(name, (const char *const *)names, n);
	if (near)
		ret = str_printf("%.*s%s", (int)(name - ws), ws, near);
	while (n > 0)
		free(names[--n]);
	return ret;
}

static int not_there(const char *ws, struct err *err)
{
	autofree char *near = near_workspace(ws);

	if (near)
		return err_set(err, -ENOENT,
			       "there is no workspace '%s'; did you mean '%s'?  "
			       "(sbxctl init %s makes one.)",
			       ws, near, ws);
	return err_set(err, -ENOENT, "there is no workspace '%s'; make one: sbxctl init %s.", ws,
		       ws);
}

static int a_file(const char *ws, struct err *err)
{
	autofree char *dir = parent_of(ws);

	if (dir && has(dir, "workspace.json"))
		return err_set(err, -ENOTDIR,
			       "'%s' is a file of a workspace; name the workspace: %s.", ws, dir);
	return err_set(err, -ENOTDIR,
		       "'%s' is a file and no workspace; 'sbxctl init NAME' makes one.", ws);
}

static bool is_empty(const char *dir)
{
	autoclosedir DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return d != NULL;
}

int ws_check(const char *ws, struct err *err)
{
	struct stat st;

	if (stat(ws, &st) < 0)
		return errno == ENOENT ? not_there(ws, err) : 0;
	if (!S_ISDIR(st.st_mode))
		return a_file(ws, err);
	if (has(ws, "workspace.json") || errno != ENOENT)
		return 0;
	if (has(ws, "datasets") && has(ws, "workspace"))
		return err_set(err, -ENOENT,
			       "'%s' is where a workspace is mounted, not the workspace: 'sbxctl "
			       "status' says which one it is.",
			       ws);
	if (is_empty(ws))
		return err_set(
			err, -ENOENT,
			"'%s' is not a workspace yet: it has no workspace.json; make it one: "
			"sbxctl init %s.",
			ws, ws);
	return err_set(
		err, -ENOENT,
		"'%s' is not a workspace: it has no workspace.json; 'sbxctl init NAME' makes "
		"one.",
		ws);
}
