/* Attack 53: the control groups and limits that hold us: see them, leave them, raise them. */
#include "tests/escape/escape.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>

static int visible(void)
{
	static const char *const paths[] = { "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory",
					     "/sys/fs/cgroup/unified",
					     "/sys/fs/cgroup/cgroup.controllers",
					     "/sys/fs/cgroup" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (open(paths[i], O_RDONLY | O_CLOEXEC) >= 0)
			return 0;
	return errno;
}

/* The way of CVE-2022-0492: mount a hierarchy, let the kernel start a program of ours. */
static int mount_hierarchy(const char *type, const char *opts)
{
	if (in_control) {
		unshare(CLONE_NEWCGROUP);
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	}
	return errno_of(mount("none", "/tmp", type, 0, opts));
}

static int mount_v2(void)
{
	return mount_hierarchy("cgroup2", NULL);
}

static int mount_v1(void)
{
	return mount_hierarchy("cgroup", "none,name=sbx-escape");
}

static int in_mount_table(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	int r = ENOENT;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup"))
			r = 0;
	return f ? r : 200;
}

/* The namespace makes our place "/": no path of the host is told. */
static int path_of_host(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[4096];
	int r = ENOENT;

	while (f && fgets(line, sizeof(line), f)) {
		const char *path = strrchr(line, ':');

		if (path && strstr(path, "sbx"))
			r = 0;
	}
	return f ? r : 200;
}

static int raise_limit(int what)
{
	struct rlimit l;

	if (getrlimit(what, &l) < 0)
		return errno;
	if (l.rlim_max == RLIM_INFINITY) {
		if (!in_control)
			return EPERM;
		l.rlim_max = 1000000;
		if (setrlimit(what, &l) < 0)
			return errno;
	}
	l.rlim_max++;
	return errno_of(setrlimit(what, &l));
}

static int raise_files(void)
{
	return raise_limit(RLIMIT_NOFILE);
}

static int raise_locked(void)
{
	return raise_limit(RLIMIT_MEMLOCK);
}

static int raise_queues(void)
{
	return raise_limit(RLIMIT_MSGQUEUE);
}

static int raise_core(void)
{
	return raise_limit(RLIMIT_CORE);
}

static int limit_pid1(void)
{
	struct rlimit l = { 1, 1 };

	return errno_of(prlimit(in_control ? getpid() : 1, RLIMIT_CPU, &l, NULL));
}

static int be_nice(void)
{
	return errno_of(setpriority(PRIO_PROCESS, 0, -20));
}

static int be_real_time(void)
{
	struct sched_param p = { .sched_priority = 50 };

	return errno_of(sched_setscheduler(0, SCHED_FIFO, &p));
}

static int be_unkillable(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : errno_of(write(fd, "-1000", 5));
}

/* Pid 1 has our id: what the kernel allows between equals. */
static int slow_pid1(void)
{
	struct sched_param p = { 0 };

	return errno_of(sched_setscheduler(in_control ? getpid() : 1, SCHED_IDLE, &p));
}

static int pin_pid1(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return errno_of(sched_setaffinity(in_control ? getpid() : 1, sizeof(set), &set));
}

static int starve_pid1(void)
{
	return errno_of(setpriority(PRIO_PROCESS, in_control ? (id_t)getpid() : 1, 19));
}

static const struct act acts[] = {
	{ "/sys/fs/cgroup", visible, { ENOENT }, CONTROL_PLAIN, { WORKS } },
	{ "mount cgroup2", mount_v2, { EPERM }, CONTROL_USERNS, { WORKS, EPERM, EBUSY } },
	{ "mount a v1 hierarchy", mount_v1, { EPERM }, CONTROL_ROOT, { WORKS, EPERM, EINVAL } },
	{ "the mount table", in_mount_table, { ENOENT }, CONTROL_NONE, { 0 } },
	{ "the path of our group", path_of_host, { ENOENT }, CONTROL_NONE, { 0 } },
	{ "raise RLIMIT_NOFILE", raise_files, { EPERM }, CONTROL_ROOT, { WORKS, EPERM } },
	{ "raise RLIMIT_MEMLOCK", raise_locked, { EPERM }, CONTROL_NONE, { 0 } },
	{ "raise RLIMIT_MSGQUEUE", raise_queues, { EPERM }, CONTROL_NONE, { 0 } },
	{ "raise RLIMIT_CORE", raise_core, { EPERM }, CONTROL_NONE, { 0 } },
	{ "limits of pid 1", limit_pid1, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "priority -20", be_nice, { EACCES, EPERM }, CONTROL_ROOT, { 0 } },
	{ "SCHED_FIFO", be_real_time, { EPERM }, CONTROL_ROOT, { WORKS, EPERM } },
	{ "oom_score_adj -1000",
	  be_unkillable,
	  { EACCES, EPERM },
	  CONTROL_ROOT,
	  { WORKS, EACCES } },
	{ "SCHED_IDLE for pid 1", slow_pid1, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "one processor for pid 1", pin_pid1, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
	{ "priority 19 for pid 1", starve_pid1, { EPERM, ESRCH }, CONTROL_PLAIN, { 0 } },
};

ESCAPE_MAIN(acts)
