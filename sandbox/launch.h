/* Launch and end a sandbox: the processes J (joins U1, short-lived), I (pid 1 inside, a fork, never
 * an exec) and W (the payload).  Used by the supervisor S, which is single-threaded, has SIGCHLD
 * blocked, and runs its own poll loop. doc/architecture.md has the picture. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/plan.h"

struct sandbox;

/* Which layers are in force; what the plan wanted and the host cannot give (only with
 * allow_degraded, else the launch fails) is listed in 'degraded'. */
struct sandbox_isolation {
	bool user_namespace, seccomp, no_new_privs;
	int landlock;     /* ABI in force, 0 = none */
	char cgroup[16];  /* "v2", "v1+v2", "none" */
	char network[16]; /* "none" */
	unsigned ndegraded;
	char degraded[8][160]; /* a sentence each: what is not applied, and what is done instead */
};

struct sandbox_usage {
	uint64_t cpu_ms;
	uint64_t max_memory_bytes;
	uint64_t oom_kills; /* since the launch */
	uint64_t pids_max_hits;
	bool cpu_is_polled;    /* no cgroup: sums over what lives and what was waited for */
	bool memory_is_polled; /* no cgroup: sums of RSS seen by sandbox_poll() */
};

/* With plan.explain: the system calls that the filters refused. */
struct sandbox_denied {
	int nr;
	char call[48];      /* its name, or the number where it has none */
	const char *reason; /* why not; "" where no table says it */
	bool has_argument;
	uint32_t argument; /* that was the cause: the family of a socket, the request of an ioctl */
	int error;         /* the errno that it met */
	uint64_t count;
	pid_t pid; /* the first: its number inside, 0 = unknown */
	char comm[72];
};

struct sandbox_denials {
	size_t n;
	uint64_t others; /* of further kinds, not told apart */
	struct sandbox_denied rows[48];
};

/* How W ended. */
struct sandbox_end {
	bool exited; /* exit_code valid, else 'signal' ended it */
	int exit_code;
	int signal;
};

/* Build it all and exec W.  On success W runs.  On failure nothing is left.  When everything was
 * set up but execve itself failed the function returns -ECHILD and *ret_exec_errno holds execve's
 * errno (ENOENT: exit 127, else 126); -EOPNOTSUPP says that the host lacks something, with its
 * remedy. */
int sandbox_launch(const struct sandbox_plan *plan, struct sandbox **ret, int *ret_exec_errno,
		   struct err *err);

const struct sandbox_isolation *sandbox_get_isolation(const struct sandbox *sb);
/* Readable (POLLIN) once pid 1 inside has ended: then nothing is left of the pid namespace. */
int sandbox_pidfd(const struct sandbox *sb);
/* The pty master (plan.tty), given to the caller; -1 the second time. */
int sandbox_take_pty(struct sandbox *sb);
/* With plan.explain: readable when a call was refused, and then sandbox_explain() is to be called,
 * or the caller inside waits. -1 = nothing to listen to, also when all have ended. */
int sandbox_explain_fd(const struct sandbox *sb);
void sandbox_explain(struct sandbox *sb);
/* What was counted so far; borrowed from the sandbox. */
const struct sandbox_denials *sandbox_get_denials(const struct sandbox *sb);
/* Deliver a signal to W's process group (TERM INT HUP QUIT USR1 USR2 CONT; through pid 1). */
int sandbox_signal(struct sandbox *sb, int sig);
/* Of a plan with a kernel: ask pid 1 for a connection to one of its channels.  sandbox_connected()
 * gives the answers, in the order of asking, when sandbox_link() is readable: 0 and a descriptor
 * (non-blocking, perhaps still connecting; owned by the caller), -EAGAIN when there is none yet,
 * -ENOTCONN when pid 1 has ended, else why the kernel cannot be reached (-ECONNREFUSED: it does not
 * listen yet). */
int sandbox_connect(struct sandbox *sb, unsigned channel);
int sandbox_link(const struct sandbox *sb);
int sandbox_connected(struct sandbox *sb, int *ret_fd);
/* What its processes hold now that could not be given back: without caches of files. 0 where
 * nothing counts it. */
uint64_t sandbox_memory_used(const struct sandbox *sb);
/* The process W as this process sees it, 0 when it is not known. */
pid_t sandbox_worker(const struct sandbox *sb);
/* Start one more process inside, as sandbox/attach.h says: 'plan' is that of the launch with
 * another command.  Returns the helper process or -errno. */
pid_t sandbox_attach(struct sandbox *sb, const struct sandbox_plan *plan, int *ret_report,
		     struct err *err);
/* Counters now. Cheap enough for 10 calls a second. In polled mode it also does the polling: the
 * caller compares max_memory_bytes with the limit and ends the run.  The same goes for oom_kills in
 * v1 hierarchies, which kill one process and not the group. */
int sandbox_poll(struct sandbox *sb, struct sandbox_usage *ret);
/* End everything inside, however stubborn: cgroup.kill or freeze/kill/thaw, then pid 1.  Returns 0
 * when all are gone, -ETIMEDOUT after 'wait_ms' when a task hangs in a file request (the caller
 * then ends the daemon and calls again). */
int sandbox_kill(struct sandbox *sb, uint64_t wait_ms);
/* When ending the daemon did not help either (it is frozen, or waits for a disk that hangs): abort
 * the connections of its mounts, as long as the plan's workspace is open.  For all sessions of the
 * workspace its files are gone then.  -errno where that is not ours to do. */
int sandbox_sever(struct sandbox *sb);
/* After the pidfd became readable: how W ended, last counters; cgroups are removed. */
int sandbox_finish(struct sandbox *sb, struct sandbox_end *ret_end, struct sandbox_usage *ret_usage,
		   struct err *err);
void sandbox_free(struct sandbox *sb);
