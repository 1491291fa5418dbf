/* The rows of the control groups: a cgroup with one limit, and a process that breaks it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/degrade.h"
#include "sandbox/probe_try.h"

#define MEMORY_LIMIT (16u << 20)
#define MEMORY_TAKEN (64u << 20)
#define PIDS_LIMIT   6
#define PIDS_MADE    32
#define CPU_MILLI    50
#define PATIENCE_MS  5000

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what breaks the limits; in the cgroup ---- */

static _Noreturn void take_memory(void)
{
	char *p = mmap(NULL, MEMORY_TAKEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	for (size_t i = 0; p != MAP_FAILED && i < MEMORY_TAKEN; i += 4096)
		((volatile char *)p)[i] = 1;
	_exit(0);
}

/* Exit code 0: all could be made. */
static _Noreturn void take_pids(void)
{
	for (int i = 0; i < PIDS_MADE; i++) {
		pid_t pid = fork();

		if (pid < 0)
			_exit(1);
		if (pid == 0)
			for (;;)
				pause();
	}
	_exit(0);
}

static _Noreturn void take_cpu(void)
{
	for (;;)
		;
}

/* Out of the session, deaf to what one can be deaf to, one of two stopped. */
static _Noreturn void outlive(void)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	setsid();
	if (fork() == 0)
		raise(SIGSTOP);
	if (fork() > 0)
		_exit(0);
	for (;;)
		pause();
}

/* ---- around them ---- */

/* End what is in the cgroup, and bury it. Not by waiting for children: the caller may have been
 * executed by somebody who had some. */
static bool end_all(struct cgroup *cg)
{
	const uint64_t end = now_ms() + PATIENCE_MS;
	bool empty;

	do {
		cgroup_kill(cg);
		empty = cgroup_is_empty(cg);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!empty)
			usleep(1000);
	} while (!empty && now_ms() < end);
	return empty;
}

static int enter(const struct cgroup *cg, struct err *err)
{
	int r = 0;

	if (cgroup_birth_fd(cg) >= 0)
		r = fd_write_attr(cgroup_birth_fd(cg), "cgroup.procs", "0");
	return r < 0 ? err_set(err, r, "put a process into a cgroup") : cgroup_enter(cg, err);
}

/* Start 'fn' in the cgroup; returns when it is there. */
static pid_t start(struct cgroup *cg, void (*fn)(void), struct err *err)
{
	int pipe[2], r = -EIO;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return err_set(err, -errno, "make a pipe");
	pid = fork();
	if (pid == 0) {
		r = enter(cg, NULL);
		if (fd_write_full(pipe[1], &r, sizeof(r)) == 0 && r == 0) {
			close(pipe[1]);
			fn();
		}
		_exit(2);
	}
	close(pipe[1]);
	if (pid < 0)
		r = err_set(err, -errno, "start a process");
	else if (fd_read_full(pipe[0], &r, sizeof(r)) != (ssize_t)sizeof(r) || r < 0)
		r = err_set(err, r < 0 ? r : -EIO, "put a process into a cgroup");
	close(pipe[0]);
	return r < 0 ? r : pid;
}

static int judge_memory(struct cgroup *cg, pid_t pid, struct err *err)
{
	struct cgroup_counters c;
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	cgroup_read(cg, &c);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return err_set(err, -EIO, "a process took 64M under a limit of 16M.");
	return c.oom_kills ? 0 : err_set(err, -EIO, "a kill by the memory limit was not counted.");
}

static int judge_pids(struct cgroup *cg, pid_t pid, struct err *err)
{
	struct cgroup_counters c;
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	cgroup_read(cg, &c);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return err_set(err, -EIO, "%d processes could be made under a limit of %d.",
			       PIDS_MADE, PIDS_LIMIT);
	return c.pids_max_hits ? 0 : err_set(err, -EIO, "a hit of the limit was not counted.");
}

static int judge_cpu(struct cgroup *cg, pid_t pid, struct err *err)
{
	const uint64_t end = now_ms() + PATIENCE_MS;
	struct cgroup_counters c;

	(void)pid;
	do {
		usleep(5000);
		cgroup_read(cg, &c);
	} while (!c.cpu_waits && now_ms() < end);
	return c.cpu_waits ? 0 : err_set(err, -EIO, "a busy process was not slowed down.");
}

static int judge_kill(struct cgroup *cg, pid_t pid, struct err *err)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (cgroup_is_empty(cg))
		return err_set(err, -EIO, "what should outlive its parent did not.");
	return end_all(cg) ? 0 : err_set(err, -EIO, "processes survived the kill of their cgroup.");
}

struct attack {
	const char *name;
	void (*fn)(void);
	int (*judge)(struct cgroup *cg, pid_t pid, struct err *err);
	struct plan_limits limits;
	const char *holds; /* detail when it does, behind the mode */
};

static const struct attack attacks[] = {
	{ "cgroup memory",
	  take_memory,
	  judge_memory,
	  { .memory_bytes = MEMORY_LIMIT },
	  "what takes more is ended" },
	{ "cgroup pids",
	  take_pids,
	  judge_pids,
	  { .pids = PIDS_LIMIT },
	  "a fork too many is refused" },
	{ "cgroup cpu", take_cpu, judge_cpu, { .cpu_milli = CPU_MILLI }, "what is busy waits" },
	{ "cgroup kill", outlive, judge_kill, { 0 }, "nothing outlives it" },
};

static bool has_power(const struct cgroup_powers *p, const struct attack *a)
{
	if (a->limits.memory_bytes)
		return p->memory;
	if (a->limits.pids)
		return p->pids;
	if (a->limits.cpu_milli)
		return p->cpu;
	return p->mode != CGROUP_NONE;
}

/* 0 when it holds; -ENOTSUP when there is no such limit here. */
static int attack(const struct attack *a, struct cgroup_powers *ret, struct err *err)
{
	struct cgroup *cg = NULL;
	int r = cgroup_prepare("probe", &cg, err);
	pid_t pid;

	if (r == 0)
		r = cgroup_make(cg, &a->limits, true, err);
	if (r == 0) {
		*ret = *cgroup_get_powers(cg);
		pid = has_power(ret, a) ? start(cg, a->fn, err) : -ENOTSUP;
		r = pid < 0 ? (int)pid : a->judge(cg, pid, err);
		end_all(cg);
	}
	if (cg && cgroup_remove(cg) < 0 && r == 0)
		r = err_set(err, -EBUSY, "a cgroup cannot be removed again.");
	cgroup_free(cg);
	return r;
}

/* Without the limit: what there is instead, and whether a run may go without a word. */
static void fill_lacking(struct probe_result *ret, const struct attack *a,
			 const struct cgroup_powers *p)
{
	if (a->limits.memory_bytes)
		probe_fill(ret, a->name, PROBE_DEGRADED,
			   "not to be had: the sum would only be looked at ten times a second",
			   degrade_cgroup_remedy(p));
	else if (a->limits.cpu_milli)
		probe_fill(ret, a->name, PROBE_DEGRADED, "not to be had: --cpus has no effect",
			   degrade_cgroup_remedy(p));
	else if (a->limits.pids)
		probe_fill(ret, a->name, PROBE_OK,
			   "not to be had; the limit of the user namespace (RLIMIT_NPROC) serves",
			   NULL);
	else
		probe_fill(ret, a->name, PROBE_OK,
			   "not to be had; the end of the process namespace serves", NULL);
}

static void probe_attack(struct probe_result *ret, const struct attack *a)
{
	static const char *const modes[] = { "none", "v2", "v1 and v2 hybrid", "v1" };
	struct cgroup_powers powers = { 0 };
	struct err err = { 0 };
	char detail[160];
	int r = attack(a, &powers, &err);

	if (r == 0 && a->limits.memory_bytes && !powers.swap && degrade_host_has_swap()) {
		probe_fill(ret, a->name, PROBE_DEGRADED, "swap is not counted",
			   "boot with 'swapaccount=1' on the kernel's command line, or go without "
			   "swap ('swapoff -a')");
	} else if (r == 0) {
		snprintf(detail, sizeof(detail), "%s: %s", modes[powers.mode], a->holds);
		probe_fill(ret, a->name, PROBE_OK, detail, NULL);
	} else if (r == -ENOTSUP) {
		fill_lacking(ret, a, &powers);
	} else {
		probe_fill(ret, a->name, PROBE_DEGRADED, err.text, degrade_cgroup_remedy(&powers));
	}
}

size_t probe_cgroups(struct probe_result *ret, size_t max)
{
	size_t n = 0;

	/* Who outlives a trial becomes our child, and is buried by us: not everywhere is there
	 * somebody else who would. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (; n < ARRAY_LEN(attacks) && n < max; n++)
		probe_attack(&ret[n], &attacks[n]);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	return n;
}
