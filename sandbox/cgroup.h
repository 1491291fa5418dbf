/* Limits, counters and the reliable end of a sandbox by control groups.
 *
 * Three kinds of host:
 *   v2     one tree; ours is a leaf below a delegated cgroup of the caller (systemd scope, root)
 *   v1+v2  hybrid, as root: limits in the v1 hierarchies, birth, kill and events in the v2 tree
 *   none   nothing writable: the caller polls, and says so
 *
 * A leaf is named sbx-RUN-PID-STARTTIME after the supervisor that made it, and the supervisor holds
 * a lock on it: cgroup_sweep() removes leaves of dead supervisors only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/plan.h"

struct cgroup;
struct err;

enum cgroup_mode { CGROUP_NONE, CGROUP_V2, CGROUP_HYBRID, CGROUP_V1 };

/* What a leaf can really do here. */
struct cgroup_powers {
	enum cgroup_mode mode;
	bool memory, swap, pids, cpu; /* limits in force, if the plan asks for them */
	bool cpu_time;                /* CPU time is counted */
	bool group_oom;               /* out of memory ends all at once */
};

struct cgroup_counters {
	uint64_t cpu_ms, max_memory_bytes, oom_kills, pids_max_hits;
	uint64_t cpu_waits; /* times that the CPU limit made it wait */
};

/* Find out where a leaf can be, and what it will be called; nothing is made yet, so that a janitor
 * can be at its post before.  Where there is no writable cgroup *ret is of mode CGROUP_NONE, on
 * which all functions do nothing. */
int cgroup_prepare(const char *run_id, struct cgroup **ret, struct err *err);
/* Make the leaf with every limit of 'l' written, before any process exists.  'group_oom': running
 * out of memory ends all of it (half a computation is none) where the kernel can do that (v2);
 * without it one process dies and a shell lives on.  Errors are those of a host that offers a
 * controller and then refuses; what was made is removed. */
int cgroup_make(struct cgroup *cg, const struct plan_limits *l, bool group_oom, struct err *err);
/* For a janitor, which was forked between the two: open what was made in the meantime. */
void cgroup_find(struct cgroup *cg);
const struct cgroup_powers *cgroup_get_powers(const struct cgroup *cg);
/* Directory for CLONE_INTO_CGROUP, or -1. */
int cgroup_birth_fd(const struct cgroup *cg);
/* Move the calling process, of one thread, into the v1 hierarchies: no process can be born into a
 * leaf there, but what it starts inherits them.  Itself and no other, since the kernel then needs
 * no grace period of all processors for it, which takes longer than all else of a start. */
int cgroup_enter(const struct cgroup *cg, struct err *err);
/* Counters since the leaf was made. */
void cgroup_read(const struct cgroup *cg, struct cgroup_counters *ret);
/* What its processes hold now, without caches of files; 0 when memory is not counted. */
uint64_t cgroup_memory_used(const struct cgroup *cg);
/* SIGKILL to everything in it, once; freezes meanwhile where there is no cgroup.kill. */
void cgroup_kill(const struct cgroup *cg);
bool cgroup_is_empty(const struct cgroup *cg);
/* Remove the directories; waits a little for the last process to leave. 0 or -EBUSY. */
int cgroup_remove(struct cgroup *cg);
/* Closes descriptors; removes nothing. Accepts NULL. */
void cgroup_free(struct cgroup *cg);
/* Descriptors that a janitor must keep, at most 'max'. */
size_t cgroup_fds(const struct cgroup *cg, int *ret, size_t max);

/* Remove what dead supervisors left beside our own place.  Without patience whatever takes time to
 * end is left to the next sweep. */
void cgroup_sweep(const struct cgroup *cg, bool patient);

/* Pure, for tests.  The path of the v1 hierarchy with 'controller' ("" for v2) in the text of
 * /proc/PID/cgroup; 0, -ENOENT, or -ENAMETOOLONG. */
int cgroup_parse_path(const char *text, const char *controller, char *ret, size_t size);
/* Mount point and root of that hierarchy in the text of /proc/PID/mountinfo. */
int cgroup_parse_mount(const char *text, const char *controller, char *ret_dir, char *ret_root,
		       size_t size);
/* Mount point and path to one directory: strips the mount's root from the path. */
int cgroup_join_path(const char *dir, const char *root, const char *path, char *ret, size_t size);
/* Pid and start time at the end of a leaf's name. */
bool cgroup_parse_leaf(const char *name, pid_t *ret_pid, uint64_t *ret_start);
