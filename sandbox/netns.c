#include "sandbox/netns.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

int netns_loopback_up(struct err *err)
{
	struct ifreq req = { .ifr_flags = IFF_UP | IFF_RUNNING };
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(req.ifr_name, "lo");
	/* An ioctl and not netlink: AppArmor on some hosts refuses RTM_NEWADDR, and the address
	 * 127.0.0.1 comes by itself when the link goes up. */
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		return err_set(err, -errno, "bring the sandbox's loopback up");
	return 0;
}
