/* --progress: one line at the foot of a terminal that says how a long run is doing.
 *
 * Shown only while nothing else is on its line: it goes before the command writes, and comes back
 * when the command has ended a line.  What the outputs hold is asked of the daemon by a process of
 * its own, since the supervisor waits for nobody. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct fsc;

/* Written by the watcher, read here; each by one store. */
struct progress_seen {
	volatile uint64_t known, used, first; /* 'first': before the run */
};

struct progress_now {
	uint64_t elapsed_ms, time_ms; /* limits: 0 = none */
	uint64_t memory, memory_limit;
	uint64_t cpu_ms;
	uint64_t passed; /* bytes of stdout and stderr */
};

struct progress {
	int fd; /* the terminal, borrowed */
	bool shown;
	pid_t watcher;
	struct progress_seen *seen; /* shared with the watcher; NULL = nobody looks */
};

/* Ask the daemon of 'ws' now, through 'c', and once a second from now on.  Before the launch. */
int progress_watch(struct progress *p, struct fsc *c, const char *ws, struct err *err);
/* The line, without its end; cut to 'size'. */
void progress_text(const struct progress_seen *seen, const struct progress_now *n, char *out,
		   size_t size);
void progress_show(struct progress *p, const struct progress_now *n);
void progress_hide(struct progress *p);
/* Hides, and ends the watcher. */
void progress_end(struct progress *p);
