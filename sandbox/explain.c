#include "sandbox/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "sandbox/filter.h"

#define AT_ONCE 64

/* What a newer kernel may write: its structure can have grown. */
union notif {
	struct seccomp_notif n;
	char room[512];
};

static struct sandbox_denied *find_row(struct sandbox_denials *all, const struct sandbox_denied *d)
{
	for (size_t i = 0; i < all->n; i++) {
		struct sandbox_denied *row = &all->rows[i];

		if (row->nr == d->nr && row->error == d->error && row->argument == d->argument)
			return row;
	}
	if (all->n == ARRAY_LEN(all->rows))
		return NULL;
	all->rows[all->n] = *d;
	return &all->rows[all->n++];
}

void explain_count(struct sandbox_denials *all, const struct seccomp_data *d, int error, pid_t pid,
		   const char *comm)
{
	const struct filter_call *call = filter_find_call(d->nr);
	struct sandbox_denied row = { .nr = d->nr, .error = error, .pid = pid, .reason = "" };
	struct sandbox_denied *found;

	if (call) {
		snprintf(row.call, sizeof(row.call), "%s", call->name);
		row.reason = call->reason;
		row.has_argument = call->arg >= 0;
		/* The kernel looks at 32 bits of each of these. */
		row.argument = row.has_argument ? (uint32_t)d->args[call->arg] : 0;
	} else {
		snprintf(row.call, sizeof(row.call), "%d", d->nr);
	}
	str_printable(comm, row.comm, sizeof(row.comm));
	found = find_row(all, &row);
	if (found)
		found->count++;
	else
		all->others++;
}

/* Who it is: its number inside and its name, from outside. */
static pid_t look_at(pid_t pid, char *ret_comm, size_t size)
{
	autofree char *comm = NULL, *status = NULL;
	char path[48];
	const char *p;
	pid_t inner = 0;

	ret_comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (fd_read_attr(AT_FDCWD, path, &comm) == 0)
		snprintf(ret_comm, size, "%.*s", (int)strcspn(comm, "\n"), comm);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fd_read_attr(AT_FDCWD, path, &status) < 0)
		return 0;
	p = strstr(status, "\nNSpid:");
	for (p = p ? p + 7 : ""; *p == '\t' || *p == ' ';) {
		char *end;

		inner = (pid_t)strtol(p, &end, 10);
		p = end;
	}
	return inner;
}

static void answer(struct explain *e, const struct seccomp_notif *n)
{
	const uint32_t ret = filter_decide(&n->data);
	const bool error = (ret & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
	struct seccomp_notif_resp resp = {
		.id = n->id,
		.error = -(error ? (int)(ret & SECCOMP_RET_DATA) : EPERM),
	};
	uint64_t id = n->id;
	char comm[32];
	pid_t inner = look_at((pid_t)n->pid, comm, sizeof(comm));

	/* Dead meanwhile: the number may be another's by now. */
	if (ioctl(e->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0)
		return;
	explain_count(&e->denied, &n->data, -resp.error, inner, comm);
	ioctl(e->fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

void explain_serve(struct explain *e)
{
	for (int i = 0; i < AT_ONCE && e->fd >= 0; i++) {
		struct pollfd p = { .fd = e->fd, .events = POLLIN };
		union notif u = { 0 };

		/* Asking for one that is not there would wait for it. */
		if (poll(&p, 1, 0) != 1)
			return;
		if (!(p.revents & POLLIN)) {
			close(e->fd);
			e->fd = -1;
			return;
		}
		/* ENOENT: it was killed since. */
		if (ioctl(e->fd, SECCOMP_IOCTL_NOTIF_RECV, &u) == 0)
			answer(e, &u.n);
	}
}
