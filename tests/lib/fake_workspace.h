/* A workspace without its daemon: a user and mount namespace U1 with tmpfs at /datasets and
 * /workspace, as sbxfsd would make it, for tests of the sandbox alone. */
#pragma once

#include "sandbox/plan.h"

/* Fill userns_fd, mntns_fd, outer_uid, outer_gid. As root the payload is host id 2000000001.
 * /datasets holds 'hello.txt'. Returns 0 or -errno. */
int fake_workspace_open(struct plan_workspace *ret);
void fake_workspace_close(struct plan_workspace *w);

/* A plan with modest limits that runs 'argv' on our stdin, stdout, stderr. */
struct sandbox_plan fake_plan(const struct plan_workspace *w, char *const *argv);
