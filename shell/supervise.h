/* S, the supervisor of one run: relays, keeps limits, ends what must end.
 *
 * One thread, one poll loop.  It waits for the pidfd of pid 1 inside, for signals (signalfd), for
 * the relayed streams, for the daemon's connection to hang up, and for the next of its deadlines on
 * the monotonic clock.  A cause is recorded before anything is killed.  The ladder: TERM to the
 * command's group, after the grace kill all; when a task hangs in a file request, end the daemon
 * that it waits for, and kill again. */
#pragma once

#include "sandbox/launch.h"
#include "shell/result.h"
#include "shell/stream.h"

struct err;
struct fsc;
struct progress;
struct screen;

/* What runs beside the streams of a run: the relay of a kernel. Borrowed. */
struct supervise_side {
	void *self;
	int fd;                    /* when readable, ready() is called */
	void (*ready)(void *self); /* never blocks */
	/* After each turn, 'now' in ms of the monotonic clock: returns when it wants to be called
	 * again at the latest, and may give a cause to end the run for. */
	uint64_t (*tick)(void *self, uint64_t now, enum run_cause *ret_cause);
};

/* Who looks after further processes of the run. Never blocks. */
struct supervise_more {
	void *self;
	int fd; /* when readable, ready() is called; after each SIGCHLD, reap() */
	void (*ready)(void *self), (*reap)(void *self);
};

struct supervise {
	struct sandbox *sb; /* borrowed, as all below */
	struct fsc *fsc;    /* NULL in tests */
	const struct plan_limits *limits;
	bool interactive;            /* a shell: no output limit, TERM becomes HUP */
	int sigfd;                   /* from supervise_signals() */
	int master;                  /* pty of the payload, or -1 */
	struct stream in, out, errs; /* owned by the caller; errs unused with a pty */
	uint64_t budget;             /* what is left of --output */
	struct supervise_more more;  /* more terminals; no ready() = none can come */
	struct progress *progress;   /* the line at the foot; NULL = none */
	struct screen *screen;       /* escape character and filter; NULL = neither */
	/* NULL = none.  With one the run is a kernel: interrupts belong to its user, a time limit
	 * begins with one, and TERM is the end, as front ends mean it. */
	const struct supervise_side *side;
};

/* Block what the loop takes from a signalfd, ignore what would hurt it, return the signalfd.
 * Call before the launch. */
int supervise_signals(struct err *err);
/* Make the streams. Without a pty inside: three pipes, whose inner ends come back in 'inner' (owned
 * by the caller, to be closed after the launch). */
int supervise_pipes(struct supervise *s, int inner[3], struct err *err);
/* The same with the pty master (taken). */
int supervise_pty(struct supervise *s, int master, struct err *err);

/* Until nothing is left inside and the output is written.  Fills cause, wall_ms, usage and the
 * counters of 'f'; *f has been zeroed.  Fails only when processes could not be ended. */
int supervise_run(struct supervise *s, struct run_facts *f, struct err *err);
void supervise_free(struct supervise *s);
