/* Finding and preparing the directories below which leaves may be made. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_tree {
	TREE_UNIFIED, /* the v2 tree */
	TREE_MEMORY,  /* v1 hierarchies */
	TREE_PIDS,
	TREE_CPU,
	TREE_FREEZER,
	TREE_COUNT,
};

struct cgroup_places {
	int fd[TREE_COUNT]; /* writable directories, or -1 */
	bool unified_only;  /* the host has no v1 controllers: limits are in the v2 tree */
};

/* Open what is writable.  With 'prepare', in a v2 tree delegated to us, processes are moved out of
 * the way and controllers enabled, as the kernel demands; without it nothing is changed. */
void cgroup_places_open(struct cgroup_places *ret, bool prepare);
void cgroup_places_close(struct cgroup_places *p);

/* Start time of a process in clock ticks since boot: with its pid, who it is. 0 when it is gone. */
uint64_t cgroup_start_time(pid_t pid);
