/* The supervisor's side of a kernel's sandbox: connections that pid 1 makes. */
#include "sandbox/launch_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/report.h"

int sandbox_connect(struct sandbox *sb, unsigned channel)
{
	struct order o = { .kind = ORDER_CONNECT, .value = (int)channel };

	return fd_send(sb->link, &o, sizeof(o), NULL, 0);
}

int sandbox_link(const struct sandbox *sb)
{
	return sb->link;
}

int sandbox_connected(struct sandbox *sb, int *ret_fd)
{
	int fds[FD_PASS_MAX], r;
	struct pollfd p = { .fd = sb->link, .events = POLLIN };
	struct report rep;
	size_t n = 0;

	if (poll(&p, 1, 0) != 1)
		return -EAGAIN;
	r = report_recv(sb->link, &rep, fds, &n);
	if (r < 0)
		return r == -ECONNRESET ? -EAGAIN : -ENOTCONN;
	for (size_t i = rep.kind == REPORT_CONNECTED; i < n; i++)
		close(fds[i]);
	if (rep.kind == REPORT_END) {
		sb->end_known = true;
		sb->end_status = rep.value;
	}
	if (rep.kind != REPORT_CONNECTED)
		return -EAGAIN;
	if (n == 0)
		return rep.value < 0 ? rep.value : -EPROTO;
	*ret_fd = fds[0];
	return 0;
}

uint64_t sandbox_memory_used(const struct sandbox *sb)
{
	return sb->usage.memory_is_polled ? sb->usage.max_memory_bytes : cgroup_memory_used(sb->cg);
}

pid_t sandbox_worker(const struct sandbox *sb)
{
	char path[64];
	autofree char *text = NULL;

	/* The first child that pid 1 made; those that it adopted come after it. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)sb->pid, (int)sb->pid);
	return sb->pid > 0 && fd_read_attr(AT_FDCWD, path, &text) == 0 ? (pid_t)atoi(text) : 0;
}
