/* Attack 54: a way to anywhere: TCP, UDP, ICMP, IPv6, DNS, link-local, multicast, new interfaces.
 * Outside, a network of our own gets the same addresses on its loopback, so that each act gets as
 * far as a host that answers. */
#include "tests/escape/escape.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define FAR      "192.0.2.1" /* reserved for documentation: nobody is there */
#define FAR6     "2001:db8::1"
#define METADATA "169.254.169.254"

struct ask {
	struct nlmsghdr head;
	union {
		struct ifaddrmsg addr;
		struct rtmsg route;
		struct ifinfomsg link;
	} u;
	char room[128];
};

static void put(struct ask *a, unsigned short type, const void *data, unsigned short len)
{
	struct rtattr *at = (void *)((char *)a + NLMSG_ALIGN(a->head.nlmsg_len));

	*at = (struct rtattr){ .rta_type = type, .rta_len = (unsigned short)RTA_LENGTH(len) };
	memcpy(RTA_DATA(at), data, len);
	a->head.nlmsg_len = NLMSG_ALIGN(a->head.nlmsg_len) + RTA_ALIGN(at->rta_len);
}

/* The kernel's answer as an errno. */
static int ask(struct ask *a)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr head;
		struct nlmsgerr err;
		char room[512];
	} reply;

	a->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
	if (fd < 0 || send(fd, a, a->head.nlmsg_len, 0) < 0)
		return errno;
	if (recv(fd, &reply, sizeof(reply), 0) < (ssize_t)sizeof(reply.head) + 4)
		return EIO;
	close(fd);
	return reply.head.nlmsg_type == NLMSG_ERROR ? -reply.err.error : 0;
}

static int add_address(int family, const char *text, unsigned char prefix)
{
	struct ask a = { .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(a.u.addr)),
				   .nlmsg_type = RTM_NEWADDR },
			 .u.addr = { .ifa_family = (unsigned char)family,
				     .ifa_prefixlen = prefix,
				     .ifa_flags = IFA_F_NODAD,
				     .ifa_index = if_nametoindex("lo") } };
	unsigned char raw[16];

	inet_pton(family, text, raw);
	put(&a, IFA_LOCAL, raw, family == AF_INET ? 4 : 16);
	put(&a, IFA_ADDRESS, raw, family == AF_INET ? 4 : 16);
	return ask(&a);
}

/* The network of the control: the loopback is up and has all these addresses. */
static void arrange(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!in_control)
		return;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0 || add_address(AF_INET, FAR, 24) ||
	    add_address(AF_INET, METADATA, 16))
		_exit(200);
	add_address(AF_INET6, FAR6, 64);
	add_address(AF_INET6, "fe80::1", 64);
}

static int to4(const char *address, int port, int type, int protocol)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd;

	arrange();
	fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
	inet_pton(AF_INET, address, &sa.sin_addr);
	return fd < 0 ? errno : errno_of(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

static int to6(const char *address, int port, int type)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	int fd;

	arrange();
	fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET6, address, &sa.sin6_addr);
	if (strncmp(address, "fe80", 4) == 0)
		sa.sin6_scope_id = if_nametoindex("lo");
	return fd < 0 ? errno : errno_of(connect(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

static int tcp(void)
{
	return to4(FAR, 443, SOCK_STREAM, 0);
}

static int mptcp(void)
{
	return to4(FAR, 443, SOCK_STREAM, IPPROTO_MPTCP);
}

static int udp(void)
{
	return to4(FAR, 53, SOCK_DGRAM, 0);
}

static int metadata(void)
{
	return to4(METADATA, 80, SOCK_STREAM, 0);
}

static int echo_by_ping_socket(void)
{
	int r = to4(FAR, 0, SOCK_DGRAM, IPPROTO_ICMP);

	/* In a network of one's own nobody may have one until that is set. */
	return in_control && r == EACCES ? 200 : r;
}

static int echo_by_raw_socket(void)
{
	return to4(FAR, 0, SOCK_RAW, IPPROTO_ICMP);
}

static int tcp6(void)
{
	return to6(FAR6, 443, SOCK_STREAM);
}

static int udp6(void)
{
	return to6(FAR6, 53, SOCK_DGRAM);
}

static int link_local6(void)
{
	return to6("fe80::1", 80, SOCK_STREAM);
}

static int mapped4(void)
{
	return to6("::ffff:" FAR, 80, SOCK_STREAM);
}

static int send_first(const char *address, int type, int flags)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd, on = 1;

	arrange();
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, address, &sa.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	return errno_of(sendto(fd, "x", 1, flags, (struct sockaddr *)&sa, sizeof(sa)));
}

static int datagram(void)
{
	return send_first(FAR, SOCK_DGRAM, 0);
}

static int fast_open(void)
{
	return send_first(FAR, SOCK_STREAM, MSG_FASTOPEN);
}

static int broadcast(void)
{
	return send_first("192.0.2.255", SOCK_DGRAM, 0);
}

static int everybody(void)
{
	return send_first("255.255.255.255", SOCK_DGRAM, 0);
}

static int multicast(void)
{
	return send_first("224.0.0.251", SOCK_DGRAM, 0);
}

static int resolve(void)
{
	struct addrinfo *found;

	return getaddrinfo("example.org", "443", NULL, &found) == 0 ? 0 : EHOSTUNREACH;
}

static int new_address(void)
{
	return add_address(AF_INET, "198.51.100.1", 24);
}

static int new_route(void)
{
	struct ask a = { .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(a.u.route)),
				   .nlmsg_type = RTM_NEWROUTE },
			 .u.route = { .rtm_family = AF_INET,
				      .rtm_table = RT_TABLE_MAIN,
				      .rtm_protocol = RTPROT_STATIC,
				      .rtm_scope = RT_SCOPE_LINK,
				      .rtm_type = RTN_UNICAST } };
	int lo = (int)if_nametoindex("lo");

	arrange();
	put(&a, RTA_OIF, &lo, sizeof(lo));
	return ask(&a);
}

static int new_link(void)
{
	struct ask a = { .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(a.u.link)),
				   .nlmsg_type = RTM_NEWLINK },
			 .u.link = { .ifi_family = AF_UNSPEC } };
	/* IFLA_LINKINFO { IFLA_INFO_KIND "dummy" }, nested by hand */
	char nested[12] = { 9, 0, IFLA_INFO_KIND, 0, 'd', 'u', 'm', 'm', 'y' };

	put(&a, IFLA_LINKINFO, nested, sizeof(nested));
	return ask(&a);
}

/* ENODEV: the loopback is all there is. */
static int other_interface(void)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		if (strcmp(i->if_name, "lo") != 0 && strcmp(i->if_name, "sit0") != 0 &&
		    strcmp(i->if_name, "tunl0") != 0 && strcmp(i->if_name, "ip6tnl0") != 0)
			return 0;
	return all ? ENODEV : 200;
}

static int set_loopback_down(void)
{
	struct ifreq req = { .ifr_name = "lo" };

	return errno_of(ioctl(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), SIOCSIFFLAGS, &req));
}

#define UNREACHED                                                                                  \
	{                                                                                          \
		ENETUNREACH                                                                        \
	}
#define ARRIVES                                                                                    \
	{                                                                                          \
		WORKS, ECONNREFUSED                                                                \
	}
#define U CONTROL_USERNS

static const struct act acts[] = {
	{ "TCP to an address", tcp, UNREACHED, U, ARRIVES },
	{ "MPTCP", mptcp, { ENETUNREACH, EPROTONOSUPPORT }, U, { ECONNREFUSED, ENOPROTOOPT } },
	{ "TCP fast open",
	  fast_open,
	  { ENETUNREACH, EOPNOTSUPP },
	  U,
	  { WORKS, ECONNREFUSED, EINPROGRESS } },
	{ "UDP connect", udp, UNREACHED, U, ARRIVES },
	{ "UDP datagram", datagram, UNREACHED, U, ARRIVES },
	{ "TCP to the metadata address", metadata, UNREACHED, U, ARRIVES },
	{ "ICMP by a ping socket", echo_by_ping_socket, { ENETUNREACH, EACCES }, U, ARRIVES },
	{ "ICMP by a raw socket", echo_by_raw_socket, { EPERM }, U, ARRIVES },
	{ "TCP by IPv6",
	  tcp6,
	  { ENETUNREACH, EAFNOSUPPORT },
	  U,
	  { ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL } },
	{ "UDP by IPv6",
	  udp6,
	  { ENETUNREACH, EAFNOSUPPORT },
	  U,
	  { WORKS, ENETUNREACH, EADDRNOTAVAIL } },
	{ "IPv6 link-local",
	  link_local6,
	  { ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT },
	  U,
	  { ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL } },
	{ "IPv4 mapped in IPv6", mapped4, { ENETUNREACH, EAFNOSUPPORT }, U, ARRIVES },
	{ "directed broadcast", broadcast, UNREACHED, U, ARRIVES },
	{ "limited broadcast", everybody, UNREACHED, U, { WORKS, ENETUNREACH } },
	{ "multicast", multicast, UNREACHED, U, { WORKS, ENETUNREACH } },
	{ "a name by DNS", resolve, { EHOSTUNREACH }, CONTROL_NONE, { 0 } },
	{ "a new address", new_address, { EPERM }, U, { WORKS } },
	{ "a new route", new_route, { EPERM }, U, { WORKS } },
	{ "a new interface", new_link, { EPERM }, U, { WORKS, EOPNOTSUPP } },
	{ "another interface", other_interface, { ENODEV }, CONTROL_NONE, { 0 } },
	{ "the loopback's flags", set_loopback_down, { EPERM }, U, { WORKS } },
};

ESCAPE_MAIN(acts)
