#include "sandbox/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/mnt.h"

#define CPUINFO_MAX (4 << 20)
#define FOLDER      "/etc/sbx"

static uint64_t kib_of(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

size_t view_meminfo(const char *host, uint64_t total, char *ret, size_t size)
{
	/* What the host's page cache, or its swap, holds is nothing of the sandbox. */
	static const char *const zeros[] = {
		"Buffers:",      "Cached:",   "SwapCached:",   "Active:",     "Inactive:",
		"SwapTotal:",    "SwapFree:", "Dirty:",        "Writeback:",  "Shmem:",
		"KReclaimable:", "Slab:",     "SReclaimable:", "SUnreclaim:",
	};
	const uint64_t kib = MIN(total / 1024, kib_of(host, "MemTotal:"));
	const uint64_t left = MIN(kib, kib_of(host, "MemAvailable:"));
	int n = snprintf(ret, size,
			 "MemTotal:       %8llu kB\nMemFree:        %8llu kB\n"
			 "MemAvailable:   %8llu kB\n",
			 (unsigned long long)kib, (unsigned long long)left,
			 (unsigned long long)left);
	size_t used = (size_t)n;

	for (size_t i = 0; i < ARRAY_LEN(zeros) && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%-15s %8d kB\n", zeros[i], 0);
	return used < size ? used : 0;
}

size_t view_cpuinfo(const char *host, unsigned n)
{
	const char *p = host;

	/* A blank line ends each processor; what follows the last is about all of them. */
	for (; n > 0; n--) {
		const char *end = strstr(p, "\n\n");

		if (!end)
			return strlen(host);
		p = end + 2;
	}
	return (size_t)(p - host);
}

/* Write 'text' to a file of the read-only root and show it in the place of another. */
static int cover(int root, int at, const char *path, const char *name, const char *text,
		 struct err *err)
{
	autoclose int dir = mnt_target_dir(root, FOLDER, err);
	autoclose int target = mnt_open_in(at, path), mnt = -1;
	int r;

	/* Not every architecture has all of them. */
	if (target == -ENOENT)
		return 0;
	if (dir < 0 || target < 0)
		return err_set(err, dir < 0 ? dir : target, "cover '%s'", path);
	r = mnt_write_file(dir, name, text, err);
	if (r < 0)
		return r;
	mnt = mnt_clone(dir, name, MNT_BASE | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, err);
	return mnt < 0 ? mnt : mnt_move(mnt, target, path, err);
}

static int cover_memory(int root, int proc_fd, uint64_t total, struct err *err)
{
	autofree char *host = NULL;
	char text[2048];
	int r = fd_read_attr(proc_fd, "meminfo", &host);

	if (r < 0 || view_meminfo(host, total, text, sizeof(text)) == 0)
		return err_set(err, r < 0 ? r : -EMSGSIZE, "read /proc/meminfo");
	return cover(root, proc_fd, "meminfo", "meminfo", text, err);
}

static int cover_cpuinfo(int root, int proc_fd, unsigned cpus, struct err *err)
{
	autoclose int fd = openat(proc_fd, "cpuinfo", O_RDONLY | O_CLOEXEC);
	autofree char *host = malloc(CPUINFO_MAX + 1);
	ssize_t n = fd < 0 ? -errno : !host ? -ENOMEM : fd_read_full(fd, host, CPUINFO_MAX);

	if (n < 0)
		return err_set(err, (int)n, "read /proc/cpuinfo");
	host[n] = '\0';
	host[view_cpuinfo(host, cpus)] = '\0';
	return cover(root, proc_fd, "cpuinfo", "cpuinfo", host, err);
}

int view_cover(int root, int proc_fd, const struct plan_limits *l, struct err *err)
{
	const unsigned cpus = (unsigned)((l->cpu_milli + 999) / 1000);
	const long online = sysconf(_SC_NPROCESSORS_ONLN);
	char text[24] = "0\n";
	int r = l->memory_bytes ? cover_memory(root, proc_fd, l->memory_bytes, err) : 0;

	if (r < 0 || cpus == 0 || (long)cpus >= online)
		return r;
	if (cpus > 1)
		snprintf(text, sizeof(text), "0-%u\n", cpus - 1);
	r = cover(root, root, "/sys/devices/system/cpu/online", "cpu-online", text, err);
	return r < 0 ? r : cover_cpuinfo(root, proc_fd, cpus, err);
}
