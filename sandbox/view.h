/* What programs inside read about the machine: as many processors and as much memory as the limits
 * leave them.  Thread pools and caches are sized by these files (glibc, OpenBLAS, joblib, psutil,
 * R, free), and one that is sized for the whole machine is slow, or dies of its memory limit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sandbox/plan.h"

struct err;

/* Cover /proc/meminfo, /proc/cpuinfo and /sys/devices/system/cpu/online where a limit is below what
 * the host has.  Snapshots: the total never changes, what is free is as of the start.  'root' is
 * the root inside, still writable, 'proc_fd' its /proc. */
int view_cover(int root, int proc_fd, const struct plan_limits *l, struct err *err);

/* Pure, for tests.  The text of /proc/meminfo on a machine of 'total' bytes of which no more than
 * the host's MemAvailable ('host' is the host's text) is free. Returns its length, 0 if too long.
 */
size_t view_meminfo(const char *host, uint64_t total, char *ret, size_t size);
/* Length of the part of /proc/cpuinfo with the first 'n' processors. */
size_t view_cpuinfo(const char *host, unsigned n);
