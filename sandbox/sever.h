/* The last rung of the ladder: cut the files of a workspace off, so that whoever waits for them
 * can die. */
#pragma once

struct plan_workspace;

/* Abort the connections behind both mounts of the workspace: every request that waits, and every
 * later one, fails.  All sessions of the workspace lose it.  Needs nobody's cooperation: it works
 * while the daemon is frozen, or waits itself for a disk that hangs.  0, or -errno where the mounts
 * are on the host and not ours to end; waits at most half a second. */
int sever_workspace(const struct plan_workspace *w);
