#include "shell/host.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"

static uint64_t read_limit(const char *path)
{
	autofree char *text = NULL;
	uint64_t v;

	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return UINT64_MAX;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, &v) < 0 ? UINT64_MAX : v; /* "max" */
}

/* The least limit of a cgroup and those above it: inside a container or a batch job, half of the
 * machine is more than there is. */
static uint64_t cgroup_limit(const char *root, const char *group, const char *file)
{
	char dir[PATH_MAX], path[PATH_MAX + 64];
	uint64_t least = UINT64_MAX;

	snprintf(dir, sizeof(dir), "%s", strcmp(group, "/") ? group : "");
	for (;;) {
		char *slash;
		uint64_t v;

		snprintf(path, sizeof(path), "%s%s/%s", root, dir, file);
		v = read_limit(path);
		least = MIN(least, v);
		slash = strrchr(dir, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

static uint64_t memory_of_cgroups(void)
{
	autofree char *text = NULL;
	uint64_t least = UINT64_MAX, v;
	char *save = NULL;

	if (fd_read_attr(AT_FDCWD, "/proc/self/cgroup", &text) < 0)
		return least;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *names = strchr(line, ':');
		char *group = names ? strchr(names + 1, ':') : NULL;

		if (!group)
			continue;
		*group++ = '\0';
		if (!strcmp(names, ":"))
			v = cgroup_limit("/sys/fs/cgroup", group, "memory.max");
		else if (!strcmp(names, ":memory"))
			v = cgroup_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
		else
			continue;
		least = MIN(least, v);
	}
	return least;
}

static char *resolve(const char *path)
{
	return realpath(path, NULL);
}

void host_facts(const char *const *variables, struct plan_host *ret)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	*ret = (struct plan_host){
		.memory_bytes = (uint64_t)pages * (uint64_t)page,
		.cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN),
		.has_bash = access("/usr/bin/bash", X_OK) == 0 || access("/bin/bash", X_OK) == 0,
		.variables = variables,
		.resolve = resolve,
	};
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		ret->cpus = (unsigned)CPU_COUNT(&cpus);
	ret->memory_bytes = MIN(ret->memory_bytes, memory_of_cgroups());
}
