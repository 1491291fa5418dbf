#include "sandbox/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* A fork bomb must not make the supervisor walk for ever. */
#define WALK_MAX 4096

static uint64_t ticks_to_ms(uint64_t ticks)
{
	return ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Fields 14 to 17 of /proc/PID/stat, behind a name that may hold anything. */
static uint64_t read_cpu_ms(pid_t pid)
{
	unsigned long long user, sys, child_user, child_sys;
	char path[48];
	autofree char *text = NULL;
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fd_read_attr(AT_FDCWD, path, &text) < 0)
		return 0;
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
			 &user, &sys, &child_user, &child_sys) != 4)
		return 0;
	return ticks_to_ms(user + sys + child_user + child_sys);
}

static void read_memory(pid_t pid, uint64_t *ret_private, uint64_t *ret_shared)
{
	unsigned long long resident, shared;
	char path[48];
	autofree char *text = NULL;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	*ret_private = *ret_shared = 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if (fd_read_attr(AT_FDCWD, path, &text) < 0 ||
	    sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
		return;
	*ret_private = (resident - shared) * page;
	*ret_shared = shared * page;
}

/* Append the children of every thread of 'pid'. */
static size_t append_children(pid_t pid, pid_t *list, size_t n)
{
	char path[64];
	autoclosedir DIR *dir = NULL;
	struct dirent *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		autofree char *text = NULL;
		char file[300], *p, *end;

		if (d->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/children", d->d_name);
		if (fd_read_attr(dirfd(dir), file, &text) < 0)
			continue;
		for (p = text; n < WALK_MAX; p = end) {
			long child = strtol(p, &end, 10);

			if (end == p || child <= 0)
				break;
			list[n++] = (pid_t)child;
		}
	}
	return n;
}

void usage_sample(pid_t pid, const int *tmpfs, size_t ntmpfs, struct usage_sample *ret)
{
	static pid_t list[WALK_MAX];
	uint64_t largest_share = 0;
	size_t n = append_children(pid, list, 0);

	*ret = (struct usage_sample){ .cpu_ms = read_cpu_ms(pid) };
	for (size_t i = 0; i < n; i++) {
		uint64_t private, shared;

		n = append_children(list[i], list, n);
		read_memory(list[i], &private, &shared);
		ret->cpu_ms += read_cpu_ms(list[i]);
		ret->memory_bytes += private;
		largest_share = MAX(largest_share, shared);
		ret->processes++;
	}
	ret->memory_bytes += largest_share;
	for (size_t i = 0; i < ntmpfs; i++) {
		struct statfs sf;

		if (tmpfs[i] >= 0 && fstatfs(tmpfs[i], &sf) == 0)
			ret->memory_bytes += (sf.f_blocks - sf.f_bfree) * (uint64_t)sf.f_bsize;
	}
}
