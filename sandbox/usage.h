/* Counting without control groups: sums over the processes of a sandbox, from /proc. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct usage_sample {
	uint64_t cpu_ms;       /* of all that live, and of what they have reaped */
	uint64_t memory_bytes; /* private memory of all, the largest share, and the tmpfs */
	unsigned processes;
};

/* Walk the tree below 'pid' (pid 1 of the sandbox as seen from here, not counted itself); add what
 * the given tmpfs hold. Processes that end meanwhile are skipped. */
void usage_sample(pid_t pid, const int *tmpfs, size_t ntmpfs, struct usage_sample *ret);
