/* One more process in a sandbox that runs: a second terminal into it.
 *
 * The same namespaces, id, limits, Landlock rules and filters as the first; its life ends with the
 * sandbox.  Nothing waits inside for the order: a short-lived child of S enters, by the descriptors
 * of namespaces that pid 1 gave to S before anything foreign ran.  From the moment it can be seen
 * inside it is not dumpable, holds no descriptor but its report and its standard three, and the
 * filters of every payload forbid to trace it; then it is replaced by the program. */
#pragma once

#include <sys/types.h>

struct cgroup;
struct err;
struct sandbox_plan;

enum attach_ns {
	ATTACH_USER, /* the first level: owns the others */
	ATTACH_CGROUP,
	ATTACH_IPC,
	ATTACH_UTS,
	ATTACH_NET,
	ATTACH_PID,
	ATTACH_MNT,
	ATTACH_INNER, /* the second level, where the payload is */
	ATTACH_NS,
};

struct attach {
	const int *ns; /* ATTACH_NS of them, borrowed */
	const struct cgroup *cg;
	/* That of the sandbox, with other argv, envp, cwd, tty and stdio. */
	const struct sandbox_plan *plan;
	int pids_by_rlimit;
};

/* Start it.  What becomes of it is heard from *ret_report (owned by the caller), in this order:
 * REPORT_JOINED with the new process as the caller sees it, which is the caller's own child;
 * REPORT_RUNNING with the pty master (with plan.tty); end of file when the program runs.  Instead
 * of each REPORT_ERROR, or REPORT_EXEC.  Returns the helper, to be waited for when that has ended,
 * or -errno. */
pid_t attach_start(const struct attach *a, int *ret_report, struct err *err);
