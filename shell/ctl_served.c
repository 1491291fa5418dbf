/* Which workspaces are served by this user, without a registry that could go stale: the kernel
 * lists every abstract socket in /proc/net/unix, and a daemon's is called "sbx-<32 hex>". Another
 * user could listen on such a name too, so the peer's uid is checked before a word is said. */
#include "shell/sbxctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define NAME_LEN   36 /* "sbx-" and 32 digits */
#define REPLY_MAX  65536
#define LISTENING  0x10000 /* __SO_ACCEPTCON, in the flags column */
#define REPLY_WAIT 3       /* seconds for a daemon that does not answer */

static bool is_daemon_name(const char *name)
{
	return !strncmp(name, "sbx-", 4) && strspn(name + 4, "0123456789abcdef") == 32 &&
	       strlen(name) == NAME_LEN;
}

static int connect_own(const char *name)
{
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval wait = { .tv_sec = REPLY_WAIT };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (fd < 0)
		return -errno;
	/* Before connecting: a daemon that is stopped accepts nobody, and holds up only this long.
	 */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
		return -errno;
	memcpy(sa.sun_path + 1, name, NAME_LEN);
	if (connect(fd, (struct sockaddr *)&sa,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + NAME_LEN)) < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid != geteuid())
		return -EPERM;
	return take_fd(&fd);
}

static json_t *ask(int fd, const char *op)
{
	autofree char *buf = malloc(REPLY_MAX);
	char text[64];
	int fds[FD_PASS_MAX], n = snprintf(text, sizeof(text), "{\"op\":\"%s\"}", op);
	json_t *reply = NULL;
	size_t nfds = 0;
	ssize_t len;

	if (!buf || fd_send(fd, text, (size_t)n, NULL, 0) < 0)
		return NULL;
	len = fd_recv(fd, buf, REPLY_MAX, fds, &nfds);
	for (size_t i = 0; len > 0 && i < nfds; i++)
		close(fds[i]);
	if (len <= 0 || json_parse(buf, (size_t)len, "the daemon's answer", &reply, NULL) < 0)
		return NULL;
	if (!json_is_true(json_object_get(reply, "ok"))) {
		json_decref(reply);
		return NULL;
	}
	json_object_del(reply, "ok");
	return reply;
}

/* What the daemon behind this name serves: its status, with "pid"; NULL if it is not ours. */
static json_t *status_of(const char *name)
{
	autoclose int fd = connect_own(name);
	autojson json_t *hello = NULL;
	json_t *status;

	if (fd < 0)
		return NULL;
	hello = ask(fd, "hello");
	status = hello ? ask(fd, "status") : NULL;
	if (status)
		json_object_set(status, "pid", json_object_get(hello, "pid"));
	return status;
}

json_t *ctl_served(void)
{
	autofclose FILE *f = fopen("/proc/net/unix", "re");
	json_t *list = json_array();
	char line[512];

	/* Num RefCount Protocol Flags Type St Inode Path */
	while (f && fgets(line, sizeof(line), f)) {
		unsigned flags;
		char path[128];
		json_t *status;

		if (sscanf(line, "%*s %*s %*s %x %*s %*s %*s %127s", &flags, path) != 2)
			continue;
		if (!(flags & LISTENING) || path[0] != '@' || !is_daemon_name(path + 1))
			continue;
		status = status_of(path + 1);
		if (status)
			json_array_append_new(list, status);
	}
	return list;
}
