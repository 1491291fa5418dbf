/* The supervisor's side: cgroup and janitor, J, the order to start, and the end. */
#include "sandbox/launch_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/attach.h"
#include "sandbox/cgroup.h"
#include "sandbox/degrade.h"
#include "sandbox/enter.h"
#include "sandbox/explain.h"
#include "sandbox/janitor.h"
#include "sandbox/join.h"
#include "sandbox/mnt.h"
#include "sandbox/report.h"
#include "sandbox/sever.h"
#include "sandbox/usage.h"
#include "sandbox/userns.h"

/* Building takes milliseconds; a daemon that hangs while its mounts are looked at must not take the
 * caller with it. */
#define LAUNCH_TIMEOUT_MS 30000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* True when 'fd' has what 'events' asks for within the time. */
static bool wait_fd(int fd, uint64_t ms)
{
	const uint64_t end = now_ms() + ms;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = now_ms();
		int r = poll(&p, 1, now < end ? (int)(end - now) : 0);

		if (r > 0)
			return true;
		if (r == 0 || errno != EINTR)
			return false;
	}
}

/* Open what is to be shown: root clones the mount itself (it may reach what the payload's id may
 * not); everybody else keeps a descriptor to compare with, and I clones. */
static int open_source(struct enter_source *s, struct err *err)
{
	autoclose int fd = mnt_open_source(s->path);

	if (fd < 0)
		return err_set(err, fd, "open '%s', which is to be shown in the sandbox", s->path);
	if (geteuid() == 0) {
		int mnt = mnt_clone_plain(fd, "");

		if (mnt >= 0) {
			s->fd = mnt;
			s->detached = true;
			return 0;
		}
		if (mnt != -EPERM)
			return err_set(err, mnt, "clone the mount of '%s'", s->path);
	}
	s->fd = take_fd(&fd);
	return 0;
}

/* On the host's mount the outputs have their owners; inside, the volume's owner is the payload. */
static int map_workspace(const struct plan_workspace *w, struct enter_source *s, struct err *err)
{
	autoclose int userns = -1;

	if (!w->mapped || !s->detached)
		return 0;
	userns = userns_for_idmap(w->volume_uid, w->volume_gid, w->outer_uid, w->outer_gid, err);
	return userns < 0 ? userns : mnt_idmap(s->fd, userns, err);
}

struct sources {
	struct enter enter;
	char datasets[4096], workspace[4096];
};

static void close_sources(struct sources *s)
{
	for (size_t i = 0; i < s->enter.nsources; i++) {
		if (s->enter.sources[i].fd >= 0)
			close(s->enter.sources[i].fd);
	}
	free(s);
}

static int open_sources(struct sources *s, const struct sandbox_plan *p, struct err *err)
{
	struct enter *e = &s->enter;
	int r = 0;

	e->plan = p;
	e->nsources = ENTER_BINDS + p->nbinds;
	e->sources[ENTER_DATASETS] = (struct enter_source){ .dest = "/datasets", .fd = -1 };
	e->sources[ENTER_WORKSPACE] =
		(struct enter_source){ .dest = "/workspace", .fd = -1, .writable = true };
	for (size_t i = 0; i < p->nbinds; i++)
		e->sources[ENTER_BINDS + i] = (struct enter_source){
			.path = p->binds[i].source,
			.dest = p->binds[i].dest,
			.fd = -1,
		};
	if (p->workspace.host_dir) {
		if ((size_t)snprintf(s->datasets, sizeof(s->datasets), "%s/datasets",
				     p->workspace.host_dir) >= sizeof(s->datasets))
			return err_set(err, -ENAMETOOLONG, "use '%s'", p->workspace.host_dir);
		snprintf(s->workspace, sizeof(s->workspace), "%s/workspace", p->workspace.host_dir);
		e->sources[ENTER_DATASETS].path = s->datasets;
		e->sources[ENTER_WORKSPACE].path = s->workspace;
	}
	for (size_t i = 0; i < e->nsources && r == 0; i++) {
		/* U1's mounts come from J. */
		if (e->sources[i].path)
			r = open_source(&e->sources[i], err);
		else
			e->sources[i].detached = true;
	}
	if (r == 0 && p->workspace.host_dir)
		r = map_workspace(&p->workspace, &e->sources[ENTER_WORKSPACE], err);
	return r;
}

static int prepare_limits(struct sandbox *sb, const struct sandbox_plan *p, struct err *err)
{
	const struct cgroup_powers *powers;
	int r = cgroup_prepare(p->run_id, &sb->cg, err);

	if (r < 0)
		return r;
	powers = cgroup_get_powers(sb->cg);
	/* First: whatever moment S is killed at, somebody must know what to remove. */
	if (powers->mode != CGROUP_NONE)
		r = janitor_start(sb->cg, &sb->janitor, err);
	if (r == 0)
		r = cgroup_make(sb->cg, &p->limits, !p->tty, err);
	if (r == 0)
		r = degrade_decide(p, powers, &sb->isolation, err);
	sb->usage.memory_is_polled = !powers->memory;
	sb->usage.cpu_is_polled = !powers->cpu_time;
	return r;
}

/* Link and start J; on success 's->enter.link' is closed on our side. */
static int start(struct sandbox *sb, struct sources *s, struct err *err)
{
	int link[2], mapped[2];
	struct join j = { .enter = &s->enter, .cgroup = sb->cg };
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) < 0)
		return err_set(err, -errno, "make a socket pair");
	sb->link = link[0];
	s->enter.link = link[1];
	if (pipe2(mapped, O_CLOEXEC) < 0) {
		close(link[1]);
		return err_set(err, -errno, "make a pipe");
	}
	s->enter.mapped = mapped[0];
	s->enter.measured = sb->usage.memory_is_polled;
	s->enter.pids_by_rlimit = !cgroup_get_powers(sb->cg)->pids;
	j.mapped_write = mapped[1];
	j.supervisor_fds[0] = link[0];
	j.supervisor_fds[1] = sb->janitor.fd;
	pid = join_start(&j, err);
	close(link[1]);
	close(mapped[0]);
	close(mapped[1]);
	if (pid < 0)
		return (int)pid;
	sb->joiner = pid;
	return 0;
}

static void reap_joiner(struct sandbox *sb)
{
	while (sb->joiner > 0 && waitpid(sb->joiner, NULL, 0) < 0 && errno == EINTR)
		;
	sb->joiner = 0;
}

static int send_go(struct sandbox *sb, pid_t pid, struct err *err)
{
	const struct order go = { .kind = ORDER_GO };
	int r;

	sb->pid = pid;
	/* Our own child that we have not reaped: the number cannot be another's. */
	sb->pidfd = pidfd_open(pid, 0);
	if (sb->pidfd < 0)
		return err_set(err, -errno, "open pid 1 of the sandbox");
	/* It was the first in the cgroup, and is not to count among the payload's processes. */
	reap_joiner(sb);
	r = fd_send(sb->link, &go, sizeof(go), NULL, 0);
	/* I failed before it came to listen: its own report, which follows, says why. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return err_set(err, r, "give the order to start");
	return 0;
}

static void keep_fds(int *to, size_t size, const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i < size && to[i] < 0)
			to[i] = fds[i];
		else
			close(fds[i]);
	}
}

/* Follow the reports until W runs. */
static int follow(struct sandbox *sb, int *ret_exec_errno, struct err *err)
{
	for (;;) {
		struct report rep;
		int fds[FD_PASS_MAX], r;
		size_t n = 0;

		if (!wait_fd(sb->link, LAUNCH_TIMEOUT_MS))
			return err_set(err, -ETIMEDOUT,
				       "the sandbox was not built within %d seconds; the "
				       "workspace's daemon does not answer.",
				       LAUNCH_TIMEOUT_MS / 1000);
		r = report_recv(sb->link, &rep, fds, &n);
		/* I failed and left the order to start unread: the kernel says so once, before it
		 * gives us the report that lies behind and says why. */
		if (r == -ECONNRESET)
			continue;
		if (r == -ENOTCONN)
			return err_set(err, -EIO, "the sandbox ended while it was being built.");
		if (r < 0)
			return err_set(err, r, "hear from the sandbox");
		switch (rep.kind) {
		case REPORT_JOINED:
			r = send_go(sb, rep.value, err);
			if (r < 0)
				return r;
			break;
		case REPORT_TMPFS:
			keep_fds(sb->tmpfs, ARRAY_LEN(sb->tmpfs), fds, n);
			break;
		case REPORT_SPACES:
			keep_fds(sb->ns, ATTACH_NS, fds, n);
			break;
		case REPORT_LISTENER:
			sb->explain.fd = n > 0 ? fds[0] : -1;
			break;
		case REPORT_RUNNING:
			sb->pty = n > 0 ? fds[0] : -1;
			return 0;
		case REPORT_EXEC:
			*ret_exec_errno = rep.value;
			if (err)
				*err = rep.err;
			return -ECHILD;
		case REPORT_ERROR:
			if (err)
				*err = rep.err;
			return rep.value < 0 ? rep.value : -EIO;
		default:
			return err_set(err, -EPROTO, "the sandbox sent an unknown report.");
		}
	}
}

static int launch_steps(struct sandbox *sb, const struct sandbox_plan *plan, struct sources *s,
			int *ret_exec_errno, struct err *err)
{
	int r = prepare_limits(sb, plan, err);

	if (r == 0)
		r = open_sources(s, plan, err);
	if (r == 0)
		r = start(sb, s, err);
	if (r < 0)
		return r;
	/* While J works. */
	cgroup_sweep(sb->cg, false);
	r = follow(sb, ret_exec_errno, err);
	if (r < 0 && sb->joiner > 0)
		kill(sb->joiner, SIGKILL);
	reap_joiner(sb);
	return r;
}

int sandbox_launch(const struct sandbox_plan *plan, struct sandbox **ret, int *ret_exec_errno,
		   struct err *err)
{
	struct sources *s = NULL;
	struct sandbox *sb = NULL;
	int r = plan_validate(plan, err);

	if (r < 0)
		return r;
	sb = calloc(1, sizeof(*sb));
	s = calloc(1, sizeof(*s));
	if (!sb || !s) {
		r = err_set(err, -ENOMEM, "launch a sandbox");
	} else {
		sb->link = sb->pidfd = sb->pty = sb->janitor.fd = -1;
		for (size_t i = 0; i < ARRAY_LEN(sb->tmpfs); i++)
			sb->tmpfs[i] = -1;
		for (size_t i = 0; i < ATTACH_NS; i++)
			sb->ns[i] = -1;
		sb->workspace = plan->workspace;
		sb->explain.fd = -1;
		r = launch_steps(sb, plan, s, ret_exec_errno, err);
	}
	if (s)
		close_sources(s);
	if (r < 0) {
		sandbox_free(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

const struct sandbox_isolation *sandbox_get_isolation(const struct sandbox *sb)
{
	return &sb->isolation;
}

int sandbox_pidfd(const struct sandbox *sb)
{
	return sb->pidfd;
}

int sandbox_take_pty(struct sandbox *sb)
{
	return take_fd(&sb->pty);
}

int sandbox_explain_fd(const struct sandbox *sb)
{
	return sb->explain.fd;
}

void sandbox_explain(struct sandbox *sb)
{
	explain_serve(&sb->explain);
}

const struct sandbox_denials *sandbox_get_denials(const struct sandbox *sb)
{
	return &sb->explain.denied;
}

int sandbox_signal(struct sandbox *sb, int sig)
{
	struct order o = { .kind = ORDER_SIGNAL, .value = sig };

	return fd_send(sb->link, &o, sizeof(o), NULL, 0);
}

/* Sums over /proc, for what no cgroup counts. */
static void poll_proc(struct sandbox *sb, const struct cgroup_powers *powers)
{
	struct usage_sample now;

	usage_sample(sb->pid, sb->tmpfs, ARRAY_LEN(sb->tmpfs), &now);
	if (!powers->cpu_time)
		sb->usage.cpu_ms = MAX(sb->usage.cpu_ms, now.cpu_ms);
	if (!powers->memory)
		sb->usage.max_memory_bytes = MAX(sb->usage.max_memory_bytes, now.memory_bytes);
}

static void read_counters(struct sandbox *sb, const struct cgroup_powers *powers)
{
	struct cgroup_counters c = { 0 };

	cgroup_read(sb->cg, &c);
	if (powers->cpu_time)
		sb->usage.cpu_ms = c.cpu_ms;
	if (powers->memory)
		sb->usage.max_memory_bytes = c.max_memory_bytes;
	sb->usage.oom_kills = c.oom_kills;
	sb->usage.pids_max_hits = c.pids_max_hits;
}

int sandbox_poll(struct sandbox *sb, struct sandbox_usage *ret)
{
	const struct cgroup_powers *powers = cgroup_get_powers(sb->cg);

	read_counters(sb, powers);
	if (!powers->cpu_time || !powers->memory)
		poll_proc(sb, powers);
	*ret = sb->usage;
	return 0;
}

int sandbox_kill(struct sandbox *sb, uint64_t wait_ms)
{
	const uint64_t end = now_ms() + wait_ms;

	cgroup_kill(sb->cg);
	pidfd_send_signal(sb->pidfd, SIGKILL, NULL, 0);
	for (;;) {
		uint64_t now = now_ms();

		/* Pid 1 ends last: the kernel reaps all others first. */
		if (wait_fd(sb->pidfd, MIN(end > now ? end - now : 0, 50)))
			return 0;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		/* Without cgroup.kill a process forked meanwhile needs another round. */
		cgroup_kill(sb->cg);
	}
}

int sandbox_sever(struct sandbox *sb)
{
	return sever_workspace(&sb->workspace);
}

/* The report of pid 1, if it came to make one. */
static bool read_end(struct sandbox *sb, int *ret_status)
{
	struct report rep;
	int fds[FD_PASS_MAX];
	size_t n;

	if (sb->end_known) {
		*ret_status = sb->end_status;
		return true;
	}
	while (wait_fd(sb->link, 0)) {
		int r = report_recv(sb->link, &rep, fds, &n);

		/* Pid 1 left an order unread (a signal that came too late): the kernel says so
		 * once, before it gives us the report that lies behind. */
		if (r == -ECONNRESET)
			continue;
		if (r < 0)
			break;
		for (size_t i = 0; i < n; i++)
			close(fds[i]);
		if (rep.kind == REPORT_END) {
			*ret_status = rep.value;
			return true;
		}
	}
	return false;
}

static uint64_t rusage_ms(const struct rusage *u)
{
	return (uint64_t)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 +
	       (uint64_t)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
}

int sandbox_finish(struct sandbox *sb, struct sandbox_end *ret_end, struct sandbox_usage *ret_usage,
		   struct err *err)
{
	const struct cgroup_powers *powers = cgroup_get_powers(sb->cg);
	struct rusage ru = { 0 };
	int status = SIGKILL; /* pid 1 was killed, and W with it */
	int r;

	if (!wait_fd(sb->pidfd, 0))
		return err_set(err, -EBUSY, "pid 1 of the sandbox still runs");
	read_end(sb, &status);
	while (wait4(sb->pid, NULL, 0, &ru) < 0 && errno == EINTR)
		;
	sb->pid = 0;
	read_counters(sb, powers);
	/* Everything in the sandbox was reaped by pid 1 or died with it. */
	if (!powers->cpu_time)
		sb->usage.cpu_ms = MAX(sb->usage.cpu_ms, rusage_ms(&ru));
	*ret_end = (struct sandbox_end){ .exited = WIFEXITED(status) };
	if (ret_end->exited)
		ret_end->exit_code = WEXITSTATUS(status);
	else
		ret_end->signal = WTERMSIG(status);
	*ret_usage = sb->usage;
	r = cgroup_remove(sb->cg);
	if (r < 0)
		return err_set(err, r, "remove the cgroup of the sandbox");
	janitor_dismiss(&sb->janitor);
	return 0;
}

pid_t sandbox_attach(struct sandbox *sb, const struct sandbox_plan *plan, int *ret_report,
		     struct err *err)
{
	const struct attach a = {
		.ns = sb->ns,
		.cg = sb->cg,
		.plan = plan,
		.pids_by_rlimit = !cgroup_get_powers(sb->cg)->pids,
	};

	return attach_start(&a, ret_report, err);
}

/* What a failed launch, or a caller that gives up, leaves: end it. */
static void end_all(struct sandbox *sb)
{
	if (sb->pid > 0 && sb->pidfd >= 0) {
		sandbox_kill(sb, 2000);
		if (wait_fd(sb->pidfd, 0))
			waitpid(sb->pid, NULL, 0);
	}
	/* Done by sandbox_finish(), if there was one. */
	if (sb->janitor.fd >= 0 && cgroup_remove(sb->cg) == 0)
		janitor_dismiss(&sb->janitor);
	janitor_reap(&sb->janitor);
	/* Else the janitor, which sees the pipe close, goes on trying. */
	if (sb->janitor.fd >= 0)
		close(sb->janitor.fd);
}

void sandbox_free(struct sandbox *sb)
{
	if (!sb)
		return;
	end_all(sb);
	cgroup_free(sb->cg);
	for (size_t i = 0; i < ARRAY_LEN(sb->tmpfs); i++) {
		if (sb->tmpfs[i] >= 0)
			close(sb->tmpfs[i]);
	}
	for (size_t i = 0; i < ATTACH_NS; i++)
		cleanup_close(&sb->ns[i]);
	if (sb->explain.fd >= 0)
		close(sb->explain.fd);
	if (sb->pty >= 0)
		close(sb->pty);
	if (sb->pidfd >= 0)
		close(sb->pidfd);
	if (sb->link >= 0)
		close(sb->link);
	free(sb);
}
