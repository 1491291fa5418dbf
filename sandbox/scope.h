/* An ordinary user gets control groups from systemd: a transient scope of the user manager, handed
 * over (Delegate=yes).  The program starts itself anew inside one; the pid, the terminal and the
 * process group stay what they are. */
#pragma once

#include <stdbool.h>

/* To be called first thing in main(), with main's argv.  Does not return when the program is
 * executed anew in a scope; returns when that is not needed (root, a writable place, second time)
 * or not possible (no systemd, no user manager, cgroup v1): then limits will be said to be lacking
 * by the launch.  Nothing must be open that execve would lose. */
void scope_enter(char *const argv[]);

/* The decision, pure, for tests. */
struct scope_facts {
	bool root;         /* has its own place */
	bool again;        /* was executed anew already */
	bool v2;           /* the unified tree has the controllers */
	bool writable;     /* a delegated place is there */
	bool systemd;      /* runs this system */
	bool user_manager; /* can be reached */
};
bool scope_is_wanted(const struct scope_facts *f);
