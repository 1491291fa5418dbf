/* Attack 29: talk to somebody on the host: abstract and path sockets, the host's loopback.
 * HOST_ABSTRACT, HOST_PATH and HOST_PORT name listeners that the driver holds on the host. */
#include "tests/escape/escape.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int connect_unix(const char *name, bool abstract)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(name);

	if (fd < 0 || len > sizeof(sa.sun_path) - 2)
		return 200;
	memcpy(sa.sun_path + abstract, name, len);
	return errno_of(connect(fd, (struct sockaddr *)&sa,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)));
}

static int abstract_listener(void)
{
	const char *name = getenv("HOST_ABSTRACT");

	return name ? connect_unix(name, true) : 200;
}

static int path_listener(void)
{
	const char *name = getenv("HOST_PATH");

	return name ? connect_unix(name, false) : 200;
}

static int well_known_paths(void)
{
	static const char *const paths[] = {
		"/run/dbus/system_bus_socket",
		"/run/docker.sock",
		"/var/run/docker.sock",
		"/run/systemd/private",
		"/run/user/0/bus",
		"/run/containerd/containerd.sock",
		"/tmp/.X11-unix/X0",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (connect_unix(paths[i], false) != ENOENT)
			return EEXIST;
	return ENOENT;
}

static int agent_in_environment(void)
{
	return getenv("SSH_AUTH_SOCK") || getenv("DBUS_SESSION_BUS_ADDRESS") ? 0 : ENOENT;
}

static int inet_to(const char *address, int port, int type)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &sa.sin_addr);
	return fd < 0 ? 200 : errno_of(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

static int host_loopback(void)
{
	const char *port = getenv("HOST_PORT");

	return port ? inet_to("127.0.0.1", atoi(port), SOCK_STREAM) : 200;
}

/* TEST-NET-1 and the metadata address: no packet ever leaves, there is no route. */
static int far_address(void)
{
	return inet_to("192.0.2.1", 80, SOCK_STREAM);
}

static int metadata_address(void)
{
	return inet_to("169.254.169.254", 80, SOCK_STREAM);
}

static int far_datagram(void)
{
	return inet_to("192.0.2.1", 53, SOCK_DGRAM);
}

static int own_loopback(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(s, 1) < 0 ||
	    getsockname(s, (struct sockaddr *)&sa, &len) < 0)
		return errno;
	return errno_of(connect(c, (struct sockaddr *)&sa, sizeof(sa)));
}

static const struct act acts[] = {
	{ "abstract socket of the host",
	  abstract_listener,
	  { ECONNREFUSED, EPERM },
	  CONTROL_PLAIN,
	  { 0 } },
	{ "path socket of the host", path_listener, { ENOENT }, CONTROL_PLAIN, { 0 } },
	{ "bus, docker, agent sockets", well_known_paths, { ENOENT }, CONTROL_NONE, { 0 } },
	{ "sockets in the environment", agent_in_environment, { ENOENT }, CONTROL_NONE, { 0 } },
	{ "loopback of the host", host_loopback, { ECONNREFUSED }, CONTROL_PLAIN, { 0 } },
	{ "TCP to anywhere", far_address, { ENETUNREACH }, CONTROL_NONE, { 0 } },
	{ "TCP to the metadata address", metadata_address, { ENETUNREACH }, CONTROL_NONE, { 0 } },
	{ "UDP to anywhere", far_datagram, { ENETUNREACH }, CONTROL_NONE, { 0 } },
	{ "own loopback", own_loopback, { WORKS }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
