/* Attack 27: socket families with a history of holes, or that no namespace contains. */
#include "tests/escape/escape.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#define AF_RXRPC_ 33
#define AF_ALG_   38
#define AF_VSOCK_ 40
#define AF_XDP_   44

static int family(int domain, int type, int protocol)
{
	return errno_of(socket(domain, type | SOCK_CLOEXEC, protocol));
}

static int vsock(void)
{
	return family(AF_VSOCK_, SOCK_STREAM, 0);
}

static int alg(void)
{
	return family(AF_ALG_, SOCK_SEQPACKET, 0);
}

static int packet(void)
{
	return family(AF_PACKET, SOCK_RAW, 0);
}

static int rxrpc(void)
{
	return family(AF_RXRPC_, SOCK_DGRAM, AF_INET);
}

static int xdp(void)
{
	return family(AF_XDP_, SOCK_RAW, 0);
}

static int key(void)
{
	return family(AF_KEY, SOCK_RAW, 2);
}

static int audit(void)
{
	return family(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);
}

static int xfrm(void)
{
	return family(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
}

static int netfilter(void)
{
	return family(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static int raw_ip(void)
{
	return family(AF_INET, SOCK_RAW, 1);
}

static int pair_vsock(void)
{
	int sv[2];

	return errno_of(socketpair(AF_TIPC, SOCK_STREAM, 0, sv));
}

static int inet(void)
{
	return family(AF_INET, SOCK_STREAM, 0);
}

static int inet6(void)
{
	return family(AF_INET6, SOCK_DGRAM, 0);
}

static int local(void)
{
	return family(AF_UNIX, SOCK_STREAM, 0);
}

static int route(void)
{
	return family(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static int local_pair(void)
{
	int sv[2];

	return errno_of(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
}

static const struct act acts[] = {
	{ "AF_VSOCK", vsock, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "AF_ALG", alg, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "AF_PACKET", packet, { EAFNOSUPPORT, EPERM }, CONTROL_USERNS, { 0 } },
	{ "AF_RXRPC", rxrpc, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "AF_XDP", xdp, { EAFNOSUPPORT, EPERM }, CONTROL_USERNS, { 0 } },
	{ "AF_KEY", key, { EAFNOSUPPORT, EPERM }, CONTROL_USERNS, { 0 } },
	{ "NETLINK_AUDIT", audit, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "NETLINK_XFRM", xfrm, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "NETLINK_NETFILTER", netfilter, { EAFNOSUPPORT, EPERM }, CONTROL_PLAIN, { 0 } },
	{ "raw IP", raw_ip, { EPERM }, CONTROL_USERNS, { 0 } },
	{ "socketpair AF_TIPC", pair_vsock, { EAFNOSUPPORT, EPERM }, CONTROL_NONE, { 0 } },
	{ "AF_INET", inet, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "AF_INET6", inet6, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "AF_UNIX", local, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "NETLINK_ROUTE", route, { WORKS }, CONTROL_PLAIN, { 0 } },
	{ "socketpair AF_UNIX", local_pair, { WORKS }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
