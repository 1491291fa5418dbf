/* Where results are kept: the file of --result, and one record per run in the workspace. */
#include "shell/result.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "config.h"

/* Split into a descriptor of the directory and the last part. */
static int open_parent(const char *path, char name[NAME_MAX + 1], struct err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (!*last || !strcmp(last, ".") || !strcmp(last, "..") || strlen(last) > NAME_MAX ||
	    len >= sizeof(dir))
		return err_set(err, -EINVAL, "--result: '%s' is not the name of a file.", path);
	memcpy(name, last, strlen(last) + 1);
	memcpy(dir, path, len);
	dir[len] = '\0';
	fd = open(slash ? (len ? dir : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(err, -errno, "--result: open the folder of '%s'", path) : fd;
}

/* Renaming over a device, a fifo or a link would remove it: "--result /dev/stderr" as root. */
static int check_target(int dirfd, const char *name, const char *path, struct err *err)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "--result: stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "--result: '%s' exists and is not a regular file; name another.",
			       path);
	return 0;
}

int result_check_path(const char *path, struct err *err)
{
	char name[NAME_MAX + 1];
	autoclose int dirfd = open_parent(path, name, err);
	int r;

	if (dirfd < 0)
		return dirfd;
	r = check_target(dirfd, name, path, err);
	if (r == 0 && faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = err_set(err, -errno, "--result: write into the folder of '%s'", path);
	return r;
}

int result_write(const char *path, const json_t *result, struct err *err)
{
	char name[NAME_MAX + 1];
	autoclose int dirfd = open_parent(path, name, err);
	autofree char *text = json_pretty(result);
	autofree char *line = text ? str_printf("%s\n", text) : NULL;
	int r;

	if (dirfd < 0)
		return dirfd;
	if (!line)
		return err_set(err, -ENOMEM, "--result: write '%s'", path);
	r = check_target(dirfd, name, path, err);
	if (r == 0)
		r = fd_replace_file(dirfd, name, line, strlen(line), 0644, err);
	return r < 0 ? err_wrap(err, r, "--result") : 0;
}

int record_write(const char *ws, const struct run_facts *f, const json_t *result,
		 const char *command, int nargs, struct err *err)
{
	autoclose int wsfd = open(ws, O_PATH | O_DIRECTORY | O_CLOEXEC);
	autoclose int dirfd = -1;
	autojson json_t *record = json_deep_copy(result);
	autofree char *text = NULL;
	char name[64], safe[256];

	if (wsfd < 0)
		return 0;
	dirfd = fd_open_beneath(wsfd, "runs", O_RDONLY | O_DIRECTORY, 0);
	if (dirfd == -ENOENT || dirfd == -ENOTDIR)
		return 0;
	if (dirfd < 0)
		return err_set(err, dirfd, "open '%s/runs'", ws);
	str_printable(command ? command : "", safe, sizeof(safe));
	if (!record || json_object_update_new(
			       record, json_pack("{s:s, s:s, s:b, s:i, s:s}", "started", f->started,
						 "command", safe, "interactive", command == NULL,
						 "arguments", nargs, "version", SBX_VERSION)) < 0)
		return err_set(err, -ENOMEM, "record the run");
	text = json_pretty(record);
	if (!text)
		return err_set(err, -ENOMEM, "record the run");
	snprintf(name, sizeof(name), "%s.json", f->run_id);
	/* Not synced: that would be the longest part of a short run, and a disk's work. */
	return fd_replace_file_lazily(dirfd, name, text, strlen(text), 0600, err);
}
