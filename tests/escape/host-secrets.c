/* Attack 45: the ciphertext, the keys, the daemon, its socket, the supervisor.  The driver says
 * where they are on the host: WS, IDENTITY, DAEMON_PID, DAEMON_SOCKET. */
#include "tests/escape/escape.h"

#include <dirent.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int open_below(const char *variable, const char *name)
{
	const char *dir = getenv(variable);
	char path[4096];

	if (!dir)
		return 200;
	snprintf(path, sizeof(path), "%s%s", dir, name);
	return errno_of(open(path, O_RDONLY | O_CLOEXEC));
}

static int store(void)
{
	return open_below("WS", "/store");
}

static int keys(void)
{
	return open_below("WS", "/keys");
}

static int config(void)
{
	return open_below("WS", "/workspace.json");
}

static int runs(void)
{
	return open_below("WS", "/runs");
}

static int lock(void)
{
	return open_below("WS", "/lock");
}

static int identity(void)
{
	return open_below("IDENTITY", "");
}

static int daemon_status(void)
{
	const char *pid = getenv("DAEMON_PID");
	char path[64];

	if (!pid)
		return 200;
	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	return errno_of(open(path, O_RDONLY | O_CLOEXEC));
}

static int daemon_signal(void)
{
	const char *pid = getenv("DAEMON_PID");

	return pid ? errno_of(kill(atoi(pid), 0)) : 200;
}

static int daemon_socket(void)
{
	const char *name = getenv("DAEMON_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	size_t len = name ? strlen(name) : 0;

	if (!name || fd < 0 || len > sizeof(sa.sun_path) - 2)
		return 200;
	memcpy(sa.sun_path + 1, name, len);
	return errno_of(connect(fd, (struct sockaddr *)&sa,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)));
}

/* 0 = a process of ours of the host is named in /proc. */
static int any_command_line(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[300], line[512] = "";
		int fd;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, line, sizeof(line) - 1) > 0 &&
		    (strstr(line, "sbxfsd") || strstr(line, "sbx-shell")))
			return 0;
		if (fd >= 0)
			close(fd);
	}
	return d ? ESRCH : 200;
}

/* What the mounts say about where they come from: no path of the host may be in it. */
static int mount_table(void)
{
	const char *ws = getenv("WS"), *files[] = { "/proc/self/mountinfo", "/proc/self/mounts",
						    "/proc/self/mountstats" };
	static char text[1 << 20];

	if (!ws)
		return 200;
	if (in_control)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		size_t n = 0;
		ssize_t r;

		while (fd >= 0 && n < sizeof(text) - 1 &&
		       (r = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
			n += (size_t)r;
		text[n] = '\0';
		if (n == 0 || strstr(text, ws))
			return n ? 0 : 200;
	}
	return ENOENT;
}

static const struct act acts[] = {
	{ "WS/store", store, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "WS/keys", keys, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "WS/workspace.json", config, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "WS/runs", runs, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "WS/lock", lock, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "the identity", identity, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "/proc of the daemon", daemon_status, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "a signal to the daemon", daemon_signal, { ESRCH }, CONTROL_PLAIN, { WORKS, EPERM } },
	{ "the daemon's socket", daemon_socket, { ECONNREFUSED, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "our programs in /proc", any_command_line, { ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "the host's path in the mount table", mount_table, { ENOENT }, CONTROL_NONE, { 0 } },
};

ESCAPE_MAIN(acts)
