#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/cgroup_place.h"

struct cgroup {
	struct cgroup_powers powers;
	struct cgroup_places places;
	int leaf[TREE_COUNT];
	char name[128];
	uint64_t peak; /* v2 before memory.peak (Linux 5.19): the largest seen */
};

/* ---- writing limits ---- */

static int write_number(int dir, const char *attr, uint64_t value, struct err *err)
{
	char line[32];
	int r;

	snprintf(line, sizeof(line), "%llu", (unsigned long long)value);
	r = fd_write_attr(dir, attr, line);
	return r < 0 ? err_set(err, r, "set the limit %s to %s", attr, line) : 0;
}

static bool has_attr(int dir, const char *attr)
{
	return dir >= 0 && faccessat(dir, attr, F_OK, 0) == 0;
}

static int limit_memory_v2(struct cgroup *cg, const struct plan_limits *l, bool group_oom,
			   struct err *err)
{
	int dir = cg->leaf[TREE_UNIFIED];
	int r = 0;

	cg->powers.memory = has_attr(dir, "memory.max");
	cg->powers.swap = has_attr(dir, "memory.swap.max");
	if (!cg->powers.memory)
		return 0;
	if (group_oom)
		cg->powers.group_oom = fd_write_attr(dir, "memory.oom.group", "1") == 0;
	if (l->memory_bytes)
		r = write_number(dir, "memory.max", l->memory_bytes, err);
	if (r == 0 && l->memory_bytes && cg->powers.swap)
		r = write_number(dir, "memory.swap.max", 0, err);
	return r;
}

static int limit_memory_v1(struct cgroup *cg, const struct plan_limits *l, struct err *err)
{
	int dir = cg->leaf[TREE_MEMORY];
	int r = 0;

	cg->powers.memory = dir >= 0;
	cg->powers.swap = has_attr(dir, "memory.memsw.limit_in_bytes");
	if (!cg->powers.memory || !l->memory_bytes)
		return 0;
	/* In this order: memory and swap together may not be less than memory. */
	r = write_number(dir, "memory.limit_in_bytes", l->memory_bytes, err);
	if (r == 0 && cg->powers.swap)
		r = write_number(dir, "memory.memsw.limit_in_bytes", l->memory_bytes, err);
	return r;
}

static int limit_pids(struct cgroup *cg, int dir, const struct plan_limits *l, struct err *err)
{
	cg->powers.pids = has_attr(dir, "pids.max");
	/* One more, for pid 1. */
	return cg->powers.pids && l->pids ? write_number(dir, "pids.max", l->pids + 1, err) : 0;
}

#define CPU_PERIOD_US 100000

static int limit_cpu(struct cgroup *cg, const struct plan_limits *l, struct err *err)
{
	const uint64_t quota = l->cpu_milli * CPU_PERIOD_US / 1000;
	int v2 = cg->leaf[TREE_UNIFIED], v1 = cg->leaf[TREE_CPU];
	char line[64];
	int r = 0;

	cg->powers.cpu_time = has_attr(v2, "cpu.stat");
	if (has_attr(v1, "cpu.cfs_quota_us")) {
		cg->powers.cpu = true;
		if (quota)
			r = write_number(v1, "cpu.cfs_period_us", CPU_PERIOD_US, err);
		if (quota && r == 0)
			r = write_number(v1, "cpu.cfs_quota_us", quota, err);
	} else if (has_attr(v2, "cpu.max")) {
		cg->powers.cpu = true;
		snprintf(line, sizeof(line), "%llu %d", (unsigned long long)quota, CPU_PERIOD_US);
		r = quota ? fd_write_attr(v2, "cpu.max", line) : 0;
		if (r < 0)
			err_set(err, r, "set the limit cpu.max to %s", line);
	}
	return r;
}

static int write_limits(struct cgroup *cg, const struct plan_limits *l, bool group_oom,
			struct err *err)
{
	const bool v2 = cg->places.unified_only;
	int r = v2 ? limit_memory_v2(cg, l, group_oom, err) : limit_memory_v1(cg, l, err);

	if (r == 0)
		r = limit_pids(cg, cg->leaf[v2 ? TREE_UNIFIED : TREE_PIDS], l, err);
	if (r == 0)
		r = limit_cpu(cg, l, err);
	return r;
}

/* ---- making and removing ---- */

static int make_leaf(int place, const char *name)
{
	autoclose int fd = -1;

	if (mkdirat(place, name, 0755) < 0)
		/* cpu and cpuacct, or all, in one hierarchy: it is there already. */
		if (errno != EEXIST)
			return -errno;
	fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Held as long as S lives; see cgroup_sweep(). */
	flock(fd, LOCK_EX | LOCK_NB);
	return take_fd(&fd);
}

static enum cgroup_mode mode_of(const struct cgroup *cg, const int fds[TREE_COUNT])
{
	bool v2 = fds[TREE_UNIFIED] >= 0;
	bool v1 = false;

	for (int i = TREE_UNIFIED + 1; i < TREE_COUNT; i++)
		v1 = v1 || fds[i] >= 0;
	if (v2)
		return cg->places.unified_only ? CGROUP_V2 : CGROUP_HYBRID;
	return v1 ? CGROUP_V1 : CGROUP_NONE;
}

int cgroup_prepare(const char *run_id, struct cgroup **ret, struct err *err)
{
	struct cgroup *cg = calloc(1, sizeof(*cg));

	if (!cg)
		return err_set(err, -ENOMEM, "make a cgroup");
	for (int i = 0; i < TREE_COUNT; i++)
		cg->leaf[i] = -1;
	snprintf(cg->name, sizeof(cg->name), "sbx-%s-%d-%llu", run_id, (int)getpid(),
		 (unsigned long long)cgroup_start_time(getpid()));
	cgroup_places_open(&cg->places, true);
	cg->powers.mode = mode_of(cg, cg->places.fd);
	*ret = cg;
	return 0;
}

int cgroup_make(struct cgroup *cg, const struct plan_limits *l, bool group_oom, struct err *err)
{
	int r;

	for (int i = 0; i < TREE_COUNT; i++) {
		if (cg->places.fd[i] >= 0)
			cg->leaf[i] = make_leaf(cg->places.fd[i], cg->name);
	}
	cg->powers.mode = mode_of(cg, cg->leaf);
	r = cg->powers.mode == CGROUP_NONE ? 0 : write_limits(cg, l, group_oom, err);
	if (r < 0)
		cgroup_remove(cg);
	return r;
}

void cgroup_find(struct cgroup *cg)
{
	for (int i = 0; i < TREE_COUNT; i++) {
		if (cg->places.fd[i] >= 0 && cg->leaf[i] < 0)
			cg->leaf[i] = openat(cg->places.fd[i], cg->name,
					     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
}

const struct cgroup_powers *cgroup_get_powers(const struct cgroup *cg)
{
	return &cg->powers;
}

int cgroup_birth_fd(const struct cgroup *cg)
{
	return cg->leaf[TREE_UNIFIED];
}

size_t cgroup_fds(const struct cgroup *cg, int *ret, size_t max)
{
	size_t n = 0;

	for (int i = 0; i < TREE_COUNT && n < max; i++) {
		if (cg->places.fd[i] >= 0)
			ret[n++] = cg->places.fd[i];
	}
	return n;
}

int cgroup_enter(const struct cgroup *cg, struct err *err)
{
	for (int i = TREE_UNIFIED + 1; i < TREE_COUNT; i++) {
		/* Not cgroup.procs: "0" in tasks is the one way without the global lock. */
		int r = cg->leaf[i] >= 0 ? fd_write_attr(cg->leaf[i], "tasks", "0") : 0;

		if (r < 0)
			return err_set(err, r, "put the sandbox into its cgroup");
	}
	return 0;
}

int cgroup_remove(struct cgroup *cg)
{
	useconds_t pause = 500;
	int r = 0;

	/* The last process may still be leaving: 5 to 15 ms were seen, more under load. */
	for (int tries = 0; tries < 12; tries++) {
		r = 0;
		for (int i = 0; i < TREE_COUNT; i++) {
			if (cg->places.fd[i] >= 0 &&
			    unlinkat(cg->places.fd[i], cg->name, AT_REMOVEDIR) < 0 &&
			    errno == EBUSY)
				r = -errno;
		}
		if (r == 0)
			return 0;
		usleep(pause);
		pause = MIN(pause * 2, 50000);
	}
	return r;
}

void cgroup_free(struct cgroup *cg)
{
	if (!cg)
		return;
	for (int i = 0; i < TREE_COUNT; i++) {
		if (cg->leaf[i] >= 0)
			close(cg->leaf[i]);
	}
	cgroup_places_close(&cg->places);
	free(cg);
}

/* ---- counters ---- */

/* The number behind 'key' and a blank at the start of a line; with key "" the whole text. */
static uint64_t read_count(int dir, const char *attr, const char *key)
{
	const size_t n = strlen(key);
	autofree char *text = NULL;

	if (dir < 0 || fd_read_attr(dir, attr, &text) < 0)
		return 0;
	if (n == 0)
		return strtoull(text, NULL, 10);
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return strtoull(p + n, NULL, 10);
	}
	return 0;
}

static uint64_t read_peak(struct cgroup *cg)
{
	int v1 = cg->leaf[TREE_MEMORY], v2 = cg->leaf[TREE_UNIFIED];

	if (v1 >= 0)
		return cg->powers.swap ? read_count(v1, "memory.memsw.max_usage_in_bytes", "")
				       : read_count(v1, "memory.max_usage_in_bytes", "");
	cg->peak = MAX(cg->peak, read_count(v2, "memory.peak", ""));
	cg->peak = MAX(cg->peak, read_count(v2, "memory.current", ""));
	return cg->peak;
}

void cgroup_read(const struct cgroup *cg, struct cgroup_counters *ret)
{
	int v2 = cg->leaf[TREE_UNIFIED];

	*ret = (struct cgroup_counters){ 0 };
	if (cg->powers.mode == CGROUP_NONE)
		return;
	ret->cpu_ms = read_count(v2, "cpu.stat", "usage_usec") / 1000;
	ret->cpu_waits = read_count(cg->leaf[TREE_CPU] >= 0 ? cg->leaf[TREE_CPU] : v2, "cpu.stat",
				    "nr_throttled");
	ret->max_memory_bytes = cg->powers.memory ? read_peak((struct cgroup *)cg) : 0;
	ret->oom_kills = cg->leaf[TREE_MEMORY] >= 0 ? read_count(cg->leaf[TREE_MEMORY],
								 "memory.oom_control", "oom_kill")
						    : read_count(v2, "memory.events", "oom_kill");
	ret->pids_max_hits = cg->leaf[TREE_PIDS] >= 0
				     ? read_count(cg->leaf[TREE_PIDS], "pids.events", "max")
				     : read_count(v2, "pids.events", "max");
}

uint64_t cgroup_memory_used(const struct cgroup *cg)
{
	static const char *const v1[] = { "total_rss", "total_shmem", "total_swap" };
	static const char *const v2[] = { "anon", "shmem", "kernel_stack" };
	int tree = cg->leaf[TREE_MEMORY] >= 0 ? TREE_MEMORY : TREE_UNIFIED;
	uint64_t sum = 0;

	if (!cg->powers.memory)
		return 0;
	for (int i = 0; i < 3; i++)
		sum += read_count(cg->leaf[tree], "memory.stat",
				  tree == TREE_MEMORY ? v1[i] : v2[i]);
	return sum;
}

/* ---- the end ---- */

static void signal_all(int dir)
{
	autofree char *text = NULL;

	if (fd_read_attr(dir, "cgroup.procs", &text) < 0)
		return;
	for (char *p = text, *end;; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			return;
		/* 0: a process of a pid namespace that we cannot see into */
		if (pid > 1 && pid != getpid())
			kill((pid_t)pid, SIGKILL);
	}
}

static void kill_leaves(const int leaf[TREE_COUNT])
{
	int v2 = leaf[TREE_UNIFIED], freezer = leaf[TREE_FREEZER];

	if (v2 >= 0 && fd_write_attr(v2, "cgroup.kill", "1") == 0)
		return;
	/* Linux < 5.14, or v1 alone.  Frozen, so that nothing forks while we read; thawed always,
	 * or the dead could not leave. */
	if (v2 >= 0)
		fd_write_attr(v2, "cgroup.freeze", "1");
	if (freezer >= 0)
		fd_write_attr(freezer, "freezer.state", "FROZEN");
	for (int i = 0; i < TREE_COUNT; i++) {
		if (leaf[i] >= 0)
			signal_all(leaf[i]);
	}
	if (freezer >= 0)
		fd_write_attr(freezer, "freezer.state", "THAWED");
	if (v2 >= 0)
		fd_write_attr(v2, "cgroup.freeze", "0");
}

void cgroup_kill(const struct cgroup *cg)
{
	if (cg->powers.mode != CGROUP_NONE)
		kill_leaves(cg->leaf);
}

bool cgroup_is_empty(const struct cgroup *cg)
{
	for (int i = 0; i < TREE_COUNT; i++) {
		autofree char *text = NULL;

		if (cg->leaf[i] >= 0 && fd_read_attr(cg->leaf[i], "cgroup.procs", &text) == 0 &&
		    *text)
			return false;
	}
	return true;
}

/* A leaf whose supervisor is dead and whose lock is free: nobody is in charge of it. */
static void sweep_leaf(int place, enum cgroup_tree tree, const char *name, bool patient)
{
	int leaf[TREE_COUNT] = { -1, -1, -1, -1, -1 };
	autoclose int fd = -1;
	uint64_t start, now;
	pid_t pid;

	if (!cgroup_parse_leaf(name, &pid, &start))
		return;
	now = cgroup_start_time(pid);
	if (now == start)
		return;
	fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	leaf[tree] = fd;
	for (int tries = patient ? 5 : 1; tries-- > 0;) {
		if (unlinkat(place, name, AT_REMOVEDIR) == 0)
			return;
		kill_leaves(leaf);
		if (patient)
			usleep(2000);
	}
}

void cgroup_sweep(const struct cgroup *cg, bool patient)
{
	for (int i = 0; i < TREE_COUNT; i++) {
		const int place = cg->places.fd[i];
		autoclosedir DIR *dir = NULL;
		struct dirent *d;
		/* Not a dup, which would share the position with the janitor. */
		int fd = place < 0 ? -1 : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		dir = fd < 0 ? NULL : fdopendir(fd);
		while (dir && (d = readdir(dir)))
			sweep_leaf(place, (enum cgroup_tree)i, d->d_name, patient);
	}
}
