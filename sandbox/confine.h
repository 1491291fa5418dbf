/* Lock down one of our own processes (the file system daemon), which runs no foreign code but holds
 * keys and reads foreign bytes. */
#pragma once

#include <stdint.h>

struct err;

enum confine_profile {
	/* For good: no_new_privs and a filter.  Mounts and namespaces of its own stay possible;
	 * sockets are AF_UNIX only; no ptrace, keyrings, bpf, modules, handles, clocks.  Whatever
	 * it executes later gains nothing from a setuid bit (fusermount3 would fail). */
	CONFINE_DAEMON,
	/* As above for a process that must still start fusermount3: without no_new_privs, and so
	 * without the filter unless it has CAP_SYS_ADMIN. Never readable, never dumped. */
	CONFINE_LAUNCHER,
};

/* Takes effect on the calling thread and those it starts: call it before there are others.  Both
 * make the process undumpable (its /proc files become root's, nobody may trace it) and forbid core
 * dumps, also through a core_pattern pipe.  0 or -errno with a sentence; the process should end. */
int confine_self(enum confine_profile profile, struct err *err);

/* For a process that has only just been executed and does nothing but parse foreign bytes: no
 * capability, no new file, no more than 'memory' bytes and 'cpu_s' seconds of processor, no file
 * written (a pipe can be), none opened (a filter that kills), unreadable, no core.  'keep' of its
 * descriptors, from 0 up, stay; all others are closed. For good. */
int confine_parser(unsigned keep, uint64_t memory, uint64_t cpu_s, struct err *err);
