#include "shell/jup_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define BACKLOG  64
#define TRIES    100
#define TRY_NSEC 10000000

static int listen_tcp(const char *ip, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	autoclose int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	inet_pton(AF_INET, ip, &addr.sin_addr);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static int file_address(const struct jup_conn *c, int channel, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return (size_t)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s-%u", c->ip,
				c->ports[channel]) < sizeof(ret->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

static int listen_file(const struct jup_conn *c, int channel)
{
	autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	struct stat st;
	int r = file_address(c, channel, &addr);

	if (fd < 0)
		return -errno;
	if (r < 0)
		return r;
	/* What an earlier kernel of this client left. */
	if (lstat(addr.sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
		unlink(addr.sun_path);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(addr.sun_path, 0600) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static int listen_channel(const struct jup_conn *c, int channel)
{
	const struct timespec wait = { .tv_nsec = TRY_NSEC };
	int r = -EADDRINUSE;

	for (int i = 0; i < TRIES && r == -EADDRINUSE; i++) {
		if (i > 0)
			nanosleep(&wait, NULL);
		r = c->ipc ? listen_file(c, channel) : listen_tcp(c->ip, c->ports[channel]);
	}
	return r;
}

int jup_listen(const struct jup_conn *c, int ret[JUP_CHANNELS], struct err *err)
{
	int r = 0;

	for (int i = 0; i < JUP_CHANNELS; i++)
		ret[i] = -1;
	for (int i = 0; i < JUP_CHANNELS && r >= 0; i++) {
		r = listen_channel(c, i);
		if (r == -EADDRINUSE)
			err_set(err, r,
				"port %u of the connection file is used by another program: start "
				"the kernel again.",
				c->ports[i]);
		else if (r < 0)
			err_set(err, r, "listen on '%s', port %u (%s)", c->ip, c->ports[i],
				jup_channel_name(i));
		else
			ret[i] = r;
	}
	if (r >= 0)
		return 0;
	jup_unlisten(c, ret);
	return r;
}

void jup_unlisten(const struct jup_conn *c, int fds[JUP_CHANNELS])
{
	for (int i = 0; i < JUP_CHANNELS; i++) {
		struct sockaddr_un addr;

		if (fds[i] < 0)
			continue;
		if (c->ipc && file_address(c, i, &addr) == 0)
			unlink(addr.sun_path);
		close(fds[i]);
		fds[i] = -1;
	}
}

/* The row of the other end: its address first. The kernel prints addresses as they lie in memory.
 */
static bool find_row(FILE *f, const struct sockaddr_in *peer, const struct sockaddr_in *own,
		     unsigned long *ret_uid)
{
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		unsigned la, lp, ra, rp;
		unsigned long uid;

		if (sscanf(line, " %*d: %x:%x %x:%x %*x %*x:%*x %*x:%*x %*x %lu", &la, &lp, &ra,
			   &rp, &uid) == 5 &&
		    la == peer->sin_addr.s_addr && lp == ntohs(peer->sin_port) &&
		    ra == own->sin_addr.s_addr && rp == ntohs(own->sin_port)) {
			*ret_uid = uid;
			return true;
		}
	}
	return false;
}

static bool peer_uid_tcp(int fd, unsigned long *ret_uid)
{
	struct sockaddr_in peer, own;
	socklen_t n = sizeof(peer), m = sizeof(own);
	autofclose FILE *f = fopen("/proc/self/net/tcp", "re");

	return f && getpeername(fd, (struct sockaddr *)&peer, &n) == 0 &&
	       getsockname(fd, (struct sockaddr *)&own, &m) == 0 &&
	       find_row(f, &peer, &own, ret_uid);
}

bool jup_peer_is_ours(int fd)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);
	struct sockaddr_storage own;
	socklen_t m = sizeof(own);
	unsigned long uid;

	if (getsockname(fd, (struct sockaddr *)&own, &m) < 0)
		return false;
	if (own.ss_family == AF_UNIX) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
			return false;
		uid = cred.uid;
	} else if (!peer_uid_tcp(fd, &uid)) {
		return false; /* it is gone again */
	}
	return uid == geteuid() || uid == 0;
}
