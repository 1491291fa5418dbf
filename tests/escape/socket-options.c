/* Attack 28: socket options that load kernel code of another kind: upper layer protocols on TCP,
 * ESP in UDP. */
#include "tests/escape/escape.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

static int set(int type, int level, int name, const void *value, socklen_t len)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	return fd < 0 ? 200 : errno_of(setsockopt(fd, level, name, value, len));
}

static int ulp_espintcp(void)
{
	return set(SOCK_STREAM, IPPROTO_TCP, TCP_ULP, "espintcp", 8);
}

static int ulp_tls(void)
{
	return set(SOCK_STREAM, IPPROTO_TCP, TCP_ULP, "tls", 3);
}

static int udp_encap(void)
{
	int esp = UDP_ENCAP_ESPINUDP;

	return set(SOCK_DGRAM, IPPROTO_UDP, UDP_ENCAP, &esp, sizeof(esp));
}

static int nodelay(void)
{
	int on = 1;

	return set(SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static const struct act acts[] = {
	/* ENOENT: this kernel has no such protocol. ENOTCONN: it would, on a connected socket. */
	{ "TCP_ULP espintcp", ulp_espintcp, { EPERM }, CONTROL_PLAIN, { WORKS, ENOENT, ENOTCONN } },
	{ "TCP_ULP tls", ulp_tls, { EPERM }, CONTROL_PLAIN, { WORKS, ENOENT, ENOTCONN } },
	{ "UDP_ENCAP", udp_encap, { EPERM }, CONTROL_PLAIN, { 0 } },
	{ "TCP_NODELAY", nodelay, { WORKS }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
