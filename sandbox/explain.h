/* --explain: the system calls that the filters refuse, by name.
 *
 * W loads filter_explain and sends its listener out with a report; S answers each notification with
 * the errno that the ordinary filters give (filter_decide()), and counts.  It never lets a call
 * continue, so nothing depends on memory that the payload could change meanwhile, and when S is
 * gone the kernel refuses by itself. */
#pragma once

#include <linux/seccomp.h>

#include "sandbox/launch.h"

struct explain {
	int fd; /* the listener, -1 = none (any more) */
	struct sandbox_denials denied;
};

/* Answer what waits, at most so many that limits are kept meanwhile.  Closes the listener when
 * nobody is left who could call. */
void explain_serve(struct explain *e);
/* Pure: count one refusal of the call 'd' with 'error', by this process. */
void explain_count(struct sandbox_denials *all, const struct seccomp_data *d, int error, pid_t pid,
		   const char *comm);
