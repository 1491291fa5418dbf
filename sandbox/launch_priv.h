/* What launch.c and launch_kernel.c share. */
#pragma once

#include "sandbox/attach.h"
#include "sandbox/explain.h"
#include "sandbox/janitor.h"
#include "sandbox/launch.h"

struct cgroup;

struct sandbox {
	int link;     /* S's end */
	pid_t pid;    /* of I, 0 before it is known */
	pid_t joiner; /* J, 0 when it is not there */
	int pidfd;
	int pty;
	bool end_known; /* by a report that came among answers to sandbox_connect() */
	int end_status;
	int tmpfs[3]; /* polled memory only */
	int ns[ATTACH_NS];
	struct cgroup *cg;
	struct janitor janitor;
	struct explain explain;
	struct plan_workspace workspace; /* borrows what the plan does */
	struct sandbox_isolation isolation;
	struct sandbox_usage usage;
};
