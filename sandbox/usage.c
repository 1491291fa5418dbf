#include "sandbox/usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

/* Memory that is a file without a name (memfd_create), each counted once however many have it. */
struct memfds {
	unsigned major, minor; /* of the kernel's own mount for these */
	uint64_t bytes;
	size_t n;
	uint64_t seen[1024];
};

/* DONT_SYNC: the file may be the daemon's, which may hang; we must not. */
static int look(int dirfd, const char *path, struct statx *st)
{
	return statx(dirfd, path, AT_STATX_DONT_SYNC | (path[0] ? 0 : AT_EMPTY_PATH),
		     STATX_TYPE | STATX_INO | STATX_BLOCKS, st);
}

static void find_device(struct memfds *m)
{
	autoclose int fd = memfd_create("sbx-device", MFD_CLOEXEC);
	struct statx st;

	if (fd >= 0 && look(fd, "", &st) == 0) {
		m->major = st.stx_dev_major;
		m->minor = st.stx_dev_minor;
	}
}

static void add_memfd(struct memfds *m, const struct statx *st)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->seen[i] == st->stx_ino)
			return;
	}
	if (m->n < ARRAY_LEN(m->seen))
		m->seen[m->n++] = st->stx_ino;
	m->bytes += st->stx_blocks * 512;
}

static void read_memfds(pid_t pid, struct memfds *m)
{
	char path[48];
	autoclosedir DIR *dir = NULL;
	struct dirent *d;
	struct statx st;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] != '.' && look(dirfd(dir), d->d_name, &st) == 0 &&
		    S_ISREG(st.stx_mode) && st.stx_dev_major == m->major &&
		    st.stx_dev_minor == m->minor)
			add_memfd(m, &st);
	}
}

void usage_sample(pid_t pid, const int *tmpfs, size_t ntmpfs, struct usage_sample *ret)
{
	static pid_t list[WALK_MAX];
	static struct memfds memfds;
	uint64_t largest_share = 0;
	size_t n = append_children(pid, list, 0);

	memfds.bytes = memfds.n = 0;
	if (!memfds.major && !memfds.minor)
		find_device(&memfds);
	*ret = (struct usage_sample){ .cpu_ms = read_cpu_ms(pid) };
	for (size_t i = 0; i < n; i++) {
		uint64_t private, shared;

		n = append_children(list[i], list, n);
		read_memory(list[i], &private, &shared);
		read_memfds(list[i], &memfds);
		ret->cpu_ms += read_cpu_ms(list[i]);
		ret->memory_bytes += private;
		largest_share = MAX(largest_share, shared);
		ret->processes++;
	}
	/* Not the sum: who maps a memfd shares it. */
	ret->memory_bytes += MAX(largest_share, memfds.bytes);
	for (size_t i = 0; i < ntmpfs; i++) {
		struct statfs sf;

		if (tmpfs[i] >= 0 && fstatfs(tmpfs[i], &sf) == 0)
			ret->memory_bytes += (sf.f_blocks - sf.f_bfree) * (uint64_t)sf.f_bsize;
	}
}
