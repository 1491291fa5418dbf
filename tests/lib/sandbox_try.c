/* Run one command in a sandbox on a fake workspace and print how it ended:
 *   sandbox_try [-t] [-d] [-m BYTES] [-p PIDS] [-c MILLICPUS] [-u UID] CMD [ARG..]
 * -t: with a terminal of its own, relayed to ours.  -d: allow degraded. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/launch.h"
#include "tests/lib/fake_workspace.h"

static struct termios saved;

static void relay(int pty, int pidfd)
{
	struct pollfd p[] = { { .fd = 0, .events = POLLIN },
			      { .fd = pty, .events = POLLIN },
			      { .fd = pidfd, .events = POLLIN } };
	char buf[4096];
	ssize_t n;

	while (poll(p, 3, -1) > 0 || errno == EINTR) {
		if (p[1].revents & POLLIN) {
			n = read(pty, buf, sizeof(buf));
			if (n > 0 && write(1, buf, (size_t)n) < 0)
				return;
			continue;
		}
		if (p[2].revents)
			return;
		if (p[0].revents) {
			n = read(0, buf, sizeof(buf));
			if (n > 0 && write(pty, buf, (size_t)n) < 0)
				return;
			if (n <= 0)
				p[0].fd = -1;
		}
	}
}

static void wait_end(struct sandbox *sb, const struct sandbox_plan *plan)
{
	struct pollfd p = { .fd = sandbox_pidfd(sb), .events = POLLIN };
	struct sandbox_usage u;

	while (poll(&p, 1, 100) == 0) {
		sandbox_poll(sb, &u);
		if (u.memory_is_polled && plan->limits.memory_bytes &&
		    u.max_memory_bytes > plan->limits.memory_bytes)
			sandbox_kill(sb, 1000);
	}
}

static int report_end(struct sandbox *sb)
{
	struct sandbox_usage u;
	struct sandbox_end end;
	struct err err = { 0 };
	const struct sandbox_isolation *iso = sandbox_get_isolation(sb);

	if (sandbox_finish(sb, &end, &u, &err) < 0)
		fprintf(stderr, "finish: %s\n", err.text);
	if (getenv("TRY_VERBOSE")) {
		fprintf(stderr,
			"[%s %d] cpu %llu ms, memory %llu K%s, oom %llu, pids hits %llu, "
			"cgroup %s, landlock %d\n",
			end.exited ? "exit" : "signal", end.exited ? end.exit_code : end.signal,
			(unsigned long long)u.cpu_ms, (unsigned long long)u.max_memory_bytes / 1024,
			u.memory_is_polled ? " (polled)" : "", (unsigned long long)u.oom_kills,
			(unsigned long long)u.pids_max_hits, iso->cgroup, iso->landlock);
		for (unsigned i = 0; i < iso->ndegraded; i++)
			fprintf(stderr, "degraded: %s\n", iso->degraded[i]);
	}
	return end.exited ? end.exit_code : 128 + end.signal;
}

int main(int argc, char **argv)
{
	struct plan_workspace w;
	struct sandbox_plan plan;
	struct sandbox *sb;
	struct err err = { 0 };
	int exec_errno = 0, r, opt;
	bool tty = false;

	r = fake_workspace_open(&w);
	if (r < 0) {
		fprintf(stderr, "fake workspace: %s\n", strerror(-r));
		return 125;
	}
	plan = fake_plan(&w, NULL);
	while ((opt = getopt(argc, argv, "+tdm:p:c:u:")) != -1) {
		switch (opt) {
		case 't':
			tty = true;
			break;
		case 'd':
			plan.allow_degraded = true;
			break;
		case 'm':
			plan.limits.memory_bytes = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			plan.limits.pids = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			plan.limits.cpu_milli = strtoull(optarg, NULL, 10);
			break;
		case 'u':
			plan.uid = (uid_t)strtoul(optarg, NULL, 10);
			break;
		default:
			return 125;
		}
	}
	plan.argv = argv + optind;
	plan.tty = tty;
	r = sandbox_launch(&plan, &sb, &exec_errno, &err);
	fake_workspace_close(&w);
	if (r < 0) {
		fprintf(stderr, "launch: %s\n", err.text);
		return r == -ECHILD ? (exec_errno == ENOENT ? 127 : 126) : 125;
	}
	if (tty) {
		struct winsize ws;
		struct termios raw;
		int pty = sandbox_take_pty(sb);

		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			ioctl(pty, TIOCSWINSZ, &ws);
		if (tcgetattr(0, &saved) == 0) {
			raw = saved;
			cfmakeraw(&raw);
			tcsetattr(0, TCSANOW, &raw);
			relay(pty, sandbox_pidfd(sb));
			tcsetattr(0, TCSANOW, &saved);
		} else {
			relay(pty, sandbox_pidfd(sb));
		}
	} else {
		wait_end(sb, &plan);
	}
	r = report_end(sb);
	sandbox_free(sb);
	return r;
}
