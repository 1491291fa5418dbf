/* Descriptors only ever leave the sandbox.  A socket of the host's network given to what runs
 * inside could be connected anew, to any port of the host (connect(AF_UNSPEC) and again), listening
 * or accepted; a socket made inside belongs to the network inside for ever. */
#include "sandbox/connector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/plan.h"

static int dial(int family, const void *addr, socklen_t len)
{
	autoclose int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	/* EINPROGRESS: a full queue. Whoever gets the descriptor waits, not pid 1. */
	if (connect(fd, addr, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

/* The kernel owns the directory: it must be a socket at the very end of the path and no link. */
static int dial_file(const char *prefix, unsigned channel)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	autoclose int at = -1;
	char path[108];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s-%u", prefix, channel + 1) >= sizeof(path))
		return -ENAMETOOLONG;
	at = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return -errno;
	if (fstat(at, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", at);
	return dial(AF_UNIX, &addr, sizeof(addr));
}

int connector_dial(const struct plan_kernel *k, unsigned channel)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (channel >= PLAN_CHANNELS)
		return -EINVAL;
	if (k->sockets)
		return dial_file(k->sockets, channel);
	addr.sin_port = htons(k->ports[channel]);
	return dial(AF_INET, &addr, sizeof(addr));
}
