/* usage: fsposix DIR [PART..]    checks in the empty directory DIR; exit code 1 when one does not
 * hold */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool is_root, in_sandbox;
const mode_t types[5] = { S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFLNK };

static unsigned long held, broken;
static const char *part = "";

__attribute__((format(printf, 2, 0))) static void bad(const char *why, const char *fmt, va_list ap)
{
	if (++broken > 200) /* enough to see what is wrong */
		return;
	printf("BAD %s: ", part);
	vprintf(fmt, ap);
	printf("%s\n", why);
}

void ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (good)
		held++;
	else
		bad("", fmt, ap);
	va_end(ap);
}

void gives(int got, int want, const char *fmt, ...)
{
	char why[128];
	va_list ap;

	snprintf(why, sizeof(why), ": %s, expected %s", got ? strerrorname_np(got) : "success",
		 want ? strerrorname_np(want) : "success");
	va_start(ap, fmt);
	if (got == want)
		held++;
	else
		bad(why, fmt, ap);
	va_end(ap);
}

static void must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(2);
	}
}

void be(uid_t uid, gid_t gid, gid_t extra)
{
	must(setgroups(extra ? 1 : 0, &extra), "setgroups");
	must(setegid(gid), "setegid");
	must(seteuid(uid), "seteuid");
}

void be_root(void)
{
	must(seteuid(0), "seteuid");
	must(setegid(0), "setegid");
	must(setgroups(0, NULL), "setgroups");
}

void wipe(const char *path)
{
	char below[4096];
	struct dirent *e;
	DIR *d;

	if (unlink(path) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	(void)chmod(path, 0700);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		wipe(below);
	}
	if (d)
		closedir(d);
	(void)rmdir(path);
}

void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		must(-1, path);
	close(fd);
}

void make(const char *path, mode_t type)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	switch (type) {
	case S_IFREG:
		put(path, "text");
		break;
	case S_IFDIR:
		must(mkdir(path, 0755), path);
		break;
	case S_IFIFO:
		must(mkfifo(path, 0644), path);
		break;
	case S_IFSOCK:
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
		must(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), path);
		close(fd);
		must(chmod(path, 0644), path);
		break;
	default:
		must(symlink("target", path), path);
	}
}

const char *type_name(mode_t type)
{
	switch (type) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a symlink";
	}
}

mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? (mode_t)-1 : st.st_mode & 07777;
}

static const struct {
	const char *name;
	void (*fn)(void);
} parts[] = {
	{ "modes", check_modes }, { "owners", check_owners }, { "paths", check_paths },
	{ "names", check_names }, { "times", check_times },   { "files", check_files },
};

static bool wanted(int argc, char **argv, const char *name)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	if (argc < 2 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: fsposix DIR [PART..]\n");
		return 2;
	}
	is_root = geteuid() == 0;
	in_sandbox = getenv("SANDBOX") != NULL;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		unsigned long before = held;

		if (!wanted(argc, argv, parts[i].name))
			continue;
		part = parts[i].name;
		umask(0);
		must(mkdir(part, 0777), part);
		must(chdir(part), part);
		parts[i].fn();
		must(chdir(".."), "..");
		wipe(part);
		ok(access(part, F_OK) < 0, "it can be removed");
		printf("ok %s: %lu checks\n", part, held - before);
	}
	printf("%lu checks hold, %lu do not\n", held, broken);
	return broken ? 1 : 0;
}
