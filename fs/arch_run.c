#include "fs/arch_run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "config.h"
#include "fs/arch_proto.h"
#include "fs/arch_stream.h"

#define PIPE_SIZE (1 << 20)
#define LOOK_MS   100

/* Beside this program, in a build tree and where it is installed. */
static int reader_path(char path[static 4096])
{
	static const char name[] = "sbx-archive";
	ssize_t n = readlink("/proc/self/exe", path, 4096 - sizeof(name));
	char *slash;

	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	strcpy(slash + 1, name);
	if (access(path, X_OK) == 0)
		return 0;
	snprintf(path, 4096, "%s/%s", SBX_LIBEXECDIR, name);
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int spawn(const char *path, const struct arch_run *p, int out, pid_t *ret)
{
	char bytes[24], entries[24];
	const char *argv[] = { "sbx-archive", p->unpack ? "unpack" : "index", bytes, entries,
			       NULL };
	char *envp[] = { NULL };
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none;
	int r;

	snprintf(bytes, sizeof(bytes), "%" PRIu64, p->max_bytes);
	snprintf(entries, sizeof(entries), "%" PRIu64, p->max_entries);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&at) != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return -ENOMEM;
	}
	/* All our descriptors are close-on-exec; 2 may not be. */
	r = posix_spawn_file_actions_adddup2(&fa, p->source, ARCH_FD_SOURCE);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, out, ARCH_FD_OUT);
	if (r == 0)
		r = posix_spawn_file_actions_addclose(&fa, 2);
	(void)posix_spawnattr_setsigmask(&at, &none);
	(void)posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK);
	/* It shares our memory until it is another program, and copies no page of it. */
	if (r == 0)
		r = posix_spawn(ret, path, &fa, &at, (char *const *)argv, envp);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	return -r;
}

/* 0 at the end of the pipe. */
static int listen_to(const struct arch_run *p, int fd, struct arch_stream *s)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		uint8_t *room;
		size_t len;
		ssize_t n;
		int r;

		if (atomic_load(p->cancel))
			return -ECANCELED;
		if (poll(&pfd, 1, LOOK_MS) <= 0)
			continue;
		room = arch_stream_room(s, &len);
		n = read(fd, room, len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = arch_stream_fed(s, (size_t)n);
		if (r < 0)
			return r;
	}
}

static int check_end(const struct arch_stream *s, int status, struct err *err)
{
	if (arch_stream_ended(s))
		return 0;
	if (WIFSIGNALED(status))
		return err_set(err, -EIO,
			       WTERMSIG(status) == SIGXCPU
				       ? "its reader used all the processor time it may have."
				       : "its reader was ended by signal %d.",
			       WTERMSIG(status));
	return err_set(err, -EIO, "its reader ended without a word (exit %d).",
		       WEXITSTATUS(status));
}

int arch_run(const struct arch_run *p, struct err *err)
{
	struct arch_stream *s = NULL;
	autoclose int in = -1;
	char path[4096];
	int fds[2], r, status = 0;
	pid_t child;

	r = reader_path(path);
	if (r < 0)
		return err_set(err, r, "sbx-archive, the reader of archives, is not installed");
	r = arch_stream_new(p->ops, p->ctx, &s);
	if (r == 0 && pipe2(fds, O_CLOEXEC) < 0)
		r = -errno;
	if (r < 0) {
		arch_stream_free(s);
		return err_set(err, r, "start '%s'", path);
	}
	in = fds[0];
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	r = spawn(path, p, fds[1], &child);
	close(fds[1]);
	if (r < 0) {
		arch_stream_free(s);
		return err_set(err, r, "start '%s'", path);
	}
	r = listen_to(p, in, s);
	if (r < 0)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0)
		r = check_end(s, status, err);
	else if (err && !err->text[0])
		err_set(err, r, "read it");
	arch_stream_free(s);
	return r;
}
