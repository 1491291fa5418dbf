/* Attack 32: links that lead to the host: HOST_FILE is a file there that this user may read. */
#include "tests/escape/escape.h"

#include <sys/mman.h>

static const char *secret(void)
{
	const char *path = getenv("HOST_FILE");

	if (!path)
		_exit(200);
	return path;
}

static int through(const char *target)
{
	unlink("leads");
	if (symlink(target, "leads") < 0)
		return 200;
	return errno_of(open("leads", O_RDONLY | O_CLOEXEC));
}

static int absolute(void)
{
	return through(secret());
}

static int relative(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "../../../../../../../../../../../..%s", secret());
	return through(path);
}

static int by_proc(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "/proc/self/root/..%s", secret());
	return through(path);
}

static int chained(void)
{
	unlink("c1");
	unlink("c2");
	if (symlink(secret(), "c1") < 0 || symlink("c1", "c2") < 0)
		return 200;
	return through("c2");
}

static int hard_link(void)
{
	unlink("hard");
	return errno_of(link(secret(), "hard"));
}

/* One swaps the link between a file of ours and the host's, one reads. 0 = the host's was read. */
static int swapped(void)
{
	int *stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char buf[16];
	int r = ENOENT, fd = open("own", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid_t pid;

	unlink("turn");
	unlink("turn2");
	if (stop == MAP_FAILED || fd < 0 || symlink("own", "turn") < 0 ||
	    symlink(secret(), "turn2") < 0)
		return 200;
	pid = fork();
	while (pid == 0 && !*(volatile int *)stop) {
		renameat2(AT_FDCWD, "turn", AT_FDCWD, "turn2", RENAME_EXCHANGE);
		((volatile int *)stop)[1]++;
	}
	if (pid == 0)
		_exit(0);
	/* Until the other has had its turns, too; the alarm ends it otherwise. */
	for (int i = 0; (i < 3000 || ((volatile int *)stop)[1] < 1000) && r == ENOENT; i++) {
		fd = open("turn", O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			r = 0;
		if (fd >= 0)
			close(fd);
	}
	*stop = 1;
	waitpid(pid, NULL, 0);
	return r;
}

static const struct act acts[] = {
	{ "an absolute link", absolute, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a link of dots", relative, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a link through /proc", by_proc, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "links in a chain", chained, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a hard link", hard_link, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a link that is swapped", swapped, { ENOENT }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
